package pfsync

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMemoryCollision is pf_state_key_attach. The rows that name a capture were
// seen on a kernel; the others follow the sources.
func TestMemoryCollision(t *testing.T) {
	k := func(port uint16) Key {
		return Key{AF: AFInet, Proto: protoTCP, Port: [2]uint16{port, 443}, Addr: [2]Addr{{10, 0, 0, 1}, {192, 0, 2, 1}}}
	}
	k6 := func(port uint16) Key { key := k(port); key.AF = AFInet6; return key }
	type state struct {
		ifname      string
		dir         Direction
		wire, stack Key
		src, dst    PeerState
	}
	const (
		taken    = "refused"
		free     = "inserted"
		replaces = "replaces"
	)
	plain := state{"all", In, k(1), k(1), 4, 4}
	for _, tc := range []struct {
		what             string
		old, young       state
		openbsd, freebsd string
	}{
		{"same key (pfsync-receive, pfsync-probe)", plain, plain, taken, taken},
		{"opposite direction (pfsync-probe)", plain, state{"all", Out, k(1), k(1), 4, 4}, free, free},
		{"other interface", plain, state{"em0", In, k(1), k(1), 4, 4}, free, free},
		{"same interface, but for what stands behind the NUL", plain, state{"all\x00rest", In, k(1), k(1), 4, 4}, taken, taken},
		{"other port", plain, state{"all", In, k(2), k(2), 4, 4}, free, free},

		{"FIN_WAIT_2 and TIME_WAIT", state{"all", In, k(1), k(1), 9, 10}, plain, replaces, replaces},
		{"both reset", state{"all", In, k(1), k(1), 10, 10}, plain, replaces, replaces},
		{"source not there yet", state{"all", In, k(1), k(1), 8, 10}, plain, taken, taken},
		{"destination not there yet", state{"all", In, k(1), k(1), 10, 8}, plain, taken, taken},

		{"same wire key", state{"all", Out, k(1), k(2), 4, 4}, state{"all", Out, k(1), k(3), 4, 4}, taken, taken},
		{"same stack key", state{"all", Out, k(1), k(2), 4, 4}, state{"all", Out, k(3), k(2), 4, 4}, taken, taken},
		{"its wire key is a stack key", state{"all", Out, k(1), k(2), 4, 4}, state{"all", Out, k(2), k(3), 4, 4}, taken, free},
		{"its stack key is a wire key", state{"all", Out, k(1), k(2), 4, 4}, state{"all", Out, k(3), k(1), 4, 4}, taken, free},
		{"one key, which is a stack key", state{"all", Out, k(1), k(2), 4, 4}, state{"all", Out, k(2), k(2), 4, 4}, taken, taken},
		{"same stack key, over", state{"all", Out, k(1), k(2), 9, 9}, state{"all", Out, k(3), k(2), 4, 4}, replaces, replaces},

		{"af-to: inside it is the other direction", state{"all", In, k6(1), k(1), 4, 4}, state{"all", Out, k(1), k(1), 4, 4}, taken, taken},
		{"af-to: outside it is the same", state{"all", In, k6(1), k(1), 4, 4}, state{"all", In, k6(1), k6(1), 4, 4}, taken, taken},
		{"af-to: nothing inside comes in", state{"all", In, k6(1), k(1), 4, 4}, plain, free, free},
	} {
		for d := OpenBSD; d <= FreeBSD15; d++ {
			want := tc.freebsd
			if d == OpenBSD {
				want = tc.openbsd
			}
			m := newMemory(t, MemoryConfig{Dialect: d})
			add := func(i int, s state) error {
				st := memState(i)
				copy(st.IfName[:], s.ifname+"\x00")
				st.Direction, st.Wire, st.Stack, st.Src.State, st.Dst.State = s.dir, s.wire, s.stack, s.src, s.dst
				return m.Insert(memStart, st, nil)
			}
			if err := add(1, tc.old); err != nil {
				t.Fatal(err)
			}
			err := add(2, tc.young)
			got := taken
			switch s := m.Stats(); {
			case err == nil && s.Replaced == 1 && s.States == 1:
				got = replaces
			case err == nil && s.Replaced == 0 && s.States == 2:
				got = free
			case err != ErrExists || s.Exists != 1 || s.States != 1:
				got = "?"
			}
			if got != want {
				t.Errorf("%v: %s: %s (%v), want %s", d, tc.what, got, err, want)
			}
		}
	}
}

// TestMemoryCollisionUDP: only TCP connections are ever over.
func TestMemoryCollisionUDP(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	a, b := memState(1), memState(1)
	a.Wire.Proto, a.Src.State, a.Dst.State = 17, TCPTimeWait, TCPTimeWait
	a.Stack = a.Wire
	b.ID, b.Wire, b.Stack = 99, a.Wire, a.Stack
	mustInsert(t, m, memStart, a)
	if err := m.Insert(memStart, b, nil); err != ErrExists {
		t.Error(err)
	}
}

// TestMemoryCollisionTwice: a state may be in the way of two. It replaces both or
// none.
func TestMemoryCollisionTwice(t *testing.T) {
	for _, alive := range []PeerState{TCPEstablished, TCPTimeWait} {
		m := newMemory(t, MemoryConfig{Limit: 2})
		a, b, both := memState(1), memState(2), memState(3)
		a.Src.State, a.Dst.State = TCPTimeWait, TCPTimeWait
		b.Src.State, b.Dst.State = alive, alive
		both.Wire, both.Stack = a.Wire, b.Wire
		mustInsert(t, m, memStart, a, b)
		err := m.Insert(memStart, both, nil)
		want := MemoryStats{States: 1, Limit: 2, Names: 1, Inserted: 3, Replaced: 2}
		if alive == TCPEstablished {
			want = MemoryStats{States: 2, Limit: 2, Names: 1, Inserted: 2, Exists: 1}
		}
		if diff := cmp.Diff(want, m.Stats()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}
