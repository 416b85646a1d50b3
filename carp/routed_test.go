package carp_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// FreeBSD does not look at the TTL of what a unicast peer sends: it may be behind
// a router. OpenBSD does.
func TestRouted(t *testing.T) {
	peer := []netip.Addr{netip.MustParseAddr("10.0.9.2")}
	for _, test := range []struct {
		dialect carp.Dialect
		peers   []netip.Addr
		any     bool
		want    error
	}{
		{carp.FreeBSD, peer, false, nil},
		{carp.FreeBSD, nil, false, carp.ErrTTL},
		{carp.FreeBSD, []netip.Addr{netip.MustParseAddr("224.0.0.19")}, false, carp.ErrTTL},
		{carp.OpenBSD, peer, false, carp.ErrTTL},
		{carp.OpenBSD, peer, true, nil},
	} {
		c := host()
		c.Dialect, c.Peers, c.AnyTTL = test.dialect, test.peers, test.any
		a, err := carp.NewVirtualHost(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Counter += 1000
		b, err := carp.NewVirtualHost(c)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		b.Step(now, carp.Event{Kind: carp.EventUp})
		p := a.AppendPackets(nil, now, carp.Header{VHID: c.VHID, AdvBase: 1})[0]
		p.Src, p.TTL = netip.MustParseAddr("10.0.8.2"), 63
		if _, err := b.Receive(now, &p); !errors.Is(err, test.want) {
			t.Errorf("%v, peers %v, any %v: %v, want %v", test.dialect, test.peers, test.any, err, test.want)
		}
	}
}
