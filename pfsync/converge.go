package pfsync

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ConvergeConfig is how a [Converger] finds out whether two tables agree.
type ConvergeConfig struct {
	// HostID is that of the session.
	HostID uint32

	// Epoch is a random number, another one at each start. It must not be 0.
	Epoch uint64

	// Peers are the addresses of the other nodes on the side channel.
	Peers []netip.Addr

	// Hello is the time between two hellos. 0 means 1 s. A peer that is silent for
	// five of them is taken for gone.
	Hello time.Duration

	// Settle is how long a state must have been left alone by both nodes before a
	// difference counts. 0 means 2 s, twice what a message may wait to be sent.
	Settle time.Duration

	// Pause is the least time between two comparisons with a peer. 0 means 5 s. It
	// is longer, up to five minutes, while repairs are of no use to the peer.
	Pause time.Duration

	// Graves is how many removed states are remembered, for up to ten minutes, so
	// that a peer that was out of reach meanwhile does not bring them back. Each
	// takes some 120 octets. 0 means DefaultGraves.
	Graves int
}

// DefaultGraves is enough for 400 connections a second that end.
const DefaultGraves = 1 << 18

// A Converger sees to it that two nodes of this library end with the same table,
// which pfsync alone does not: what is lost on the way stays lost until the state
// changes again, and a lost removal until it expires.
//
// It numbers the frames of a session, so that the other node can ask for what was
// in those that did not arrive; and it compares digests of the tables, from the
// whole to single states, and has only those sent that differ. All that is pure:
// its methods take the time and return what is to be done.
//
// Nothing is sent to a peer but hellos, on the side channel, until that has
// answered with one.
type Converger struct {
	cfg       ConvergeConfig
	store     Digester
	peers     []*convergePeer
	graves    graveyard
	clearedAt time.Time // zero: not lately
	sent      sent
	helloAt   time.Time
	hold      bool
	ids       []StateID // scratch
	out       ConvergeOutput
}

// ConvergeOutput is what is to be done after a call.
type ConvergeOutput struct {
	// Messages are to be sent on the side channel.
	Messages []SideMessage

	// Resend are states for EventResend.
	Resend []StateID

	// Resync says that too much is missing for repairs: ask for the whole table.
	Resync bool

	// Deadline is when to call Timer.
	Deadline time.Time
}

// A SideMessage is a datagram of the side channel.
type SideMessage struct {
	Dst  netip.Addr
	Data []byte
}

// Agreement is what is known of the table of a peer.
type Agreement uint8

const (
	AgreementUnknown Agreement = iota // no answer, not compared yet, or too much of that got lost
	Identical                         // what differs is on its way
	Different                         // some states differ
)

// String is "unknown", "identical" or "different".
func (a Agreement) String() string {
	return [...]string{"unknown", "identical", "different"}[min(a, Different)]
}

// ConvergeStatus is how far the tables of this node and a peer agree.
type ConvergeStatus struct {
	Peer      netip.Addr
	HostID    uint32 // 0 until it was heard of
	Agreement Agreement
	Differ    int       // states that differed when last compared
	Flowing   int       // states that were changing then
	At        time.Time // of that comparison
	States    int       // the peer has, as it says
	Lost      uint64    // frames of the peer that were lost on the way
}

// NewConverger makes a converger for a session with that store.
func NewConverger(c ConvergeConfig, store Digester) *Converger {
	c.Hello = cmp.Or(c.Hello, time.Second)
	c.Settle = cmp.Or(c.Settle, 2*time.Second)
	c.Pause = cmp.Or(c.Pause, 5*time.Second)
	v := &Converger{cfg: c, store: store, sent: sent{next: 1}, graves: graveyard{limit: cmp.Or(c.Graves, DefaultGraves)}}
	for _, a := range c.Peers {
		v.peers = append(v.peers, &convergePeer{addr: a, status: ConvergeStatus{Peer: a}})
	}
	return v
}

