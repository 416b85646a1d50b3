package pfsync

import (
	"slices"
	"testing"
	"time"
)

// TestDue finds what Expire would remove, as much as there is room for, and leaves it.
func TestDue(t *testing.T) {
	m := newMemory(t, MemoryConfig{Dialect: OpenBSD})
	ids := make([]StateID, 100)
	if n := m.Due(memStart, ids); n != 0 {
		t.Fatalf("%d are due in an empty table", n)
	}
	var old []StateID
	for i := range 60 {
		st := memState(i)
		st.Timeout = UDPSingle
		if i%2 == 0 {
			st.Timeout = UDPMultiple
		} else {
			old = append(old, st.StateID)
		}
		mustInsert(t, m, memStart, st)
	}
	if n := m.Due(memStart.Add(30*time.Second-1), ids); n != 0 {
		t.Errorf("%d are due too early", n)
	}
	at := memStart.Add(30 * time.Second)
	if n := m.Due(at, ids[:7]); n != 7 {
		t.Errorf("%d are due, want as many as there is room for", n)
	}
	for range 2 {
		got := slices.Clone(ids[:m.Due(at, ids)])
		slices.SortFunc(got, func(a, b StateID) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		slices.SortFunc(old, func(a, b StateID) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		if !slices.Equal(got, old) {
			t.Fatalf("%d are due, want %d others", len(got), len(old))
		}
	}
	m.Update(at, old[0], func(*State) Keep { return KeepAll })
	if n := m.Due(at, ids); n != len(old)-1 {
		t.Errorf("%d are due after one was used, want %d", n, len(old)-1)
	}
	if n := m.Expire(at, nil); n != len(old)-1 {
		t.Errorf("%d have expired, want %d", n, len(old)-1)
	}
}
