package pfsync

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDefaultTimeouts holds the table against pf.conf(5).
func TestDefaultTimeouts(t *testing.T) {
	for _, tc := range []struct {
		class   Timeout
		name    string
		seconds int
	}{
		{0, "tcp.first", 120}, {1, "tcp.opening", 30}, {2, "tcp.established", 86400}, {3, "tcp.closing", 900},
		{4, "tcp.finwait", 45}, {5, "tcp.closed", 90}, {6, "udp.first", 60}, {7, "udp.single", 30},
		{8, "udp.multiple", 60}, {9, "icmp.first", 20}, {10, "icmp.error", 10}, {11, "other.first", 60},
		{12, "other.single", 30}, {13, "other.multiple", 60}, {15, "interval", 10}, {19, "tsdiff", 30},
		{20, "sctp.first", 120}, {21, "sctp.opening", 30}, {22, "sctp.established", 86400},
		{23, "sctp.closing", 900}, {24, "sctp.closed", 90},
	} {
		if got := tc.class.String(); got != tc.name {
			t.Errorf("class %d is %s, want %s", tc.class, got, tc.name)
		}
		for d := OpenBSD; d <= FreeBSD15; d++ {
			got, ok := d.Timeouts()[tc.class]
			if want := tc.class < 20 || d >= FreeBSD14; ok != want || ok && got != time.Duration(tc.seconds)*time.Second {
				t.Errorf("%v: %s: %v, %v", d, tc.name, got, ok)
			}
		}
	}
	if o, f := OpenBSD.Timeouts()[14], FreeBSD12.Timeouts()[14]; o != time.Minute || f != 30*time.Second {
		t.Errorf("frag: %v and %v", o, f)
	}
}

// TestExpireClasses puts a state in each of the 256 classes that the wire has room
// for, and waits for its end to the nanosecond.
func TestExpireClasses(t *testing.T) {
	for d := OpenBSD; d <= FreeBSD15; d++ {
		override := Timeouts{UDPSingle: 1500 * time.Millisecond, OtherFirst: 0}
		life := d.Timeouts()
		for class, l := range override {
			life[class] = l
		}
		for class := range 256 {
			m := newMemory(t, MemoryConfig{Dialect: d, Timeouts: override})
			st := memState(class)
			st.Timeout = Timeout(class)
			mustInsert(t, m, memStart, st)
			var gone []StateID
			expire := func(at time.Duration) int {
				return m.Expire(memStart.Add(at), func(id StateID) { gone = append(gone, id) })
			}
			end := life[st.Timeout]
			if n := expire(end - 1); n != 0 || m.Len() != 1 {
				t.Errorf("%v: %v: gone before %v", d, st.Timeout, end)
			}
			if n := expire(end); n != 1 || m.Len() != 0 || cmp.Diff([]StateID{st.StateID}, gone) != "" {
				t.Errorf("%v: %v: not gone after %v: %v", d, st.Timeout, end, gone)
			}
			if s := m.Stats(); s.Expired != 1 || s.Deleted != 0 {
				t.Errorf("%+v", s)
			}
		}
	}
}

// TestExpireImported: what a peer says is left counts, up to the whole time-out.
func TestExpireImported(t *testing.T) {
	for _, tc := range []struct {
		expire uint32
		life   time.Duration
	}{{0, time.Minute}, {1, time.Second}, {59, 59 * time.Second}, {60, time.Minute}, {61, time.Minute}, {1<<32 - 1, time.Minute}} {
		m := newMemory(t, MemoryConfig{})
		st := memState(1)
		st.Timeout, st.Expire = UDPMultiple, tc.expire
		mustInsert(t, m, memStart, st)
		if early, late := m.Expire(memStart.Add(tc.life-1), nil), m.Expire(memStart.Add(tc.life), nil); early != 0 || late != 1 {
			t.Errorf("expire %d: %d gone before %v, %d then", tc.expire, early, tc.life, late)
		}
	}
}

// TestExpireUpdated: activity makes a state live on, a class lets it live longer or
// shorter, and a due one that is still there comes back.
func TestExpireUpdated(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	st := memState(1)
	st.Timeout = TCPFirst // 120 s
	mustInsert(t, m, memStart, st)
	for _, step := range []struct {
		at    time.Duration
		keep  Keep
		class Timeout
		end   time.Duration
	}{
		{100 * time.Second, KeepNothing, TCPEstab, 120 * time.Second},
		{110 * time.Second, KeepPeers, TCPEstab, 120 * time.Second},
		{115 * time.Second, KeepAll, TCPFirst, 235 * time.Second},
		{116 * time.Second, KeepAll, TCPOpening, 146 * time.Second},
		{200 * time.Second, KeepAll, TCPEstab, (200 + 86400) * time.Second},
		{201 * time.Second, KeepAll, TCPClosedTimeout, 291 * time.Second},
	} {
		m.Update(memStart.Add(step.at), st.StateID, func(st *State) Keep { st.Timeout = step.class; return step.keep })
		want := uint32(max(step.end-step.at, 0) / time.Second)
		if got := mustGet(t, m, memStart.Add(step.at), st.StateID).Expire; got != want {
			t.Errorf("at %v: %d s left, want %d", step.at, got, want)
		}
		if early := m.Expire(memStart.Add(step.end-1), nil); early != 0 {
			t.Fatalf("at %v: gone before %v", step.at, step.end)
		}
	}
	if m.Expire(memStart.Add(291*time.Second), nil) != 1 {
		t.Error("still there at last")
	}
}

