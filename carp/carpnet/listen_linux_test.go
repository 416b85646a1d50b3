package carpnet

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
)

var modes = map[string]bool{"packet": false, "raw": true}

func TestSendReceive(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{RawIP: raw}), listen(t, b, Config{RawIP: raw})
			ina, inb := read(t, ca), read(t, cb)

			linkLocal := nettest.LinkLocal(a, "lan").String()
			for _, tt := range []struct {
				dst netip.Addr
				src string
			}{{carp.Group4, "192.0.2.1"}, {carp.Group6, linkLocal}} {
				send(t, ca, carp.Packet{Dst: tt.dst, LinkSrc: vmac})
				got := nettest.Next(t, inb, tt.dst.String())
				want := carp.Packet{Data: advert, Src: addr(tt.src), Dst: tt.dst, TTL: 255, LinkSrc: vmac, IfIndex: cb.follow.Now().Index}
				if raw {
					want.LinkSrc = carp.HardwareAddr{}
				}
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("to %v (-want +got):\n%s", tt.dst, diff)
				}
			}
			if !raw {
				send(t, ca, carp.Packet{Dst: carp.Group4})
				if got := nettest.Next(t, inb, "own MAC"); got.LinkSrc != a.MAC("lan") {
					t.Errorf("no LinkSrc: sent from %v, want the interface's own %x", got.LinkSrc, a.MAC("lan"))
				}
			}
			nettest.None(t, ina, "the sender hears itself")

			// The IP memberships hold a link membership each; a packet socket has its own, too.
			groups := strings.Join(strings.Fields(memberships(a, "lan")), " ")
			want := "inet 224.0.0.18 inet6 ff02::12 link 01:00:5e:00:00:12 link 33:33:00:00:00:12"
			if !raw {
				want = "inet 224.0.0.18 inet6 ff02::12 link 01:00:5e:00:00:12 users 2 link 33:33:00:00:00:12 users 2"
			}
			if groups != want {
				t.Errorf("joined: %s\nwant:   %s", groups, want)
			}
		})
	}
}

// What peers' kernels took and refused, once more through a real Linux kernel.
func TestInjected(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			in, inject := read(t, listen(t, a, Config{RawIP: raw})), injector(t, b, "lan")

			multicast := frame(t, carp.Packet{Dst: carp.Group4, Src: addr("192.0.2.2"), LinkSrc: vmac})
			edit := func(f func(b []byte)) []byte {
				b := bytes.Clone(multicast)
				f(b)
				b[24], b[25] = 0, 0
				sum := inet.Checksum(b[14:34])
				b[24], b[25] = byte(sum>>8), byte(sum)
				return b
			}
			ours, theirs := a.MAC("lan"), [6]byte{2, 0, 0, 0, 0, 9}
			for _, tt := range []struct {
				name  string
				frame []byte
				want  func(carp.Packet) bool // nil: not delivered
			}{
				{"TTL 254", edit(func(b []byte) { b[22] = 254 }), func(p carp.Packet) bool { return p.TTL == 254 }},
				{"padded", append(edit(func([]byte) {}), 1, 2, 3, 4), func(p carp.Packet) bool { return bytes.Equal(p.Data, advert) }},
				{"broadcast frame", edit(func(b []byte) { copy(b, "\xff\xff\xff\xff\xff\xff") }), func(p carp.Packet) bool { return p.Dst == carp.Group4 }},
				{"to our address", edit(func(b []byte) { copy(b, ours[:]); copy(b[30:], []byte{192, 0, 2, 1}) }),
					func(p carp.Packet) bool { return p.Dst == addr("192.0.2.1") }},
				{"priority tag", append(append(bytes.Clone(multicast[:12]), 0x81, 0, 0xc0, 0), multicast[12:]...),
					func(p carp.Packet) bool { return bytes.Equal(p.Data, advert) }},
				{"to another host", edit(func(b []byte) { copy(b, theirs[:]); copy(b[30:], []byte{192, 0, 2, 1}) }), nil},
				{"to our MAC, to be routed", edit(func(b []byte) { copy(b, ours[:]); copy(b[30:], []byte{192, 0, 2, 77}) }), nil},
				{"another group", frame(t, carp.Packet{Dst: addr("224.0.0.19"), Src: addr("192.0.2.2"), LinkSrc: vmac}), nil},
				{"VLAN 10", append(append(bytes.Clone(multicast[:12]), 0x81, 0, 0, 10), multicast[12:]...), nil},
				{"wrong IP checksum", func() []byte { b := bytes.Clone(multicast); b[22]--; return b }(), nil},
				{"fragment", edit(func(b []byte) { b[20] = 0x20 }), nil},
				{"UDP", edit(func(b []byte) { b[23] = 17 }), nil},
			} {
				inject(tt.frame)
				nettest.Want(t, in, tt.name, tt.want)
			}
			// A Linux IP stack takes this one, OpenBSD's does not.
			inject(edit(func(b []byte) { copy(b, ours[:]) }))
			if !raw {
				nettest.None(t, in, "IP multicast in a frame to us alone")
			}
		})
	}
}

