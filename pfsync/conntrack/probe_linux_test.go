package conntrack

import (
	"net/netip"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	netns.Require(t, "nft")
	const (
		track = "table inet t { chain c { type filter hook output priority 0; ct state new accept; }; }"
		nat4  = "table ip n { chain c { type nat hook prerouting priority 0; }; }"
		nat6  = "table ip6 n { chain c { type nat hook postrouting priority 0; }; }"
		skip  = "table inet s { chain c { type filter hook output priority -300; oif lo notrack; }; }"
	)
	for _, row := range []struct {
		name   string
		rules  []string
		v4, v6 Effect
	}{
		{"no rules", nil, Effect{}, Effect{}},
		{"a rule that uses conntrack", []string{track}, Effect{Tracked: true}, Effect{Tracked: true}},
		{"NAT chains without rules, and nothing that tracks", []string{nat4, nat6}, Effect{}, Effect{}},
		{"NAT of IPv4", []string{track, nat4}, Effect{true, true}, Effect{Tracked: true}},
		{"NAT of both", []string{track, nat4, nat6}, Effect{true, true}, Effect{true, true}},
		{"the loopback is exempt", []string{track, nat4, nat6, skip}, Effect{}, Effect{}},
	} {
		tb := aTable(t)
		for _, r := range row.rules {
			tb.rules(r)
		}
		for addr, want := range map[string]Effect{"127.0.0.1": row.v4, "::1": row.v6} {
			got := opened(t, tb.ns, func() (Effect, error) { return Probe(netip.MustParseAddr(addr)) })
			if got != want {
				t.Errorf("%s: %s: %+v, want %+v", row.name, addr, got, want)
			}
		}
		if n := len(tb.all()); n != 0 {
			t.Errorf("%s: %d entries are left:%s", row.name, n, tb.list())
		}
	}
}

func TestProbeFails(t *testing.T) {
	t.Parallel()
	netns.Require(t, "nft")
	tb := aTable(t)
	tb.rules("table inet t { chain c { type filter hook input priority 0; iif lo drop; }; }")
	var err error
	tb.ns.Do(func() { _, err = Probe(netip.MustParseAddr("127.0.0.1")) })
	if err == nil {
		t.Error("the packet was dropped, and the probe says nothing")
	} else {
		t.Log(err)
	}
	if n := len(tb.all()); n != 0 {
		t.Errorf("%d entries are left:%s", n, tb.list())
	}
}
