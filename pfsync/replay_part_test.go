package pfsync_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A part is the one that a node had in a recording, written for a session to play:
// what it received and when, what it was told, and what its own states must have
// done for it to send what it sent.
//
// The last is inferred, since nobody saw it. A message says that something happened
// to its state before the frame left and after the last one of the same slice did.
// Where in that time does not matter to what is sent; it is taken to be as early as
// the flush timer allows. If the frame left before that timer can have run out, one
// of the other reasons to send is behind it: the frame was full, a peer has touched
// the state lately, a first packet waits, or MaxUpd was reached.
type part struct {
	t       *testing.T
	rec     *recording
	node    *recordedNode
	slices  int
	frames  []wireFrame                 // of all, with the node's numbers of states
	tables  []table                     // the same
	begin   time.Time                   // of the part
	start   bool                        // the recording has the node's first bulk update in it
	whole   map[pfsync.StateID]sighting // each state as it was first seen
	acts    []act
	traffic []forwarded // through the node, if that is known
	unseen  int         // states that came to the node with nothing of that in the capture
}

// An act is what happens at a time.
type act struct {
	at time.Time
	do func(*player)
}

func (p *part) add(at time.Time, do func(*player)) { p.acts = append(p.acts, act{at, do}) }

// A sighting is a whole state that somebody has sent or told.
type sighting struct {
	at time.Time
	st pfsync.State
}

// flushTime is how long a message waits, maxSlices what a session has at most.
const (
	flushTime = time.Second
	maxSlices = 16
)

// newPart writes the part of a node. If the packets are known that it has forwarded,
// they say when its states were made and changed.
func newPart(t *testing.T, r *recording, n *recordedNode, traffic []forwarded) *part {
	t.Helper()
	p := &part{t: t, rec: r, node: n, traffic: traffic, slices: 2, whole: make(map[pfsync.StateID]sighting)}
	for _, f := range r.frames {
		f.payload = bytes.Clone(f.payload)
		p.frames = append(p.frames, f)
	}
	for _, tab := range n.tables {
		tab.states = slices.Clone(tab.states)
		p.tables = append(p.tables, tab)
	}
	if r.dialect == pfsync.OpenBSD {
		p.renumber()
	}
	p.meet()
	p.opening()
	p.follow()
	p.infer()
	p.drive()
	slices.SortStableFunc(p.acts, func(a, b act) int { return a.at.Compare(b.at) })
	return p
}

// own are the frames of the node.
func (p *part) own(f *wireFrame) bool { return f.from == p.node }

// A message is one of a frame.
type message struct {
	action pfsync.Action
	id     pfsync.StateID
	octets []byte
	format pfsync.Format
}

// messagesOf are those of a frame, as far as it is good.
func messagesOf(t *testing.T, d pfsync.Dialect, payload []byte) (out []message) {
	t.Helper()
	f, _ := pfsync.Parse(d, payload)
	for sec := range f.Sections() {
		for octets := range sec.Messages() {
			m := message{action: sec.Action, octets: octets, format: sec.Format}
			switch sec.Action {
			case pfsync.ActIns, pfsync.ActUpd:
				m.id = m.state(t).StateID
			case pfsync.ActUpdC:
				m.id = m.updC().StateID
			case pfsync.ActInsAck, pfsync.ActUpdReq, pfsync.ActDelC:
				m.id.UnmarshalBinary(octets)
			}
			out = append(out, m)
		}
	}
	return out
}

func (m *message) state(t *testing.T) (st pfsync.State) {
	t.Helper()
	if err := st.Unmarshal(m.format, m.octets); err != nil {
		t.Fatal(err)
	}
	return st
}

func (m *message) updC() (u pfsync.UpdC) {
	u.UnmarshalBinary(m.octets)
	return u
}

func (m *message) clr() (c pfsync.Clr) {
	c.UnmarshalBinary(m.octets)
	return c
}

func (m *message) bus() (b pfsync.Bus) {
	b.UnmarshalBinary(m.octets)
	return b
}

func (p *part) messages(f *wireFrame) []message { return messagesOf(p.t, p.rec.dialect, f.payload) }

// queued reports whether a message waits in a slice before it is sent.
func (m *message) queued() bool {
	switch m.action {
	case pfsync.ActIns, pfsync.ActUpdC, pfsync.ActDelC, pfsync.ActInsAck, pfsync.ActUpd:
		return true
	}
	return false
}

// eachOwn calls f with the frames of the node and their messages, and whether they
// are of an answer to a bulk request.
func (p *part) eachOwn(f func(fr *wireFrame, msgs []message, bulk bool)) {
	bulk := false
	for i := range p.frames {
		fr := &p.frames[i]
		if !p.own(fr) {
			continue
		}
		msgs := p.messages(fr)
		start, end := busOf(msgs)
		bulk = bulk || start || end
		f(fr, msgs, bulk)
		bulk = bulk && !end
	}
}

// renumber gives states numbers by which a session sorts them into slices as the
// kernel does. OpenBSD does so by a hash with a secret in it; but those that share
// a frame share a slice, and those that never do might as well have one each.
func (p *part) renumber() {
	group := make(map[pfsync.StateID]int)
	next := 0
	p.eachOwn(func(fr *wireFrame, msgs []message, bulk bool) {
		if bulk {
			return
		}
		frame := -1
		for _, m := range msgs {
			if !m.queued() {
				continue
			}
			g, ok := group[m.id]
			switch {
			case !ok && frame < 0:
				frame = next
				next++
				fallthrough
			case !ok:
				group[m.id] = frame
			case frame < 0:
				frame = g
			case g != frame:
				for id, other := range group {
					if other == g {
						group[id] = frame
					}
				}
			}
		}
	})
	dense := make(map[int]uint64)
	number := func(id pfsync.StateID) uint64 {
		slice := uint64(0)
		if g, ok := group[id]; ok {
			if _, ok := dense[g]; !ok {
				dense[g] = uint64(len(dense)) % maxSlices
			}
			slice = dense[g]
		}
		return id.ID*maxSlices + slice
	}
	p.slices = maxSlices
	for i := range p.frames {
		for _, m := range p.messages(&p.frames[i]) {
			if m.id != (pfsync.StateID{}) {
				binary.BigEndian.PutUint64(m.octets, number(m.id))
			}
		}
	}
	for _, tab := range p.tables {
		for i := range tab.states {
			tab.states[i].ID = number(tab.states[i].StateID)
		}
	}
}

// slice is the one of a state.
func (p *part) slice(id pfsync.StateID) int { return int(id.ID % uint64(p.slices)) }

// meet remembers each state as it was first seen, by anybody.
func (p *part) meet() {
	see := func(at time.Time, st pfsync.State) {
		if w, ok := p.whole[st.StateID]; !ok || at.Before(w.at) {
			p.whole[st.StateID] = sighting{at, st}
		}
	}
	for i := range p.frames {
		for _, m := range p.messages(&p.frames[i]) {
			if m.action == pfsync.ActIns || m.action == pfsync.ActUpd {
				see(p.frames[i].at, m.state(p.t))
			}
		}
	}
	for _, tab := range p.tables {
		for _, st := range tab.states {
			see(tab.at, st)
		}
	}
}
