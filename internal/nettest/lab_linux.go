package nettest

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

// Pair is two nodes, a and b, on one segment called lan.
func Pair(t testing.TB) (a, b *netns.NS, lab *netns.Lab) {
	t.Helper()
	lab = netns.New(t, "a", "b")
	lab.Bridge("lan", "a", "b")
	a, b = lab.NS("a"), lab.NS("b")
	a.Addr("lan", "192.0.2.1/24", "2001:db8::1/64")
	b.Addr("lan", "192.0.2.2/24", "2001:db8::2/64")
	return a, b, lab
}

// TwoPaths is a Pair with a second segment, back. The addresses 203.0.113.9 and
// 2001:db8:9::9 of b's lan are best reached by it.
func TwoPaths(t testing.TB) (a, b *netns.NS) {
	t.Helper()
	a, b, lab := Pair(t)
	lab.Bridge("back", "a", "b")
	a.Addr("back", "198.51.100.1/24", "2001:db8:b::1/64")
	b.Addr("back", "198.51.100.2/24", "2001:db8:b::2/64")
	b.Addr("lan", "203.0.113.9/32", "2001:db8:9::9/128")
	a.IP("route add 203.0.113.9 via 198.51.100.2 metric 1")
	a.IP("route add 203.0.113.9 via 192.0.2.2 metric 9")
	a.IP("-6 route add 2001:db8:9::9 via 2001:db8:b::2 metric 1")
	a.IP("-6 route add 2001:db8:9::9 via 2001:db8::2 metric 9")
	return a, b
}

// LinkLocal is the IPv6 link-local address of an interface.
func LinkLocal(ns *netns.NS, ifname string) netip.Addr {
	return netip.MustParseAddr(strings.Split(strings.Fields(ns.IP("-6 -br addr show dev %s scope link", ifname))[2], "/")[0])
}

// Index is the index of an interface.
func Index(t testing.TB, ns *netns.NS, ifname string) int {
	t.Helper()
	var nic *net.Interface
	var err error
	ns.Do(func() { nic, err = net.InterfaceByName(ifname) })
	if err != nil {
		t.Fatal(err)
	}
	return nic.Index
}

// Memberships are the lines of "ip maddr" about an interface that have one of the
// words: groups, with their numbers of users.
func Memberships(ns *netns.NS, ifname string, words ...string) string {
	var lines []string
	for line := range strings.Lines(ns.IP("maddr show dev %s", ifname)) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
