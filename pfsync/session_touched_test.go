package pfsync

import (
	"testing"
	"time"
)

// TestTouchedUntilGone: a state that is gone was touched by nobody, should it come back;
// and one that comes with a bulk update only if it was touched before.
func TestTouchedUntilGone(t *testing.T) {
	store, err := NewMemory(MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(Config{HostID: 1}, store)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	step := func(ev Event) {
		now = now.Add(10 * time.Millisecond)
		s.Step(now, ev)
	}
	w := NewWriter(OpenBSD, 0, 1500)
	receive := func(message func() bool) {
		w.Reset(nil)
		message()
		step(Event{Kind: EventPacket, Packet: Packet{Data: w.Bytes(), TTL: 255}})
	}
	state := func(id uint64) *State {
		st := &State{StateID: StateID{id, 2}, AF: AFInet, Timeout: TCPEstab}
		st.Wire.Addr[0] = Addr{10, uint8(id)}
		st.Stack = st.Wire
		return st
	}
	st := state(1)
	insert := func() { receive(func() bool { return w.Ins(st) }) }
	want := func(what string, id StateID, now bool) {
		t.Helper()
		if at := s.touched.at(id); (at == s.clock) != now || !now && at != 0 {
			t.Errorf("%s: touched at %v, and it is %v", what, at, s.clock)
		}
		checkTouched(t, &s.touched)
	}

	step(Event{Kind: EventLinkUp})
	step(Event{Kind: EventUp})
	insert()
	want("a peer inserted it", st.StateID, true)
	receive(func() bool { return w.DelC(st.StateID) })
	want("a peer deleted it", st.StateID, false)

	insert()
	store.Delete(st.StateID)
	step(Event{Kind: EventDelete, ID: st.StateID})
	step(Event{Kind: EventFlush})
	want("it was deleted here", st.StateID, false)

	insert()
	step(Event{Kind: EventInsert, State: st})
	store.Delete(st.StateID)
	step(Event{Kind: EventDelete, ID: st.StateID})
	want("it was deleted before it was announced", st.StateID, false)

	insert()
	store.Delete(st.StateID)
	receive(func() bool { return w.Bus(&Bus{CreatorID: 2, Status: BusStart}) })
	insert()
	want("a bulk update brought it again", st.StateID, true)
	other := state(2)
	receive(func() bool { return w.Ins(other) })
	want("a bulk update brought it", other.StateID, false)
	if store.Len() != 2 {
		t.Errorf("%d states, want 2", store.Len())
	}
}
