package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

// one is for the scenarios of FreeBSD's carp.sh: equal nodes, of which exactly
// one has the addresses soon, and they answer.
func (b *bench) one(addrs ...string) {
	b.t.Helper()
	netns.Require(b.t, "ping")
	b.await("one master", func() bool { return len(b.holders(addrs[0])) == 1 })
	b.ping("one master", addrs...)
	b.await("one master with all addresses", func() bool {
		master := b.holders(addrs[0]) // equals may have clashed in between
		return len(master) == 1 && !slices.ContainsFunc(addrs, func(a string) bool { return !slices.Equal(b.holders(a), master) })
	})
}

// equals starts the same carpd on both hosts.
func (b *bench) equals(args ...string) {
	b.t.Helper()
	b.carpd("a", args...)
	b.carpd("b", args...)
}

// TestFreeBSD has the scenarios of FreeBSD's tests/sys/netinet/carp.sh that are
// about what carpd does, under their names. vrrp_v4 and vrrp_v6 are about another
// protocol, negative_demotion and switch about words that carpd does not have.
func TestFreeBSD(t *testing.T) {
	t.Parallel()
	t.Run("basic_v4", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.equals("-dialect", "freebsd", "-addr", vip4+"/29")
		b.one(vip4)
	})
	t.Run("basic_v6", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.equals("-dialect", "freebsd", "-addr", vip6+"/64")
		b.one(vip6)
	})
	t.Run("dual", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.equals("-mac", "virtual", "-addr", vip4+"/24", vip6+"/64")
		b.one(vip4, vip6)
	})
	t.Run("unicast_v4", func(t *testing.T) {
		t.Parallel()
		b := routed(t)
		b.carpd("a", "-dialect", "freebsd", "-addr", "203.0.113.1/32", "-peer", "198.51.100.224")
		b.carpd("b", "-dialect", "freebsd", "-addr", "203.0.113.1/32", "-peer", "198.51.100.11")
		b.await("one master", func() bool { return len(b.holders("203.0.113.1")) == 1 })
		via := map[string]string{"a": "198.51.100.11", "b": "198.51.100.224"}[b.holders("203.0.113.1")[0]]
		b.client.IP("route add 203.0.113.1/32 via %s", via)
		b.ping("by a route to the master", "203.0.113.1")
	})
	t.Run("unicast_v6", func(t *testing.T) {
		t.Parallel()
		b := routed(t)
		b.carpd("a", "-dialect", "freebsd", "-addr", "2001:db8:3::1", "-peer", "2001:db8:2::12")
		b.carpd("b", "-dialect", "freebsd", "-addr", "2001:db8:3::1", "-peer", "2001:db8:1::11")
		b.await("one master", func() bool { return len(b.holders("2001:db8:3::1")) == 1 })
		via := map[string]string{"a": "2001:db8:1::11", "b": "2001:db8:2::12"}[b.holders("2001:db8:3::1")[0]]
		b.client.IP("route add 2001:db8:3::1/128 via %s", via)
		b.ping("by a route to the master", "2001:db8:3::1")
	})
	t.Run("unicast_ll_v6", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.carpd("a", "-dialect", "freebsd", "-addr", vip6+"/64", "-peer", b.linkLocal("b"))
		b.carpd("b", "-dialect", "freebsd", "-addr", vip6+"/64", "-peer", b.linkLocal("a"))
		b.one(vip6)
	})
	t.Run("nd6_ns_source_mac", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.pair("-mac", "virtual", "-addr", vip6+"/64")
		for _, h := range b.hosts {
			_, err := b.lab.NS(h).Try("ping", "-c3", "-i0.2", "-W2", "-I", vip6, "2001:db8::99")
			if got := err == nil; got != (h == "a") {
				t.Errorf("ping from the shared address on %s: %v", h, err)
			}
		}
		if got := b.neighbour(vip6); got != "00:00:5e:00:01:07" {
			t.Errorf("the client's neighbour entry is %q", got)
		}
	})
}

// linkLocal is the link-local address of a host.
func (b *bench) linkLocal(host string) string {
	b.t.Helper()
	l, err := b.rtnl[host].LinkByName("lan")
	if err != nil {
		b.t.Fatal(err)
	}
	addrs, err := b.rtnl[host].Addrs(l.Index)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, a := range addrs {
		if ip := a.Prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
			return ip.String()
		}
	}
	b.t.Fatalf("%s has no link-local address", host)
	return ""
}

// routed is a bench with a router, the client, between the two hosts. Their
// interfaces have the name lan all the same.
func routed(t *testing.T) *bench {
	t.Helper()
	lab := netns.New(t, "a", "b", "client")
	router := lab.NS("client")
	router.Veth("net1", lab.NS("a"), "lan")
	router.Veth("net2", lab.NS("b"), "lan")
	router.Addr("net1", "198.51.100.1/25", "2001:db8:1::1/64")
	router.Addr("net2", "198.51.100.129/25", "2001:db8:2::1/64")
	lab.NS("a").Addr("lan", "198.51.100.11/25", "2001:db8:1::11/64")
	lab.NS("b").Addr("lan", "198.51.100.224/25", "2001:db8:2::12/64")
	for host, gw := range map[string][2]string{"a": {"198.51.100.1", "2001:db8:1::1"}, "b": {"198.51.100.129", "2001:db8:2::1"}} {
		for _, g := range gw {
			lab.NS(host).IP("route add default via %s", netip.MustParseAddr(g))
		}
	}
	router.SetSysctl("net.ipv4.ip_forward", "1")
	router.SetSysctl("net.ipv6.conf.all.forwarding", "1")
	return wrap(t, lab)
}

