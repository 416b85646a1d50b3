package pfsyncnet

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

func newSideConn(t testing.TB, ns *netns.NS, cfg SideConfig) *SideConn {
	t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "lan"
	}
	return nettest.Open(t, ns, func() (c *SideConn, err error) {
		for range 500 { // an IPv6 address may not be ready yet
			if c, err = ListenSide(cfg); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return c, err
	})
}

// readSide reads in another goroutine, until the SideConn is closed.
func readSide(t testing.TB, c *SideConn) <-chan pfsync.SidePacket {
	return nettest.Read(t, func() ([]pfsync.SidePacket, error) {
		p := make([]pfsync.SidePacket, 1)
		return p, c.ReadPacket(&p[0])
	})
}

func deliverSide(t testing.TB, c *SideConn, dst netip.Addr, in <-chan pfsync.SidePacket) pfsync.SidePacket {
	t.Helper()
	return nettest.Repeat(t, func() { c.WritePacket(dst, frame) }, in)
}

func TestSide(t *testing.T) {
	for name, prefix := range map[string]string{"IPv4": "192.0.2.", "IPv6": "2001:db8::", "link-local": "fe80::"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			lab.Bridge("lan", "a", "b")
			a, b := lab.NS("a"), lab.NS("b")
			srcA, srcB := addr(prefix+"1"), addr(prefix+"2")
			a.Addr("lan", prefix+"1/24")
			b.Addr("lan", prefix+"2/24")
			onWire := wire(t, b, "lan", 17)
			ca, cb := newSideConn(t, a, SideConfig{Source: srcA}), newSideConn(t, b, SideConfig{Source: srcB, Interface: "lan"})
			ina, inb := readSide(t, ca), readSide(t, cb)
			if ca.Addr() != netip.AddrPortFrom(srcA, DefaultSidePort) {
				t.Errorf("listens on %v", ca.Addr())
			}
			for _, dir := range []struct {
				from     *SideConn
				src, dst netip.Addr
				in       <-chan pfsync.SidePacket
			}{{ca, srcA, srcB, inb}, {cb, srcB, srcA.WithZone("lan"), ina}} {
				p := deliverSide(t, dir.from, dir.dst, dir.in)
				if diff := cmp.Diff(pfsync.SidePacket{Data: frame, Src: dir.src}, p, sameAddr); diff != "" {
					t.Errorf("to %v (-want +got):\n%s", dir.dst, diff)
				}
			}
			if got := onWire(); srcA.Is4() && got[8] != 255 || srcA.Is6() && got[7] != 255 {
				t.Errorf("on the wire: % x", got)
			}
			ca.WritePacket(srcA, frame)
			nettest.None(t, ina, "from itself")
		})
	}
}

// What a router, another program, another interface or a longer arm sends is
// dropped, and counted.
func TestSideDrops(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a", "b")
	a, b := lab.NS("a"), lab.NS("b")
	lab.Bridge("lan", "a", "b")
	lab.Bridge("back", "a", "b")
	a.Addr("lan", "192.0.2.1/24", "2001:db8::1/64")
	b.Addr("lan", "192.0.2.2/24", "2001:db8::2/64")
	a.Addr("back", "198.51.100.1/24", "2001:db8:b::1/64")
	b.Addr("back", "198.51.100.2/24", "2001:db8:b::2/64")
	for _, src := range []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1")} {
		network, route, ours, other, router := "udp4", "route", addr("192.0.2.2"), addr("198.51.100.2"), addr("198.51.100.1")
		if src.Is6() {
			network, route, ours, other, router = "udp6", "-6 route", addr("2001:db8::2"), addr("2001:db8:b::2"), addr("2001:db8:b::1")
		}
		c := newSideConn(t, a, SideConfig{Source: src})
		in := readSide(t, c)
		from := func(ip netip.Addr, port uint16, hops int, b []byte) {
			t.Helper()
			var conn *net.UDPConn
			var err error
			for range 500 {
				lab.NS("b").Do(func() {
					conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
				})
				if err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if ip.Is4() {
				err = ipv4.NewConn(conn).SetTTL(hops)
			} else {
				err = ipv6.NewConn(conn).SetHopLimit(hops)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(src, DefaultSidePort)); err != nil {
				t.Fatal(err)
			}
		}
		good := func() {
			t.Helper()
			nettest.Repeat(t, func() { from(ours, DefaultSidePort, 255, frame) }, in)
		}
		good()
		before := c.Stats()
		from(ours, DefaultSidePort, 254, frame)
		nettest.None(t, in, "TTL 254")
		from(ours, DefaultSidePort, 64, frame)
		nettest.None(t, in, "TTL 64")
		from(ours, DefaultSidePort+1, 255, frame)
		nettest.None(t, in, "from another port")
		from(ours, DefaultSidePort, 255, make([]byte, pfsync.SideMTU+1))
		nettest.None(t, in, "too long")
		if s := c.Stats(); s.NotForUs != before.NotForUs+2 {
			t.Errorf("counted %+v, after %+v", s, before)
		}
		from(ours, DefaultSidePort, 255, make([]byte, pfsync.SideMTU))
		nettest.Next(t, in, "as long as can be")
		b.IP("%s add %v via %v", route, src, router)
		repeatedly := c.Stats().NotForUs
		nettest.Eventually(t, "by another interface", func() bool { // the neighbour takes its time
			from(other, DefaultSidePort, 255, frame)
			return c.Stats().NotForUs > repeatedly
		})
		nettest.None(t, in, "by another interface")
		b.IP("%s del %v", route, src)
		good()
		if s := c.Stats(); s.BadTTL != before.BadTTL+2 || s.Received < before.Received+2 {
			t.Errorf("counted %+v, after %+v", s, before)
		}
	}
}

