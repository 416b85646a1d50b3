package pfsync

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// TestEntries plays random events and looks after each of them whether what the
// session remembers fits together.
func TestEntries(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := Dialect(seed % 4)
		store, err := NewMemory(MemoryConfig{Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSession(Config{
			Dialect: d, HostID: 1, MTU: 800, Slices: 1 + int(seed%3), Defer: true, DeferLimit: 5, KernelExact: seed%5 == 0,
		}, store)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1700000000, 0)
		s.Step(now, Event{Kind: EventUp})
		for range 1000 {
			now = now.Add(time.Duration(rng.IntN(40)) * 10 * time.Millisecond)
			s.Step(now, randomEvent(t, rng, now, store, d))
			checkEntries(t, s, seed)
		}
		s.Step(now, Event{Kind: EventDown})
		if s.entries.n != 0 || s.touched.n != 0 || len(s.defers) != 0 || !s.deadline().IsZero() {
			t.Errorf("seed %d: %d entries, %d touches, %d deferrals, deadline %v after down",
				seed, s.entries.n, s.touched.n, len(s.defers), s.deadline())
		}
	}
}

// randomEvent changes the table and tells what it did, or is a frame of a peer.
func randomEvent(t *testing.T, rng *rand.Rand, now time.Time, store *Memory, d Dialect) Event {
	t.Helper()
	st := randomState(rng)
	switch rng.IntN(9) {
	case 0:
		return Event{Kind: EventTimer}
	case 1:
		store.Insert(now, &st, nil)
		return Event{Kind: EventInsert, State: &st}
	case 2, 3:
		return Event{Kind: EventUpdate, ID: st.StateID, Proto: st.Proto}
	case 4:
		store.Delete(st.StateID)
		return Event{Kind: EventDelete, ID: st.StateID}
	case 5:
		return Event{Kind: EventResend, ID: st.StateID}
	case 6:
		if rng.IntN(20) == 0 {
			return Event{Kind: EventClear}
		}
	}
	w := NewWriter(d, 0, 1500)
	for range rng.IntN(6) {
		st := randomState(rng)
		switch rng.IntN(8) {
		case 0:
			w.Ins(&st)
		case 1:
			w.Upd(&st)
		case 2, 3:
			w.UpdC(&UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
		case 4:
			w.UpdReq(st.StateID)
		case 5:
			w.InsAck(st.StateID)
		case 6:
			w.DelC(st.StateID)
		case 7:
			w.Clr(&Clr{CreatorID: st.CreatorID, IfName: Name{'x'}})
		}
	}
	return Event{Kind: EventPacket, Packet: Packet{Data: w.Bytes(), TTL: 255}}
}

func randomState(rng *rand.Rand) State {
	st := State{
		StateID: StateID{ID: uint64(rng.IntN(40)), CreatorID: uint32(1 + rng.IntN(2))},
		IfName:  anyInterface, AF: AFInet, Proto: protoTCP, Direction: Direction(1 + rng.IntN(2)), Timeout: TCPEstab,
	}
	st.Src.State, st.Dst.State = PeerState(rng.IntN(13)), PeerState(rng.IntN(13))
	st.Wire.Addr[0] = Addr{10, uint8(st.ID), uint8(st.CreatorID)}
	st.Stack = st.Wire
	if rng.IntN(4) == 0 {
		st.Flags = FlagAck
	}
	return st
}

func checkEntries(t *testing.T, s *Session, seed uint64) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d: "+format, append([]any{seed}, args...)...)
	}
	byID := make(map[StateID]*entry)
	for i, e := range s.entries.places {
		for ; e != nil; e = e.chain {
			if s.entries.key.place(e.id, len(s.entries.places)) != i || byID[e.id] != nil {
				fail("an entry in a wrong place, or twice: %+v", e)
			}
			byID[e.id] = e
		}
	}
	if len(byID) != s.entries.n {
		fail("%d entries are said to be %d", len(byID), s.entries.n)
	}
	queued, deferred := 0, 0
	for i := range s.slices {
		sl := &s.slices[i]
		size := s.base
		for q := range sl.queues {
			l := &sl.queues[q]
			if (l.head == nil) != (l.tail == nil) {
				fail("half a list in queue %d", q)
			}
			if l.head != nil {
				size += subheaderLen
			}
			var prev *entry
			for e := l.head; e != nil; e = e.next {
				if e.queue != queue(q) || e.prev != prev || s.slice(e.id) != sl || byID[e.id] != e {
					fail("a wrong entry in queue %d: %+v", q, e)
				}
				prev = e
				size += s.sizes[q]
				queued++
			}
			if l.tail != prev {
				fail("queue %d ends elsewhere", q)
			}
		}
		if n := len(sl.requests); n > 0 {
			size += subheaderLen + n*idLen
		}
		if size != sl.size || size > s.cfg.MTU {
			fail("a slice of %d octets says %d of %d", size, sl.size, s.cfg.MTU)
		}
		if sl.due == 0 && size != s.base && len(sl.requests) == 0 {
			fail("what waits has no timer")
		}
	}
	for id, e := range byID {
		if e.id != id || e.queue == qNone && !e.deferred {
			fail("an entry that nothing waits for: %+v", e)
		}
		if e.queue != qNone {
			queued--
		}
		if e.deferred {
			deferred++
		}
	}
	if queued != 0 || deferred != len(s.defers) {
		fail("%d queued, %d deferred too many", queued, deferred-len(s.defers))
	}
	seen := make(map[*entry]bool)
	for e := s.entries.free; e != nil; e = e.next {
		if seen[e] || byID[e.id] == e {
			fail("a free entry is in use: %+v", e)
		}
		seen[e] = true
	}
	checkTouched(t, &s.touched)
}