// TestRoutedOpenBSD: OpenBSD insists on a TTL of 255, with a router in between
// nobody hears anybody, and the counter says why.
func TestRoutedOpenBSD(t *testing.T) {
	t.Parallel()
	b := routed(t)
	x := b.carpd("a", "-addr", "203.0.113.1/32", "-peer", "198.51.100.224")
	y := b.carpd("b", "-addr", "203.0.113.1/32", "-peer", "198.51.100.11")
	b.awaitHolders("nobody hears anybody", "203.0.113.1", "a", "b")
	for _, d := range []*daemon{x, y} {
		d.awaitStatus("badttl", func(s status) bool { return s.Counters["badttl"] > 0 })
	}
}

// TestOpenBSD has carp_1 to carp_4 of OpenBSD's regress/sys/netinet/carp: two
// nodes, the second with advskew 100. There, a demotion makes the first one a
// backup without preempt; carpd has SIGUSR2 for that.
func TestOpenBSD(t *testing.T) {
	t.Parallel()
	peers := map[string]string{"a": "192.0.2.12", "b": "192.0.2.11"}
	for _, tt := range []struct {
		name string
		mac  string // lladdr of the parent is our real MAC
		peer bool   // carppeer
	}{
		{"carp_1", "virtual", false},
		{"carp_2", "real", false},
		{"carp_3", "virtual", true},
		{"carp_4", "real", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping", "bridge")
			b := newBench(t)
			d := make(map[string]*daemon)
			for _, h := range b.hosts {
				args := []string{"-mac", tt.mac, "-addr", vip4 + "/24"}
				if tt.peer {
					args = append(args, "-peer", peers[h])
				}
				if h == "b" {
					args = append(args, "-advskew", "100")
				}
				d[h] = b.carpd(h, args...)
			}
			d["a"].awaitState("first", "MASTER")
			b.awaitHolders("first", vip4, "a")
			b.ping("first", vip4)
			b.wantMAC("first", tt.mac, "a", tt.peer)

			from := d["a"].mark()
			d["a"].signal(sigStepDown)
			d["b"].awaitState("stepped down", "MASTER")
			b.awaitHolders("stepped down", vip4, "b")
			b.ping("stepped down", vip4)
			b.wantMAC("stepped down", tt.mac, "b", tt.peer)

			// It comes back as a backup, and stays one.
			d["a"].awaitLog(from, "INIT -> BACKUP")
			d["a"].awaitHeard()
			b.awaitHolders("without preempt", vip4, "b")
		})
	}
}

// wantMAC checks where the client and the switch send what is for the address.
func (b *bench) wantMAC(what, mode, host string, unicast bool) {
	b.t.Helper()
	mac := b.mac(host)
	if mode == "virtual" {
		mac = "00:00:5e:00:01:07"
	}
	b.await(what+": the client has the right MAC", func() bool { return b.neighbour(vip4) == mac })
	if mode == "virtual" && !unicast {
		port := b.lab.Port("lan", host)
		b.await(what+": the switch has the MAC at "+port, func() bool { return b.learned(mac) == port })
	}
}

// TestPreempt: a better node takes over from a worse one if it is told to.
func TestPreempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x := b.carpd("a", "-addr", vip4, "-advskew", "100")
	b.awaitHolders("alone", vip4, "a")
	y := b.carpd("b", "-addr", vip4, "-preempt")
	y.awaitLog(0, "preempting a slower master")
	x.awaitLog(0, "heard a faster master")
	b.awaitHolders("preempted", vip4, "b")
	x.awaitStatus("a is backup, and has let go", func(s status) bool { return s.State == "BACKUP" && !s.Held })
}

// TestSubSecond: advbase 0 counts in units of 1/256 s.
func TestSubSecond(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x := b.carpd("a", "-addr", vip4, vip6, "-advbase", "0", "-advskew", "13")
	b.awaitHolders("alone", vip4, "a")
	b.awaitHolders("alone", vip6, "a")
	y := b.carpd("b", "-addr", vip4, vip6, "-advbase", "0", "-advskew", "40")
	y.awaitHeard()
	x.stop()
	b.awaitHolders("stopped", vip4, "b")
	b.awaitHolders("stopped", vip6, "b")
}

// TestSingleFamily: hosts that have no IPv4 address, or no IPv6 at all.
func TestSingleFamily(t *testing.T) {
	t.Parallel()
	t.Run("v6", func(t *testing.T) {
		t.Parallel()
		b := bareBench(t)
		for i, h := range []string{"a", "b", "client"} {
			b.lab.NS(h).IP("addr add 2001:db8::%d/64 dev lan", 11+i)
		}
		x, y := b.pair("-mac", "virtual", "-addr", vip6)
		b.one(vip6)
		x.stop()
		y.awaitState("stopped", "MASTER")
		b.one(vip6)
	})
	t.Run("v4", func(t *testing.T) {
		t.Parallel()
		b := bareBench(t)
		for i, h := range []string{"a", "b", "client"} {
			b.lab.NS(h).SetSysctl("net.ipv6.conf.all.disable_ipv6", "1")
			b.lab.NS(h).SetSysctl("net.ipv6.conf.lan.disable_ipv6", "1")
			b.lab.NS(h).IP("addr add 192.0.2.%d/24 dev lan", 11+i)
		}
		x, y := b.pair("-addr", vip4)
		b.one(vip4)
		x.stop()
		y.awaitState("stopped", "MASTER")
		b.one(vip4)
		for _, d := range []*daemon{x, y} {
			for _, l := range d.log(0) {
				if l.Level == "ERROR" || strings.Contains(l.Text, "cannot send") {
					t.Errorf("%s: %s", d.Host, l.Text)
				}
			}
		}
	})
}
