package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzSession plays a program of events on a session. Each is three parts: the
// kind of event, when it happens, and what comes with it.
func FuzzSession(f *testing.F) {
	// Up, link, two inserts a moment apart, a frame of messages, and the deadline.
	f.Add(uint8(0), uint16(0), []byte("\x01\x00\x03\x00\x06\x01\x41\x10\x44\x40\x06\x03\x42\x08\x44\x40\x05\x50\x01\x02\x41\x10\x44\x40\x02\x00\xff"))
	// A state that is told again while its first packet is held.
	f.Add(uint8(0), uint16(109), []byte("90000000000000"))
	f.Fuzz(func(t *testing.T, dialect uint8, options uint16, program []byte) {
		c := sessionConfig(dialect, options)
		r := sessionRun{t: t, cfg: c, now: start, held: make(map[pfsync.StateID]int)}
		r.a, r.aStore = session(t, c)
		r.twin, r.twinStore = session(t, c)
		peer := c
		peer.HostID, peer.KernelExact = 2, false // which counts more as badact
		r.peer, _ = session(t, peer)
		r.peer.Step(r.now, pfsync.Event{Kind: pfsync.EventUp})
		for in := tape(program); !in.done(); {
			kind := pfsync.EventKind(in.u8() % uint8(pfsync.EventResend+2)) // one of them does not exist
			r.wait(in.u8())
			r.event(&in, kind)
		}
		r.step(pfsync.Event{Kind: pfsync.EventDown})
		if len(r.held) != 0 {
			t.Fatalf("%d first packets are held for ever", len(r.held))
		}
	})
}

// sessionConfig is a valid configuration.
func sessionConfig(dialect uint8, options uint16) pfsync.Config {
	bit := func(n int) bool { return options>>n&1 != 0 }
	c := pfsync.Config{
		Dialect: pfsync.Dialect(dialect) % (pfsync.FreeBSD15 + 1), HostID: 1, MTU: 600 + int(options>>8)*8,
		Slices: 1 + int(options&3), Defer: bit(2), DeferLimit: 4, KernelExact: bit(3),
	}
	if bit(4) {
		c.Bulk = pfsync.BulkConfig{Interval: -1, Burst: 3}
	}
	if bit(5) {
		c.Interfaces = map[string]string{"a": "b"}
		c.Known = func(ifname string) bool { return ifname == "b" }
	}
	if bit(6) {
		c.RequestRate, c.Bulk.Deadline = 3, 3*time.Second
	}
	if bit(7) {
		none := uint8(0)
		c.MaxUpd = &none
	}
	return c
}

