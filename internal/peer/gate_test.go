package peer

import (
	"net/netip"
	"testing"
)

// TestGate: nobody gets more than a few connections, and others never take the peer's.
func TestGate(t *testing.T) {
	peer := netip.MustParseAddr("fe80::1")
	g := &gate{peer: peer, from: make(map[netip.Addr]int)}
	first := netip.MustParseAddr("10.0.0.1")
	next, in := first, 0
	for range 100 { // many sources
		if g.enter(next) {
			in++
		}
		next = next.Next()
	}
	if in != maxOthers {
		t.Errorf("%d of others are in, want %d", in, maxOthers)
	}
	in = 0
	for range 100 {
		if g.enter(peer) {
			in++
		}
	}
	if in != maxPerSource {
		t.Errorf("%d of the peer are in, want %d", in, maxPerSource)
	}
	g.leave(first)
	g.leave(peer)
	if !g.enter(peer) || !g.enter(first) || g.enter(first) || g.enter(peer) {
		t.Error("there is room for one of each")
	}
	for next = first; g.from[next] > 0; next = next.Next() {
		g.leave(next)
	}
	for g.from[peer] > 0 {
		g.leave(peer)
	}
	if len(g.from) != 0 || g.others != 0 {
		t.Errorf("all have left: %v, %d", g.from, g.others)
	}
	for in = 0; g.enter(first); in++ {
	}
	if in != maxPerSource {
		t.Errorf("%d of one source are in, want %d", in, maxPerSource)
	}
}
