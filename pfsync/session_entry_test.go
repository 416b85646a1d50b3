package pfsync

import (
	"math/rand/v2"
	"testing"
	"time"
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
		if len(s.entries.byID) != 0 || len(s.defers) != 0 || !s.deadline().IsZero() {
			t.Errorf("seed %d: %d entries, %d deferrals, deadline %v after down", seed, len(s.entries.byID), len(s.defers), s.deadline())
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
	queued, deferred, touched := 0, 0, 0
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
				if e.queue != queue(q) || e.prev != prev || s.slice(e.id) != sl || s.entries.byID[e.id] != e {
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
	var older *entry
	for e := s.entries.oldest; e != nil; e = e.newer {
		if e.older != older || e.touched == 0 || older != nil && older.touched > e.touched || s.entries.byID[e.id] != e {
			fail("a wrong entry among those that were touched: %+v", e)
		}
		older = e
		touched++
	}
	if s.entries.newest != older {
		fail("those that were touched end elsewhere")
	}
	for id, e := range s.entries.byID {
		if e.id != id || e.queue == qNone && e.touched == 0 && !e.deferred {
			fail("an entry with nothing to remember: %+v", e)
		}
		if e.queue != qNone {
			queued--
		}
		if e.touched != 0 {
			touched--
		}
		if e.deferred {
			deferred++
		}
	}
	if queued != 0 || touched != 0 || deferred != len(s.defers) {
		fail("%d queued, %d touched, %d deferred too many", queued, touched, deferred-len(s.defers))
	}
	seen := make(map[*entry]bool)
	for e := s.entries.free; e != nil; e = e.next {
		if seen[e] || s.entries.byID[e.id] == e {
			fail("a free entry is in use: %+v", e)
		}
		seen[e] = true
	}
}

// TestEntriesForget: the memory follows the activity, and goes when that was large.
func TestEntriesForget(t *testing.T) {
	const n = keepEntries + 1000
	store, _ := NewMemory(MemoryConfig{Limit: n})
	s, err := NewSession(Config{HostID: 1}, store)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	s.Step(now, Event{Kind: EventUp})
	w := NewWriter(OpenBSD, 0, 9000)
	for i := 0; i < n; {
		w.Reset(nil)
		for ; i < n; i++ {
			st := State{StateID: StateID{ID: uint64(i), CreatorID: 2}, AF: AFInet, Timeout: TCPEstab}
			st.Wire.Addr[0] = Addr{10, uint8(i >> 16), uint8(i >> 8), uint8(i)}
			if st.Stack = st.Wire; !w.Ins(&st) {
				break
			}
		}
		s.Step(now, Event{Kind: EventPacket, Packet: Packet{Data: w.Bytes(), TTL: 255}})
	}
	if got := len(s.entries.byID); got != n {
		t.Fatalf("%d entries after %d inserts", got, n)
	}
	now = now.Add(touchedFor)
	steps := 0
	for ; len(s.entries.byID) > 0 && steps < n; steps++ {
		before := len(s.entries.byID)
		s.Step(now, Event{Kind: EventTimer})
		if forgot := before - len(s.entries.byID); forgot == 0 || forgot > maxSweep {
			t.Fatalf("%d entries were forgotten in one step", forgot)
		}
	}
	if s.entries.free != nil || s.entries.peak != 0 {
		t.Errorf("the memory of %d entries is kept", s.entries.peak)
	}
}