// validate reports everything that is wrong with c, as a node is given it.
func (c *ConvergeConfig) validate() error {
	var errs []error
	for _, v := range [...]struct {
		name string
		d    time.Duration
	}{{"hello", c.Hello}, {"settle", c.Settle}, {"pause", c.Pause}} {
		if v.d < 0 {
			errs = append(errs, fmt.Errorf("pfsync: %s %v: want a positive time", v.name, v.d))
		}
	}
	if c.Graves < 0 {
		errs = append(errs, fmt.Errorf("pfsync: %d graves: want a positive number", c.Graves))
	}
	for i, a := range c.Peers {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || slices.Contains(c.Peers[:i], a) {
			errs = append(errs, fmt.Errorf("pfsync: peer %v on the side channel: not the address of a host, or given twice", a))
		}
	}
	if len(c.Peers) == 0 {
		errs = append(errs, errors.New("pfsync: a side channel, and no peers on it"))
	}
	return errors.Join(errs...)
}

// begin starts an output.
func (v *Converger) begin() {
	v.out = ConvergeOutput{Messages: v.out.Messages[:0], Resend: v.out.Resend[:0]}
}

// Timer does what is due.
func (v *Converger) Timer(now time.Time) ConvergeOutput {
	v.begin()
	if !now.Before(v.helloAt) {
		v.helloAt = now.Add(v.cfg.Hello)
		v.greet(now)
	}
	v.graves.expire(now)
	if now.Sub(v.clearedAt) > graveAge {
		v.clearedAt = time.Time{}
	}
	v.out.Deadline = v.helloAt
	for _, p := range v.peers {
		v.work(now, p)
	}
	return v.out
}

// greet sends a hello to all peers.
func (v *Converger) greet(now time.Time) {
	root := v.root()
	for _, p := range v.peers {
		if p.known() && now.Sub(p.heard) > 5*v.cfg.Hello {
			p.lose()
		}
		m := helloMsg{echo: p.epoch, next: v.sent.next, root: root, states: uint64(v.store.Len())}
		v.send(p, sideHello, m.append)
	}
}

// root is the digest of the whole table.
func (v *Converger) root() uint64 {
	var buckets [DigestBuckets]uint64
	v.store.Digest(&buckets)
	return fold(buckets[:])
}

