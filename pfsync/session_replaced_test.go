package pfsync_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// TestReplaced: a connection that is over makes way for the next one between the same
// ports, and the peers and who watches hear that it is gone, as of any other.
func TestReplaced(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for d := pfsync.OpenBSD; d <= pfsync.FreeBSD15; d++ {
		store, err := pfsync.NewMemory(pfsync.MemoryConfig{Dialect: d})
		if err != nil {
			t.Fatal(err)
		}
		var removed []pfsync.StateID
		s, err := pfsync.NewSession(pfsync.Config{Dialect: d, HostID: 1, Watch: func(c pfsync.Change) {
			if c.Op == pfsync.ChangeDelete {
				removed = append(removed, c.State.StateID)
			}
		}}, store)
		if err != nil {
			t.Fatal(err)
		}
		s.Step(now, pfsync.Event{Kind: pfsync.EventUp})
		over := testState(pfsync.StateID{ID: 1, CreatorID: 1})
		over.Wire.Proto, over.Stack.Proto = over.Proto, over.Proto
		over.Src.State, over.Dst.State = pfsync.TCPTimeWait, pfsync.TCPTimeWait
		if err := store.Insert(now, &over, nil); err != nil {
			t.Fatal(err)
		}
		young := testState(pfsync.StateID{ID: 9, CreatorID: 2})
		young.Wire, young.Stack = over.Wire, over.Stack
		w := pfsync.NewWriter(d, 0, 1500)
		w.Reset(nil)
		w.Ins(&young)
		s.Step(now, pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
		want := []pfsync.StateID{over.StateID}
		if got := deletions(d, s.Step(now, pfsync.Event{Kind: pfsync.EventFlush}).Frames); !slices.Equal(got, want) {
			t.Errorf("%v: told the peers that %v are gone, want %v", d, got, want)
		}
		if !slices.Equal(removed, want) {
			t.Errorf("%v: told the watcher that %v are gone, want %v", d, removed, want)
		}
	}
}

// TestDeleteByState: a removed state can be told by itself.
func TestDeleteByState(t *testing.T) {
	now := time.Unix(1700000000, 0)
	store, err := pfsync.NewMemory(pfsync.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pfsync.NewSession(pfsync.Config{HostID: 1}, store)
	if err != nil {
		t.Fatal(err)
	}
	s.Step(now, pfsync.Event{Kind: pfsync.EventUp})
	st := testState(pfsync.StateID{ID: 7, CreatorID: 1})
	s.Step(now, pfsync.Event{Kind: pfsync.EventDelete, State: &st})
	got := deletions(pfsync.OpenBSD, s.Step(now, pfsync.Event{Kind: pfsync.EventFlush}).Frames)
	if want := []pfsync.StateID{st.StateID}; !slices.Equal(got, want) {
		t.Errorf("told the peers that %v are gone, want %v", got, want)
	}
}

// deletions are the states that DEL_C are about.
func deletions(d pfsync.Dialect, frames [][]byte) (ids []pfsync.StateID) {
	for _, b := range frames {
		f, err := pfsync.Parse(d, b)
		if err != nil {
			panic(err)
		}
		for sec := range f.Sections() {
			for msg := range sec.Messages() {
				if sec.Action == pfsync.ActDelC {
					var id pfsync.StateID
					id.UnmarshalBinary(msg)
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}