func session(t *testing.T, c pfsync.Config) (*pfsync.Session, *pfsync.Memory) {
	store, err := pfsync.NewMemory(pfsync.MemoryConfig{Dialect: c.Dialect, Limit: 64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pfsync.NewSession(c, store)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return s, store
}

// A sessionRun is a session, a twin that is told the same, and a peer that hears
// what they send.
type sessionRun struct {
	t                 *testing.T
	cfg               pfsync.Config
	a, twin, peer     *pfsync.Session
	aStore, twinStore *pfsync.Memory
	now, deadline     time.Time
	held              map[pfsync.StateID]int // 1: the first packet is held back
	up                bool
}

// wait lets time pass: to the deadline, or to just before it, or some.
func (r *sessionRun) wait(how uint8) {
	switch {
	case how < 254:
		r.now = r.now.Add(time.Duration(how) * time.Duration(how) * 100 * time.Microsecond)
	case r.deadline.After(r.now):
		r.now = r.deadline.Add(time.Duration(how) - 255)
	}
}

// event makes an event with its arguments, and the changes of the table before it.
func (r *sessionRun) event(in *tape, kind pfsync.EventKind) {
	ev := pfsync.Event{Kind: kind}
	switch kind {
	case pfsync.EventPacket:
		ev.Packet = pfsync.Packet{Data: r.packet(in), TTL: 255}
	case pfsync.EventInsert:
		st := sessionState(in)
		r.aStore.Insert(r.now, &st, nil)
		r.twinStore.Insert(r.now, &st, nil)
		ev.State = &st
	case pfsync.EventUpdate, pfsync.EventResend:
		st := sessionState(in)
		ev.ID, ev.Proto = st.StateID, st.Proto
	case pfsync.EventDelete:
		st := sessionState(in)
		r.aStore.Delete(st.StateID)
		r.twinStore.Delete(st.StateID)
		ev.ID = st.StateID
	case pfsync.EventClear:
		ev.IfName = pfsync.Name{in.u8()}
	}
	r.step(ev)
}

// sessionState is one of few states, in any condition.
func sessionState(in *tape) pfsync.State {
	b := in.bytes(4)
	st := pfsync.State{
		StateID: pfsync.StateID{ID: uint64(b[0] % 32), CreatorID: uint32(b[0] / 64)}, IfName: pfsync.Name{"ab"[b[1]&1]},
		AF: pfsync.AFInet, Proto: []uint8{6, 17, 1, 240}[b[1]>>1&3], Direction: pfsync.Direction(b[1] >> 3 & 3),
		Flags: pfsync.StateFlags(b[1] & 0x18), Timeout: pfsync.Timeout(b[2] % 32),
	}
	st.Src = pfsync.Peer{State: pfsync.PeerState(b[2] >> 4), SeqLo: uint32(int32(int8(b[3])))}
	st.Dst = pfsync.Peer{State: pfsync.PeerState(b[3] >> 4), SeqLo: uint32(b[2]) << 24}
	st.Wire.Addr[0] = pfsync.Addr{10, b[0]}
	st.Stack = st.Wire
	return st
}

// packet is a frame of messages that make sense, or of octets that may not.
func (r *sessionRun) packet(in *tape) []byte {
	if in.u8() == 0 {
		b := make([]byte, 20, 60)
		b[0] = 6
		if r.cfg.Dialect != pfsync.OpenBSD {
			b[0] = 5
		}
		b = append(b, in.bytes(int(in.u8()))...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)-int(in.u8()%3)))
		return b
	}
	w := pfsync.NewWriter(r.cfg.Dialect, 0, 9000)
	for n := in.u8() % 16; n > 0; n-- {
		st := sessionState(in)
		switch in.u8() % 10 {
		case 0:
			w.Ins(&st)
		case 1:
			w.Upd(&st)
		case 2:
			w.UpdC(&pfsync.UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
		case 3:
			w.UpdReq(st.StateID)
		case 4:
			w.UpdReq(pfsync.StateID{})
		case 5:
			w.InsAck(st.StateID)
		case 6:
			w.DelC(st.StateID)
		case 7:
			w.Clr(&pfsync.Clr{CreatorID: st.CreatorID, IfName: st.IfName})
		case 8:
			w.Bus(&pfsync.Bus{CreatorID: st.CreatorID, Status: uint8(st.ID % 4), EndTime: uint32(st.Timeout)})
		case 9:
			w.TDB(&pfsync.TDB{})
		}
	}
	return bytes.Clone(w.Bytes())
}

// step steps the session and its twin, and holds the output against what is always
// true.
func (r *sessionRun) step(ev pfsync.Event) {
	late := !r.deadline.IsZero() && !r.deadline.After(r.now)
	if ev.Kind == pfsync.EventInsert && r.cfg.Defer {
		r.held[ev.State.StateID]++
	}
	out := r.a.Step(r.now, ev)
	again := r.twin.Step(r.now, ev)
	same := slices.EqualFunc(out.Frames, again.Frames, bytes.Equal) && out.Deadline.Equal(again.Deadline) &&
		slices.Equal(out.Release, again.Release) && out.Demotion == again.Demotion
	switch ev.Kind {
	case pfsync.EventUp:
		r.up = true
	case pfsync.EventDown:
		r.up = false
	}
	demote := 32
	if r.cfg.Dialect != pfsync.OpenBSD {
		demote = 240
	}
	for _, law := range []struct {
		broken bool
		what   string
	}{
		{!same, "a twin that is told the same does something else"},
		{!r.up && !out.Deadline.IsZero(), "a timer of one that is down"},
		{!r.up && len(out.Frames) > 0 && !late, "frames of one that is down"},
		{!r.up && out.Demotion != 0, "a demotion by one that is down"},
		{!out.Deadline.IsZero() && out.Deadline.Before(r.now), "a deadline in the past"},
		{!out.Deadline.IsZero() && !out.Deadline.After(r.now) && r.cfg.Bulk.Interval >= 0, "a deadline now"},
		{out.Demotion != 0 && out.Demotion != 1 && out.Demotion != demote && out.Demotion != demote+1, "a strange demotion"},
		{out.Demotion != 0 && out.DemotionReason == "", "a demotion without a reason"},
		{len(out.Frames) > 200, "too many frames"},
		{len(out.Drop) > 0 && !r.cfg.KernelExact, "a packet to drop"},
	} {
		if law.broken {
			r.t.Fatalf("%s: %+v at %v made %+v", law.what, ev, r.now.Sub(start), out)
		}
	}
	r.apply(out)
	// A state that is told again while its packet is held is released once.
	if ev.Kind == pfsync.EventInsert && r.held[ev.State.StateID] > 1 {
		r.held[ev.State.StateID] = 1
	}
	r.busy()
}

// apply does what a step wants.
func (r *sessionRun) apply(out pfsync.Output) {
	for _, id := range slices.Concat(out.Release, out.Drop) {
		if r.held[id]--; r.held[id] < 0 {
			r.t.Fatalf("%v is released and was not held", id)
		}
	}
	for id, n := range r.held {
		if n == 0 {
			delete(r.held, id)
		}
	}
	for _, b := range out.Frames {
		r.frame(b)
	}
	r.deadline = out.Deadline
}

// busy goes on with a bulk answer that makes no pauses. It comes to its end.
func (r *sessionRun) busy() {
	for n := 0; !r.deadline.IsZero() && !r.deadline.After(r.now); n++ {
		if n > 100 {
			r.t.Fatal("a bulk answer without an end")
		}
		out := r.a.Step(r.now, pfsync.Event{})
		r.twin.Step(r.now, pfsync.Event{})
		r.apply(out)
	}
}

// frame looks at a frame that is sent: it fits, and a peer takes all of it.
func (r *sessionRun) frame(b []byte) {
	if 20+len(b) > r.cfg.MTU {
		r.t.Fatalf("a packet of %d octets, MTU %d", 20+len(b), r.cfg.MTU)
	}
	f, err := pfsync.Parse(r.cfg.Dialect, b)
	if err != nil {
		r.t.Fatalf("%v: %x", err, b)
	}
	n := 0
	for sec := range f.Sections() {
		if sec.Action != pfsync.ActEOF {
			n += sec.Count
		}
		if sec.Action == pfsync.ActUnknown || sec.Count == 0 {
			r.t.Fatalf("a section of %d %v", sec.Count, sec.Action)
		}
	}
	if n == 0 {
		r.t.Fatal("an empty frame")
	}
	r.peer.Step(r.now, pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: b, TTL: 255}})
	if s := r.peer.Stats(); s.BadVersion+s.BadLen+s.BadAction+s.BadTTL+s.HdrDrops != 0 {
		r.t.Fatalf("a peer does not like it: %+v", s)
	}
}