func checkTouched(t *testing.T, x *touched) {
	t.Helper()
	n := 0
	var older uint32
	var last time.Duration
	for i := x.oldest; i != 0; i = x.touch(i).newer {
		e := x.touch(i)
		if e.older != older || e.at == 0 || e.at < last || x.find(e.stateID()) != i {
			t.Fatalf("a wrong touch, %d: %+v", i, e)
		}
		older, last = i, e.at
		n++
	}
	if x.newest != older || n != x.n {
		t.Fatalf("%d touches, of which %d is the newest; want %d, of which it is %d", n, older, x.n, x.newest)
	}
	placed := 0
	for _, i := range x.places {
		for ; i != 0; i = x.touch(i).chain {
			placed++
		}
	}
	free := 0
	for i := x.free; i != 0; i = x.touch(i).chain {
		free++
	}
	if placed != n || n+free != int(x.made) || int(x.made) > touchBlock*len(x.blocks) {
		t.Fatalf("%d touches, %d in places, %d free, %d ever made", n, placed, free, x.made)
	}
}

// TestTouchedForget: the memory follows the activity, and goes with it even if some of
// that goes on.
func TestTouchedForget(t *testing.T) {
	t.Parallel()
	const n, more = 70_000, 100
	store, _ := NewMemory(MemoryConfig{Limit: n + more})
	s, err := NewSession(Config{HostID: 1}, store)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	s.Step(now, Event{Kind: EventUp})
	w := NewWriter(OpenBSD, 0, 9000)
	tell := func(message func(*State) bool, from, to int) {
		for i := from; i < to; {
			w.Reset(nil)
			for ; i < to; i++ {
				st := State{StateID: StateID{ID: uint64(i), CreatorID: 2}, AF: AFInet, Timeout: TCPEstab}
				st.Wire.Addr[0] = Addr{10, uint8(i >> 16), uint8(i >> 8), uint8(i)}
				if st.Stack = st.Wire; !message(&st) {
					break
				}
			}
			s.Step(now, Event{Kind: EventPacket, Packet: Packet{Data: w.Bytes(), TTL: 255}})
		}
	}
	x := &s.touched
	if tell(w.Ins, 0, n); x.n != maxNotes {
		t.Fatalf("%d touches after %d inserts, want %d", x.n, n, maxNotes)
	}
	if tell(w.Upd, 0, n); x.n != n {
		t.Fatalf("%d touches after %d updates", x.n, n)
	}
	// 100 000 connections are 200 000 of them.
	if octets := uintptr(len(x.blocks)*touchBlock)*unsafe.Sizeof(touch{}) + uintptr(4*len(x.places)); octets > n*40 {
		t.Errorf("%d octets for %d touches", octets, n)
	}
	now = now.Add(touchedFor / 2)
	tell(w.Ins, n, n+more)
	tell(w.Upd, n, n+more)
	now = now.Add(touchedFor / 2)
	steps := 0
	for ; x.n > more && steps < n; steps++ {
		before := x.n
		s.Step(now, Event{Kind: EventTimer})
		if forgot := before - x.n; forgot == 0 || forgot > maxSweep {
			t.Fatalf("%d touches were forgotten in one step", forgot)
		}
	}
	checkTouched(t, x)
	if x.n != more || len(x.blocks) > touchKeep || len(x.places) > touchBlock*touchKeep {
		t.Errorf("%d touches are left, want %d, in %d blocks and %d places", x.n, more, len(x.blocks), len(x.places))
	}
	for i := n; i < n+more; i++ {
		if at := x.at(StateID{ID: uint64(i), CreatorID: 2}); s.clock-at != touchedFor/2 {
			t.Fatalf("a state was touched at %v, and it is %v", at, s.clock)
		}
	}
	now = now.Add(touchedFor / 2)
	s.Step(now, Event{Kind: EventTimer})
	if x.n != 0 {
		t.Errorf("%d touches are left", x.n)
	}
}

// TestTableForgets: neither are entries kept when there were many.
func TestTableForgets(t *testing.T) {
	var x table
	x.reset()
	const n = keepEntries + 1
	for i := range uint64(n) {
		x.get(StateID{ID: i, CreatorID: 1})
	}
	for i := range uint64(n) {
		id := StateID{ID: i, CreatorID: 1}
		if e := x.find(id); e == nil || e != x.get(id) || e.id != id {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
	if x.n != n {
		t.Fatalf("%d entries, want %d", x.n, n)
	}
	for i := range uint64(n) {
		x.settle(x.find(StateID{ID: i, CreatorID: 1}))
	}
	if x.n != 0 || x.free != nil || len(x.places) != blockEntries {
		t.Errorf("%d entries, and %d places are kept", x.n, len(x.places))
	}
}