func TestSourceAddress(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			lab.Bridge("lan", "a", "b")
			a := lab.NS("a")
			vips := []netip.Addr{addr("192.0.2.100"), addr("fe80::100")}
			virtual := func(ip netip.Addr) bool { return ip == vips[0] || ip == vips[1] }
			c := listen(t, a, Config{RawIP: raw, Virtual: virtual})
			in := read(t, listen(t, lab.NS("b"), Config{}))
			source := func(want string) {
				t.Helper()
				nettest.Eventually(t, "adverts from "+want, func() bool {
					send(t, c, carp.Packet{Dst: carp.Group4})
					return nettest.Next(t, in, "from "+want).Src == addr(want)
				})
			}
			source("0.0.0.0")
			if !raw { // of the raw socket's 0.0.0.0 the kernel makes any address it has
				a.Addr("lan", "192.0.2.100/32")
				nettest.Eventually(t, "the address is seen", func() bool { return len(c.follow.Now().Addrs) == 2 })
				source("0.0.0.0")
			}
			a.Addr("lan", "192.0.2.5/24", "192.0.2.6/24")
			source("192.0.2.5")
			a.IP("addr del 192.0.2.5/24 dev lan") // takes its secondary with it
			a.Addr("lan", "192.0.2.7/24")
			source("192.0.2.7")

			send(t, c, carp.Packet{Dst: carp.Group4, Src: addr("192.0.2.7")})
			if p := nettest.Next(t, in, "with a source of the caller's"); p.Src != addr("192.0.2.7") {
				t.Errorf("got source %v, want 192.0.2.7", p.Src)
			}
			if raw {
				return
			}
			a.Addr("lan", "2001:db8::7/64")
			send(t, c, carp.Packet{Dst: carp.Group6})
			if p := nettest.Next(t, in, "IPv6"); !p.Src.IsLinkLocalUnicast() || p.Src == vips[1] {
				t.Errorf("IPv6: got source %v, want the link-local address", p.Src)
			}
		})
	}
}

func TestUnicastRouted(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "r", "b")
			a, r, b := lab.NS("a"), lab.NS("r"), lab.NS("b")
			lab.Bridge("lan", "a", "r")
			lab.Bridge("wan", "r", "b")
			r.SetSysctl("net.ipv4.ip_forward", "1")
			r.SetSysctl("net.ipv6.conf.all.forwarding", "1")
			r.Addr("lan", "192.0.2.1/25", "2001:db8:1::1/64")
			r.Addr("wan", "192.0.2.129/25", "2001:db8:2::1/64")
			a.Addr("lan", "192.0.2.2/25", "2001:db8:1::2/64")
			b.Addr("wan", "192.0.2.130/25", "2001:db8:2::2/64")
			a.IP("route add default via 192.0.2.1")
			a.IP("-6 route add default via 2001:db8:1::1")

			ca := listen(t, a, Config{RawIP: raw})
			in := read(t, listen(t, b, Config{Interface: "wan", RawIP: raw}))
			router := read(t, listen(t, r, Config{Interface: "lan", RawIP: raw}))
			for _, path := range []struct{ src, dst string }{
				{"192.0.2.2", "192.0.2.130"}, {"2001:db8:1::2", "2001:db8:2::2"},
			} {
				p := deliver(t, ca, carp.Packet{Dst: addr(path.dst), LinkSrc: vmac}, in)
				if p.TTL != 254 || p.Src != addr(path.src) || p.Dst != addr(path.dst) || !bytes.Equal(p.Data, advert) {
					t.Errorf("got %+v, want from %s with TTL 254", p, path.src)
				}
			}
			nettest.None(t, router, "the router takes what it forwards")

			neighbour := nettest.LinkLocal(r, "lan").String()
			p := deliver(t, ca, carp.Packet{Dst: addr(neighbour).WithZone("lan"), LinkSrc: vmac}, router)
			if p.TTL != 255 || !raw && p.LinkSrc != a.MAC("lan") {
				t.Errorf("link-local peer: got %+v, want TTL 255 from the physical MAC", p)
			}
			if err := ca.WritePacket(carp.Packet{Data: advert, Dst: addr("198.51.100.1")}); err != nil {
				t.Errorf("to a peer behind the default route: %v", err)
			}
		})
	}
}