// fold is the digest of a row of digests. The place of each counts.
func fold(row []uint64) uint64 {
	h := uint64(len(row))
	for _, d := range row {
		h = (h ^ d) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

// send queues a message for p.
func (v *Converger) send(p *convergePeer, kind sideKind, body func([]byte) []byte) {
	b := make([]byte, 0, SideMTU)
	b = sideHeader{kind, v.cfg.HostID, v.cfg.Epoch}.append(b)
	v.out.Messages = append(v.out.Messages, SideMessage{p.addr, body(b)})
}

// Active says whether a peer has shown that it is one of us, and frames are to be
// numbered.
func (v *Converger) Active() bool {
	return slices.ContainsFunc(v.peers, (*convergePeer).known)
}

// Met says whether a peer has answered, so that both know each other.
func (v *Converger) Met() bool {
	return slices.ContainsFunc(v.peers, (*convergePeer).met)
}

// Sent numbers a frame that is about to be sent to all peers, in the 16 octets of
// its checksum, and remembers which states it is about.
func (v *Converger) Sent(d Dialect, frame []byte) {
	if !v.Active() {
		return
	}
	f, err := Parse(d, frame)
	if err != nil {
		return // a frame of ours never is
	}
	v.ids = v.ids[:0]
	for s := range f.Sections() {
		switch s.Action {
		case ActIns, ActUpd, ActUpdC, ActDelC, ActDel:
			for m := range s.Messages() {
				v.ids = append(v.ids, s.id(m))
			}
		}
	}
	n := v.sent.add(v.ids)
	stamp{uint32(v.cfg.Epoch), n}.put(frame[4:headerLen])
}

// id is which state a message of s is about.
func (s Section) id(m []byte) StateID {
	creator := 8 // where the creatorid is
	switch s.Action {
	case ActUpdC:
		creator = 72
	case ActIns, ActUpd, ActDel:
		creator = 228
		if s.Format == FormatOpenBSD {
			creator = 236
		}
	}
	return StateID{binary.BigEndian.Uint64(m), binary.BigEndian.Uint32(m[creator:])}
}

const (
	// ackEvery is the number of frames after which one says that they have arrived,
	// and behindAt how many may be on their way to a peer that keeps up. Linux drops
	// above 1000 on a busy CPU (netdev_max_backlog).
	ackEvery = 64
	behindAt = 512
)

// behindFor is how long an ack is waited for. It, or the frames it is about, may be
// lost.
const behindFor = 100 * time.Millisecond

// Behind reports whether a peer has not taken in yet what was sent to it: more
// of it, as in a bulk update, would be lost.
func (v *Converger) Behind(now time.Time) bool {
	for _, p := range v.peers {
		if !p.known() || v.sent.next-p.acked <= behindAt {
			continue
		}
		if now.Sub(p.ackedAt) < behindFor {
			return true
		}
		p.acked, p.ackedAt = v.sent.next, now // nothing comes any more: go on
	}
	return false
}

// Hold says that a bulk update is on: what differs is on its way, and is not
// compared before that is over.
func (v *Converger) Hold(on bool) { v.hold = on }

// Received takes note of the number of a frame that has arrived.
func (v *Converger) Received(now time.Time, checksum [16]byte) ConvergeOutput {
	v.begin()
	s, ok := parseStamp(checksum)
	if !ok {
		return v.out
	}
	for _, p := range v.peers {
		if p.met() && uint32(p.epoch) == s.epoch {
			if !p.gaps.arrived(now, s.number) {
				p.compareAt = now
			}
			if p.unacked++; p.unacked == ackEvery {
				p.unacked = 0
				n := p.gaps.expect - 1
				v.send(p, sideAck, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, n) })
			}
			v.work(now, p)
		}
	}
	return v.out
}

// Removed takes note that a state was removed from the table, by this node or by a
// peer, and not because it has expired: then it may live on elsewhere, rightly.
func (v *Converger) Removed(now time.Time, id StateID, local bool) { v.graves.bury(now, id, local) }

// Cleared takes note that all states of this node were removed.
func (v *Converger) Cleared(now time.Time) { v.clearedAt = now }

// WasRemoved reports whether this node has removed a state lately: [Config.Removed].
func (v *Converger) WasRemoved(id StateID) bool {
	return v.graves.ours(id) || !v.clearedAt.IsZero() && id.CreatorID == v.cfg.HostID
}

// buried reports whether a state was removed lately, as far as this node knows.
func (v *Converger) buried(id StateID) bool { return v.graves.has(id) }

// Inserted takes note that a state is in the table that may have been removed before.
func (v *Converger) Inserted(id StateID) { v.graves.forget(id) }

// Status is what is known of each peer.
func (v *Converger) Status() []ConvergeStatus {
	var all []ConvergeStatus
	for _, p := range v.peers {
		s := p.status
		s.Lost = p.gaps.lost
		all = append(all, s)
	}
	return all
}

// Message takes a datagram of the side channel in. An error says why it was dropped.
func (v *Converger) Message(now time.Time, src netip.Addr, b []byte) (ConvergeOutput, error) {
	v.begin()
	i := slices.IndexFunc(v.peers, func(p *convergePeer) bool { return p.addr == src })
	if i < 0 {
		return v.out, ErrPeer
	}
	var h sideHeader
	body, err := h.parse(b)
	if err != nil {
		return v.out, err
	}
	p := v.peers[i]
	if h.epoch == v.cfg.Epoch || h.epoch == 0 || h.hostID == 0 {
		return v.out, ErrSide
	}
	switch {
	case h.kind == sideHello:
		err = v.hello(now, p, h, body)
	case !p.met() || h.epoch != p.epoch:
		err = ErrSide // from a former life of the peer
	default:
		err = v.message(now, p, h.kind, body)
	}
	v.work(now, p)
	v.wake(v.helloAt)
	return v.out, err
}

