package pfsyncnet

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	a, b, lab := nettest.Pair(t)
	a.IP("link set lan down")
	c := listen(t, a, Config{}) // opens on an interface that is down, too
	nettest.WantLink(t, c.Links(), "set down before Listen", pfsync.LinkDown)
	wantDown(t, func() error {
		n, err := c.WritePackets(pfsync.Group4, [][]byte{frame, frame})
		if n != 0 {
			t.Errorf("%d packets sent while down", n)
		}
		return err
	})
	a.IP("link set lan up")
	nettest.WantLink(t, c.Links(), "set up", pfsync.LinkUp)
	in := read(t, listen(t, b, Config{}))
	deliver(t, c, pfsync.Group4, in)

	lab.Carrier("lan", "a", false)
	nettest.WantLink(t, c.Links(), "cable out", pfsync.LinkDown)
	c.WritePackets(pfsync.Group4, [][]byte{frame}) // lost, with an error or without
	lab.Carrier("lan", "a", true)
	nettest.WantLink(t, c.Links(), "cable in", pfsync.LinkUp)
	deliver(t, c, pfsync.Group4, in)
}

func wantDown(t *testing.T, send func() error) {
	t.Helper()
	nettest.Eventually(t, "seen down", func() bool { return errors.Is(send(), syscall.ENETDOWN) })
}

// What is for a peer does not leave by the default route, while the interface is
// down and the route by it is gone.
func TestDownDoesNotLeak(t *testing.T) {
	for name, ends := range map[string][2]netip.Addr{
		"IPv4": {addr("192.0.2.1"), addr("192.0.2.2")}, "IPv6": {addr("2001:db8::1"), addr("2001:db8::2")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, lab := nettest.Pair(t)
			lab.Bridge("wan", "a", "b")
			a.Addr("wan", "198.51.100.1/24", "2001:db8:b::1/64")
			b.Addr("wan", "198.51.100.2/24", "2001:db8:b::2/64")
			a.SetSysctl("net.ipv6.conf.lan.keep_addr_on_down", "1") // or the source goes, too
			a.IP("route add default via 198.51.100.2")
			a.IP("-6 route add default via 2001:db8:b::2")
			conn := listen(t, a, Config{Peers: ends[1:], Source: ends[0]})
			side := newSideConn(t, a, SideConfig{Source: ends[0]})
			leak := read(t, listen(t, b, Config{Interface: "wan", Peers: ends[:1]}))
			a.IP("link set lan down")
			wantDown(t, func() error { _, err := conn.WritePackets(ends[1], [][]byte{frame}); return err })
			wantDown(t, func() error { return side.WritePacket(ends[1], frame) })
			for quiet := false; !quiet; { // what was sent before that was known
				select {
				case <-leak:
				case <-time.After(50 * time.Millisecond):
					quiet = true
				}
			}
			for range 5 {
				conn.WritePackets(ends[1], [][]byte{frame})
			}
			nettest.None(t, leak, "by the default route")
		})
	}
}

// While the interface goes down and up, a reader waits and hears what comes then.
func TestDownAndUp(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			in := read(t, cb)
			deliver(t, ca, group, in)
			b.IP("link set lan down")
			send(t, ca, group, frame)
			nettest.None(t, in, "while the interface is down")
			b.IP("link set lan up")
			deliver(t, ca, group, in)
		})
	}
}

func TestInterfaceRecreated(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			a, b := lab.NS("a"), lab.NS("b")
			a.Veth("lan", b, "lan")
			ca := listen(t, a, Config{Group: group})
			heard := read(t, ca)
			peer := func(ifname string) {
				t.Helper()
				cb := listen(t, b, Config{Interface: ifname, Group: group})
				in := read(t, cb)
				deliver(t, ca, group, in)
				p := deliver(t, cb, group, heard)
				if want := nettest.Index(t, a, "lan"); p.IfIndex != want {
					t.Errorf("received on %d, want %d", p.IfIndex, want)
				}
			}
			gone := func(how string) {
				t.Helper()
				nettest.WantLink(t, ca.Links(), how, pfsync.LinkDown)
				nettest.Eventually(t, how, func() bool { return ca.follow.Now().Index == 0 })
				if n, err := ca.WritePackets(group, [][]byte{frame}); n != 0 || !errors.Is(err, ErrNoInterface) {
					t.Errorf("%s: sending: %d, %v", how, n, err)
				}
			}
			nettest.WantLink(t, ca.Links(), "at first", pfsync.LinkUp)
			peer("lan")
			groups := memberships(a, "lan")

			for range 2 {
				a.IP("link del lan")
				gone("deleted")
				a.Veth("lan", b, "lan")
				nettest.WantLink(t, ca.Links(), "made again", pfsync.LinkUp)
				peer("lan")
				if got := memberships(a, "lan"); got != groups {
					t.Errorf("memberships were %q and are now %q", groups, got)
				}
			}

			// Another interface takes the name over while the first one lives on.
			a.IP("link set lan name other")
			gone("renamed away")
			inject := rawSender(t, b, "lan")
			stray := packet("192.0.2.2", "224.0.0.240", 255, frame)
			if group.Is6() {
				stray = packet("fe80::99", "ff12::f0", 255, frame)
			}
			inject(stray)
			nettest.None(t, heard, "an interface of another name is read")
			a.Veth("lan", b, "lan2")
			nettest.WantLink(t, ca.Links(), "replaced", pfsync.LinkUp)
			inject(stray)
			nettest.None(t, heard, "the old interface is still read")
			peer("lan2")
			if left := memberships(a, "other"); left != "" {
				t.Errorf("still a member on the old interface: %s", left)
			}
		})
	}
}

// A kernel lets a socket join 20 groups, be they on interfaces that are gone.
func TestInterfaceRecreatedOften(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a", "b")
	a, b := lab.NS("a"), lab.NS("b")
	a.Veth("lan", b, "lan")
	c := listen(t, a, Config{})
	attached := func(want bool) {
		t.Helper()
		nettest.Eventually(t, "the interface is seen", func() bool { return (c.follow.Now().Index != 0) == want })
	}
	for range 25 {
		a.IP("link del lan")
		attached(false)
		a.Veth("lan", b, "lan")
		attached(true)
	}
	if memberships(a, "lan") == "" {
		t.Error("not a member any more")
	}
}

// A source that has gone is an error of sending, until it is back.
func TestSourceGone(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	a.Addr("lan", "192.0.2.100/24")
	for _, dst := range []netip.Addr{pfsync.Group4, addr("192.0.2.2")} {
		cfg := Config{Source: addr("192.0.2.100")}
		if !dst.IsMulticast() {
			cfg.Peers = []netip.Addr{dst}
		}
		c := listen(t, a, cfg)
		cfg.Source = netip.Addr{}
		in := read(t, listen(t, b, cfg))
		if p := deliver(t, c, dst, in); p.Src != addr("192.0.2.100") {
			t.Errorf("from %v", p.Src)
		}
		a.IP("addr del 192.0.2.100/24 dev lan")
		if n, err := c.WritePackets(dst, [][]byte{frame}); n != 0 || !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("to %v from an address that is gone: %d, %v", dst, n, err)
		}
		a.Addr("lan", "192.0.2.100/24")
		deliver(t, c, dst, in)
	}
}