// Of two interfaces to the same host, a Conn uses one and no other.
func TestOtherInterface(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := nettest.TwoPaths(t)
			lan, back := listen(t, a, Config{RawIP: raw}), listen(t, a, Config{Interface: "back", RawIP: raw})
			inLAN, inBack := read(t, listen(t, b, Config{RawIP: raw})), read(t, listen(t, b, Config{Interface: "back", RawIP: raw}))
			for _, dst := range []netip.Addr{addr("203.0.113.9"), addr("2001:db8:9::9"), carp.Group4, carp.Group6} {
				deliver(t, lan, carp.Packet{Dst: dst}, inLAN)
				nettest.None(t, inBack, "sent on lan")
				if dst.IsMulticast() {
					send(t, back, carp.Packet{Dst: dst})
					nettest.Next(t, inBack, dst.String())
					nettest.None(t, inLAN, "sent on back")
				}
			}
		})
	}
}

// The IP sockets beside a packet socket are not read, and must not fill up.
func TestIPSocketsReceiveNothing(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	ca, cb := listen(t, a, Config{}), listen(t, b, Config{})
	in := read(t, cb)
	ip := cb.sock.(*packetSockets).ip
	for dst, c := range map[netip.Addr]*net.IPConn{carp.Group4: ip.c4, carp.Group6: ip.c6} {
		send(t, ca, carp.Packet{Dst: dst})
		nettest.Next(t, in, dst.String())
		rc, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		rc.Control(func(fd uintptr) { _, _, err = unix.Recvfrom(int(fd), make([]byte, 100), unix.MSG_DONTWAIT) })
		if err != unix.EAGAIN {
			t.Errorf("to %v: reading gives error %v, want EAGAIN", dst, err)
		}
	}
}

func TestTryReadPacket(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{}), listen(t, b, Config{RawIP: raw})
			p := carp.Packet{Data: []byte("dirty"), TTL: 3}
			if ok, err := cb.TryReadPacket(&p); ok || err != nil || string(p.Data) != "dirty" || p.TTL != 3 {
				t.Errorf("nothing queued: got %t, %v, %+v", ok, err, p)
			}

			// Of another group's packets and ours, ours is found.
			inject := injector(t, a, "lan")
			for _, group := range []netip.Addr{addr("224.0.0.251"), carp.Group4, carp.Group6, addr("ff02::77")} {
				inject(frame(t, carp.Packet{Dst: group, LinkSrc: vmac}))
			}
			found := make(map[netip.Addr]int)
			nettest.Eventually(t, "both packets queued", func() bool {
				ok, err := cb.TryReadPacket(&p)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					found[p.Dst]++
				}
				return len(found) == 2
			})
			if found[carp.Group4] != 1 || found[carp.Group6] != 1 || !bytes.Equal(p.Data, advert) {
				t.Errorf("found %v, at last %+v", found, p)
			}
			if ok, err := cb.TryReadPacket(&p); ok || err != nil {
				t.Errorf("queue empty: got %t, %v", ok, err)
			}

			// While a reader waits, nothing is stuck and nothing is seen twice.
			in := read(t, cb)
			const sent = 100
			for i := range sent {
				send(t, ca, carp.Packet{Dst: carp.Group4, Data: append([]byte{byte(i)}, advert...)})
			}
			seen := make(map[byte]int)
			for n := 0; n < sent; n++ {
				for {
					if ok, err := cb.TryReadPacket(&p); err != nil {
						t.Fatal(err)
					} else if ok {
						break
					}
					select {
					case p = <-in:
					case <-time.After(time.Millisecond):
						continue
					}
					break
				}
				seen[p.Data[0]]++
			}
			if len(seen) != sent {
				t.Errorf("%d different packets of %d", len(seen), sent)
			}
		})
	}
}

func TestClose(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			c, flood := listen(t, a, Config{RawIP: raw}), listen(t, b, Config{})

			stop := make(chan struct{})
			for range 2 {
				go func() {
					for {
						select {
						case <-stop:
							return
						default:
							flood.WritePacket(carp.Packet{Dst: carp.Group4, Data: advert})
						}
					}
				}()
			}
			defer close(stop)
			in := read(t, c)
			nettest.Next(t, in, "flood")
			go func() {
				for range in {
				}
			}()
			before := c.Stats().Received
			time.Sleep(50 * time.Millisecond)
			if c.Stats().Received == before {
				t.Error("the flood does not arrive")
			}

			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("Close took %v", d)
			}
			var p carp.Packet
			_, tryErr := c.TryReadPacket(&p)
			for call, err := range map[string]error{
				"ReadPacket": c.ReadPacket(&p), "TryReadPacket": tryErr, "WritePacket": c.WritePacket(carp.Packet{Dst: carp.Group4}),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s after Close: %v", call, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}