// TestExpireBatch: one call does not do everything, and the next goes on there.
func TestExpireBatch(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	const n = 2*ExpireBatch + 1000
	for i := range n {
		mustInsert(t, m, memStart, memState(i))
	}
	late := memStart.Add(24 * time.Hour)
	seen := make(map[StateID]bool)
	var got []int
	for m.Len() > 0 {
		got = append(got, m.Expire(late, func(id StateID) {
			if seen[id] || m.Get(late, id, new(State)) {
				t.Fatalf("%v twice, or still there", id)
			}
			seen[id] = true
		}))
	}
	if diff := cmp.Diff([]int{ExpireBatch, ExpireBatch, 1000}, got); diff != "" || len(seen) != n {
		t.Errorf("%d in all (-want +got):\n%s", len(seen), diff)
	}
	if m.Expire(late, nil) != 0 {
		t.Error("there are more than there were")
	}
}

// TestExpireFair: new states that are due as soon as they come do not keep the
// others from their end.
func TestExpireFair(t *testing.T) {
	t.Parallel()
	m := newMemory(t, MemoryConfig{Timeouts: Timeouts{UDPSingle: 0}})
	const n = 2*ExpireBatch + 1000
	for i := range n {
		mustInsert(t, m, memStart, memState(i))
	}
	late := memStart.Add(24 * time.Hour)
	old := n
	for range 3 {
		var again []StateID
		m.Expire(late, func(id StateID) { again = append(again, id) })
		for _, id := range again {
			st := memState(int(uint32(id.ID)))
			if st.CreatorID == id.CreatorID {
				old--
			}
			st.CreatorID, st.Timeout = 1, UDPSingle
			_ = m.Insert(late, st, nil) // where it was, or elsewhere
		}
	}
	if old > 0 {
		t.Errorf("%d states are still waiting for their turn", old)
	}
}

func TestExpireEmpty(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	if n := m.Expire(memStart, func(StateID) { t.Error("called") }); n != 0 {
		t.Error(n)
	}
}

// TestAdaptive is pf_state_expires in numbers: udp.multiple is 60 s.
func TestAdaptive(t *testing.T) {
	for _, tc := range []struct {
		states int
		left   uint32
	}{{1, 60}, {1000, 60}, {1001, 59}, {1500, 30}, {1750, 15}, {1999, 0}, {2000, 0}, {2500, 0}} {
		m := newMemory(t, MemoryConfig{AdaptiveStart: 1000, AdaptiveEnd: 2000})
		for i := range tc.states {
			st := memState(i)
			st.Timeout = UDPMultiple
			mustInsert(t, m, memStart, st)
		}
		if got := mustGet(t, m, memStart, memState(0).StateID).Expire; got != tc.left {
			t.Errorf("%d states: %d s left, want %d", tc.states, got, tc.left)
		}
	}
}

// TestAdaptiveRelief: states that are due only because they are too many go until
// they are not, and no further.
func TestAdaptiveRelief(t *testing.T) {
	for _, tc := range []struct{ age, left int }{
		{0, 1983}, {1, 1966}, {30, 1483}, {58, 1016}, {59, 1000}, {60, 0},
	} {
		m := newMemory(t, MemoryConfig{AdaptiveStart: 1000, AdaptiveEnd: 2000})
		for i := range 2500 {
			st := memState(i)
			st.Timeout = UDPMultiple
			mustInsert(t, m, memStart, st)
		}
		m.Expire(memStart.Add(time.Duration(tc.age)*time.Second), nil)
		if m.Len() != tc.left {
			t.Errorf("after %d s %d states are left, want %d", tc.age, m.Len(), tc.left)
		}
	}
}

func ExampleMemory_Expire() {
	m, err := NewMemory(MemoryConfig{Timeouts: Timeouts{UDPSingle: 10 * time.Second}})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	_ = m.Insert(now, &State{StateID: StateID{ID: 1, CreatorID: 2}, Timeout: UDPSingle}, nil)
	for range 3 {
		m.Expire(now, func(id StateID) { fmt.Println(now.Format(time.TimeOnly), "expired:", id) })
		now = now.Add(5 * time.Second)
	}
	// Output: 00:00:10 expired: 0000000000000001/00000002
}