// With a link-local address, which cannot be bound to for good, others are no
// addresses of the side channel, either.
func TestSideAddress(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	b.Addr("lan", "fe80::2/64")
	c := newSideConn(t, b, SideConfig{Source: addr("fe80::2")})
	in := readSide(t, c)
	var conn *net.UDPConn
	var err error
	a.Do(func() { conn, err = net.ListenUDP("udp6", &net.UDPAddr{Port: DefaultSidePort}) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ipv6.NewConn(conn).SetHopLimit(255); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "dropped", func() bool {
		conn.WriteToUDPAddrPort(frame, netip.AddrPortFrom(addr("2001:db8::2"), DefaultSidePort))
		return c.Stats().NotForUs > 0
	})
	nettest.None(t, in, "to another address")
}

// IPv4 datagrams leave by the interface, whatever the routes say. (The kernel does
// not hold to it over IPv6 when the source is given.)
func TestSideInterface(t *testing.T) {
	t.Parallel()
	a, b, lab := nettest.Pair(t)
	lab.Bridge("back", "a", "b")
	a.Addr("back", "198.51.100.1/24")
	b.Addr("back", "198.51.100.2/24")
	b.IP("route add 192.0.2.1 via 198.51.100.1")
	in := readSide(t, newSideConn(t, a, SideConfig{}))
	deliverSide(t, newSideConn(t, b, SideConfig{}), addr("192.0.2.1"), in)
}

func TestSideRecreated(t *testing.T) {
	for name, prefix := range map[string]string{"IPv4": "192.0.2.", "IPv6": "2001:db8::", "link-local": "fe80::"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			a, b := lab.NS("a"), lab.NS("b")
			var ca, cb *SideConn
			var ina, inb <-chan pfsync.SidePacket
			for i := range 3 {
				a.Veth("lan", b, "lan")
				a.Addr("lan", prefix+"1/24")
				b.Addr("lan", prefix+"2/24")
				if i == 0 {
					ca, cb = newSideConn(t, a, SideConfig{Source: addr(prefix + "1")}), newSideConn(t, b, SideConfig{Source: addr(prefix + "2")})
					ina, inb = readSide(t, ca), readSide(t, cb)
				}
				deliverSide(t, ca, addr(prefix+"2"), inb)
				deliverSide(t, cb, addr(prefix+"1"), ina)
				a.IP("link del lan")
				nettest.Eventually(t, "gone", func() bool { return errors.Is(ca.WritePacket(addr(prefix+"2"), frame), ErrNoInterface) })
			}
		})
	}
}

func TestSideSource(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	a := lab.NS("a")
	a.IP("link add lan type bridge")
	a.IP("link set lan up")
	nettest.Eventually(t, "a link-local address", func() bool { return strings.Contains(a.IP("-6 addr show dev lan"), "fe80::") })
	for _, want := range []netip.Addr{nettest.LinkLocal(a, "lan"), addr("2001:db8::1"), addr("192.0.2.1")} {
		if !want.IsLinkLocalUnicast() {
			a.Addr("lan", want.String()+"/24")
		}
		if c := newSideConn(t, a, SideConfig{Port: 9}); c.Addr() != netip.AddrPortFrom(want, 9) {
			t.Errorf("listens on %v, want %v", c.Addr(), want)
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSideErrors(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	a := lab.NS("a")
	a.IP("link add none type bridge") // down: has no address at all
	a.IP("link add lan type bridge")
	a.IP("link set lan up")
	a.Addr("lan", "192.0.2.1/24")
	for _, tt := range []struct {
		cfg  SideConfig
		want string
		is   error
	}{
		{SideConfig{}, "pfsyncnet: no interface given", nil},
		{SideConfig{Interface: "eth9"}, "pfsyncnet: eth9: no such network interface", ErrNoInterface},
		{SideConfig{Interface: "none"}, "pfsyncnet: none has no address for the side channel", nil},
		{SideConfig{Interface: "lan", Source: addr("224.0.0.1")}, "pfsyncnet: cannot send from 224.0.0.1", nil},
		{SideConfig{Interface: "lan", Source: addr("192.0.2.9")},
			"pfsyncnet: opening the side channel at 192.0.2.9:7240: cannot assign requested address", nil},
	} {
		var err error
		a.Do(func() { _, err = ListenSide(tt.cfg) })
		if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	c := newSideConn(t, a, SideConfig{})
	for dst, want := range map[netip.Addr]string{
		{}:                  "pfsyncnet: sending to invalid IP on lan: cannot send there from 192.0.2.1",
		addr("2001:db8::2"): "pfsyncnet: sending to 2001:db8::2 on lan: cannot send there from 192.0.2.1",
		addr("224.0.0.240"): "pfsyncnet: sending to 224.0.0.240 on lan: cannot send there from 192.0.2.1",
	} {
		if err := c.WritePacket(dst, frame); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := c.WritePacket(addr("192.0.2.2"), make([]byte, pfsync.SideMTU+1)); err == nil || !strings.HasSuffix(err.Error(), "1401 octets, the limit is 1400") {
		t.Errorf("too long: %v", err)
	}
}

func TestSideClose(t *testing.T) {
	t.Parallel()
	a, _, _ := nettest.Pair(t)
	c := newSideConn(t, a, SideConfig{})
	result := make(chan error)
	go func() { result <- c.ReadPacket(&pfsync.SidePacket{}) }()
	time.Sleep(20 * time.Millisecond)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := nettest.Next(t, result, "the end of a read"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a waiting read gave %v", err)
	}
	for _, err := range []error{c.ReadPacket(&pfsync.SidePacket{}), c.WritePacket(addr("192.0.2.2"), frame)} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if err := c.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