// message takes in what is not a hello, from a peer that was met.
func (v *Converger) message(now time.Time, p *convergePeer, kind sideKind, b []byte) error {
	switch kind {
	case sideGroups, sideList:
		if v.leads(p) {
			return fmt.Errorf("%w: a comparison that is ours to begin", ErrSide)
		}
	case sideBuckets, sideResult:
		if !v.leads(p) {
			return fmt.Errorf("%w: the answer to a comparison that is not ours", ErrSide)
		}
	}
	switch kind {
	case sideNack:
		return v.nack(p, b)
	case sideAck:
		if len(b) < 8 {
			return ErrSide
		}
		if n := min(binary.BigEndian.Uint64(b), v.sent.next); n > p.lastAck { // another says nothing new
			p.lastAck, p.acked, p.ackedAt = n, max(p.acked, n), now
		}
		return nil
	case sideAgain, sideForgotten:
		spans, err := parseSpans(b)
		for _, s := range spans {
			p.gaps.fill(s)
		}
		if kind == sideForgotten && err == nil {
			p.compareAt = now
		}
		return err
	case sideGroups:
		return v.groups(now, p, b)
	case sideBuckets:
		return v.buckets(p, b)
	case sideList:
		return v.list(now, p, b)
	case sideWant:
		ids, err := parseIDs(b)
		v.out.Resend = append(v.out.Resend, ids...)
		return err
	case sideResult:
		return v.result(now, p, b)
	}
	return ErrSide
}

// hello takes in who the peer is, and what it has.
func (v *Converger) hello(now time.Time, p *convergePeer, h sideHeader, b []byte) error {
	var m helloMsg
	if err := m.parse(b); err != nil {
		return err
	}
	if h.epoch != p.epoch { // a new peer, or one that has started again
		p.lose()
		p.epoch, p.status.HostID = h.epoch, h.hostID
		p.gaps = gaps{expect: m.next, lost: p.gaps.lost}
		p.acked, p.ackedAt = v.sent.next, now
		v.helloAt = now // so that it knows us, too
	}
	p.heard = now
	p.status.States = int(min(m.states, 1<<32))
	if m.echo != v.cfg.Epoch {
		p.echoed = false
		return nil
	}
	if !p.echoed {
		p.echoed = true
		p.compareAt = now.Add(v.cfg.Settle)
		v.helloAt = now
	}
	p.gaps.doubt(m.next)
	if !p.gaps.until(now, m.next) {
		p.compareAt = now
	}
	switch {
	case m.root == v.root():
		p.agree(now)
	case p.compareAt.IsZero():
		p.compareAt = now
	}
	return nil
}

// nack has what was in lost frames sent again.
func (v *Converger) nack(p *convergePeer, b []byte) error {
	spans, err := parseSpans(b)
	if err != nil {
		return err
	}
	var again, forgotten []span
	var last uint64
	for _, s := range spans {
		if s.from <= last {
			continue // asked for twice: the spans of a peer are in order
		}
		last = max(s.to, s.from)
		first := uint64(1)
		if v.sent.next > sentFrames {
			first = v.sent.next - sentFrames
		}
		known := s.from >= first && s.to < v.sent.next && s.from <= s.to
		v.ids = v.ids[:0]
		for n := s.from; known && n <= s.to; n++ {
			v.ids, known = v.sent.about(n, v.ids)
		}
		if !known || len(v.out.Resend)+len(v.ids) > sentIDs {
			forgotten = append(forgotten, s)
			continue
		}
		v.out.Resend = append(v.out.Resend, v.ids...)
		again = append(again, s)
	}
	if again != nil {
		v.send(p, sideAgain, func(b []byte) []byte { return appendSpans(b, again) })
	}
	if forgotten != nil {
		v.send(p, sideForgotten, func(b []byte) []byte { return appendSpans(b, forgotten) })
	}
	return nil
}
