package rtnl

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDefaultRoute(t *testing.T) {
	t.Parallel()
	c, lab := open(t)
	lan, a := mustLink(t, c, "lan"), lab.NS("a")
	a.Addr("lan", "192.0.2.1/24")
	gateway := netip.MustParseAddr("192.0.2.254")
	if err := c.AddDefaultRoute(lan.Index, gateway); err != nil {
		t.Fatal(err)
	}
	const want = "default via 192.0.2.254 dev lan proto static"
	if out := strings.TrimSpace(a.IP("route show default")); out != want {
		t.Errorf("ip route says %q, want %q", out, want)
	}
	if err := c.AddDefaultRoute(lan.Index, gateway); !errors.Is(err, unix.EEXIST) {
		t.Errorf("added twice: %v", err)
	}
	if err := c.SetUp(lan.Index, false); err != nil {
		t.Fatal(err)
	}
	if out := a.IP("route show default"); out != "" {
		t.Errorf("the link is down, and the route still there: %s", out)
	}
	if err := c.AddDefaultRoute(4711, gateway); err == nil {
		t.Error("a link that is not there was accepted")
	}
	if err := c.AddDefaultRoute(lan.Index, netip.IPv6LinkLocalAllNodes()); err == nil {
		t.Error("an IPv6 gateway was accepted")
	}
}
