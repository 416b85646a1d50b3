package pfsyncnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// memberships are the groups that hosts have joined on an interface and that are pfsync's.
func memberships(ns *netns.NS, ifname string) string {
	return nettest.Memberships(ns, ifname, "inet  224.0.0.240", "inet6 ff12::f0")
}

func TestGroup(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			ina, inb := read(t, ca), read(t, cb)
			if diff := cmp.Diff([]netip.Addr{group}, ca.Destinations(), sameAddr); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
			src := addr("192.0.2.1")
			if group.Is6() {
				src = nettest.LinkLocal(a, "lan")
			}
			send(t, ca, group, frame)
			want := pfsync.Packet{Data: frame, Src: src, Dst: group, TTL: 255, IfIndex: nettest.Index(t, b, "lan")}
			if diff := cmp.Diff(want, nettest.Next(t, inb, "to the group"), sameAddr); diff != "" {
				t.Errorf("to the group (-want +got):\n%s", diff)
			}
			nettest.None(t, ina, "the sender hears itself")
			if got := memberships(a, "lan"); !strings.HasSuffix(got, " "+group.String()) || strings.Contains(got, ",") {
				t.Errorf("joined %q, want %v alone", got, group)
			}
		})
	}
}

// Several peers are sent to one by one. Nobody joins a group.
func TestPeers(t *testing.T) {
	for name, net := range map[string]string{"IPv4": "192.0.2.", "IPv6": "2001:db8::", "link-local": "fe80::"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b", "c")
			lab.Bridge("lan", "a", "b", "c")
			var in []<-chan pfsync.Packet
			peers := []netip.Addr{addr(net + "2"), addr(net + "3")}
			for i, name := range []string{"b", "c"} {
				lab.NS(name).Addr("lan", fmt.Sprintf("%s%d/24", net, i+2))
				in = append(in, read(t, listen(t, lab.NS(name), Config{Peers: []netip.Addr{addr(net + "1")}})))
			}
			a := lab.NS("a")
			a.Addr("lan", net+"9/24", net+"1/24")
			c := listen(t, a, Config{Peers: peers, Source: addr(net + "1")})
			if diff := cmp.Diff(peers, c.Destinations(), sameAddr); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
			for i, dst := range c.Destinations() {
				p := deliver(t, c, dst.WithZone("lan"), in[i])
				if p.Dst != dst || p.Src != addr(net+"1") || p.TTL != 255 || !bytes.Equal(p.Data, frame) {
					t.Errorf("to %v: got %+v", dst, p)
				}
				nettest.None(t, in[1-i], "a packet to the other peer")
			}
			if got := memberships(a, "lan"); got != "" {
				t.Errorf("joined %s", got)
			}
		})
	}
}

// A list of peers that has this node in it, too, is no reason to hear oneself.
func TestPeerOfItself(t *testing.T) {
	t.Parallel()
	a, _, _ := nettest.Pair(t)
	for _, cfg := range []Config{
		{Peers: []netip.Addr{addr("192.0.2.1")}},
		{Peers: []netip.Addr{addr("2001:db8::1")}},
		{Peers: []netip.Addr{addr("192.0.2.1")}, Source: addr("192.0.2.99")},
	} {
		if cfg.Source.IsValid() {
			a.Addr("lan", "192.0.2.99/24")
		}
		c := listen(t, a, cfg)
		in := read(t, c)
		send(t, c, cfg.Peers[0], frame)
		nettest.None(t, in, "from itself")
		if s := c.Stats(); s.NotForUs != 1 {
			t.Errorf("%v: %+v", cfg.Peers, s)
		}
		c.Close()
	}
}

// What is on the wire is what the kernels send.
func TestWire(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			onWire := wire(t, b, "lan", pfsync.ProtocolNumber)
			multicast := listen(t, a, Config{Group: group})
			unicast := listen(t, a, Config{Peers: []netip.Addr{addr("192.0.2.2")}, Source: addr("192.0.2.1")})
			dst := addr("192.0.2.2")
			if group.Is6() {
				dst = addr("2001:db8::2")
				unicast = listen(t, a, Config{Peers: []netip.Addr{dst}})
			}
			for c, dst := range map[*Conn]netip.Addr{multicast: group, unicast: dst} {
				send(t, c, dst, frame)
				got := onWire()
				if group.Is6() {
					// Traffic class and flow label; length; protocol; hop limit.
					if binary.BigEndian.Uint32(got)&0x0ff00000 != 0 || int(got[5]) != len(frame) || got[7] != 255 ||
						netip.AddrFrom16([16]byte(got[24:])) != dst || !bytes.Equal(got[40:], frame) {
						t.Errorf("to %v: % x", dst, got)
					}
					continue
				}
				if got[0] != 0x45 || got[1] != 0x10 || int(got[3]) != 20+len(frame) || got[6] != 0x40 || got[7] != 0 || got[8] != 255 ||
					netip.AddrFrom4([4]byte(got[16:])) != dst || !bytes.Equal(got[20:], frame) || inet.Checksum(got[:20]) != 0 {
					t.Errorf("to %v: % x", dst, got)
				}
			}
		})
	}
}

// packet is an IP packet to inject.
func packet(src, dst string, ttl uint8, payload []byte) []byte {
	ip := inet.IP{Src: addr(src), Dst: addr(dst), Protocol: pfsync.ProtocolNumber, TTL: ttl}
	return append(ip.Append(nil, len(payload)), payload...)
}

func TestInjected(t *testing.T) {
	t.Parallel()
	a, b, _ := nettest.Pair(t)
	a.IP("addr add 198.51.100.1/32 dev lo")
	c4, c6 := listen(t, a, Config{}), listen(t, a, Config{Group: pfsync.Group6})
	in4, in6 := read(t, c4), read(t, c6)
	inject := rawSender(t, b, "lan")

	options := packet("192.0.2.2", "224.0.0.240", 255, frame)
	options = slices.Insert(options, 20, 1, 1, 1, 0) // three no-operations and the end
	options[0]++
	options[3] += 4
	options[10], options[11] = 0, 0
	binary.BigEndian.PutUint16(options[10:], inet.Checksum(options[:24]))
	badSum := packet("192.0.2.2", "224.0.0.240", 255, frame)
	badSum[10]++

	for _, tt := range []struct {
		name   string
		packet []byte
		want   func(pfsync.Packet) bool // nil: not delivered
	}{
		{"TTL 254", packet("192.0.2.2", "224.0.0.240", 254, frame), func(p pfsync.Packet) bool { return p.TTL == 254 }},
		{"hop limit 254", packet("fe80::99", "ff12::f0", 254, frame), func(p pfsync.Packet) bool { return p.TTL == 254 }},
		{"hop limit 0", packet("fe80::99", "ff12::f0", 0, frame), func(p pfsync.Packet) bool { return p.TTL == 0 }},
		{"IP options", options, func(p pfsync.Packet) bool { return bytes.Equal(p.Data, frame) }},
		{"to any address of the host", packet("192.0.2.2", "198.51.100.1", 255, frame),
			func(p pfsync.Packet) bool { return p.Dst == addr("198.51.100.1") }},
		{"no payload", packet("192.0.2.2", "224.0.0.240", 255, nil), func(p pfsync.Packet) bool { return len(p.Data) == 0 }},
		{"padded", append(packet("192.0.2.2", "224.0.0.240", 255, frame), 1, 2, 3), func(p pfsync.Packet) bool { return bytes.Equal(p.Data, frame) }},
		{"wrong IP checksum", badSum, nil},
		{"to another host", packet("192.0.2.2", "192.0.2.77", 255, frame), nil},
		{"to another group", packet("192.0.2.2", "224.0.0.18", 255, frame), nil},
		{"to another IPv6 group", packet("fe80::99", "ff02::1", 255, frame), nil},
	} {
		in := in4
		if tt.packet[0]>>4 == 6 {
			in = in6
		}
		inject(tt.packet)
		nettest.Want(t, in, tt.name, tt.want)
	}
	// The kernel delivers to every socket what any of them has joined.
	if s := c6.Stats(); s.Received != 2 || s.NotForUs != 1 {
		t.Errorf("IPv6: %+v, want 2 received and 1 not for us", s)
	}
}

// Of two interfaces to the same host, a Conn uses one and no other.
func TestOtherInterface(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := nettest.TwoPaths(t)
			lan, back := listen(t, a, Config{Group: group}), listen(t, a, Config{Interface: "back", Group: group})
			cb := listen(t, b, Config{Interface: "back", Group: group})
			inLAN, inBack := read(t, listen(t, b, Config{Group: group})), read(t, cb)
			peer := addr("203.0.113.9")
			if group.Is6() {
				peer = addr("2001:db8:9::9")
			}
			for _, dst := range []netip.Addr{peer, group} {
				deliver(t, lan, dst, inLAN)
				nettest.None(t, inBack, "sent on lan")
			}
			if s := cb.Stats(); s.NotForUs == 0 {
				t.Errorf("the other interface's packets are not counted: %+v", s)
			}
			send(t, back, group, frame)
			nettest.Next(t, inBack, group.String())
			nettest.None(t, inLAN, "sent on back")
		})
	}
}

// A packet of the size of the MTU passes, one octet more does not, and what stood
// before it has been sent.
func TestMTU(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			a, b := lab.NS("a"), lab.NS("b")
			a.Veth("lan", b, "lan")
			header := inet.IPv4HeaderLen
			if group.Is6() {
				header = inet.IPv6HeaderLen
			}
			ca, in := listen(t, a, Config{Group: group}), read(t, listen(t, b, Config{Group: group}))
			for _, mtu := range []int{1500, 9000, 65535} {
				a.IP("link set lan mtu %d", mtu)
				b.IP("link set lan mtu %d", mtu)
				fits := bytes.Repeat([]byte{0xaa}, mtu-header)
				send(t, ca, group, fits)
				if p := nettest.Next(t, in, "of the size of the MTU"); !bytes.Equal(p.Data, fits) {
					t.Errorf("MTU %d: %d octets arrive of %d", mtu, len(p.Data), len(fits))
				}
				n, err := ca.WritePackets(group, [][]byte{frame, fits, append(fits, 0), frame})
				if n != 2 || !errors.Is(err, unix.EMSGSIZE) {
					t.Errorf("MTU %d, one octet more: %d sent, %v", mtu, n, err)
				}
				nettest.Next(t, in, "before the one that is too long")
				nettest.Next(t, in, "before the one that is too long")
				nettest.None(t, in, "too long, or behind it")
			}
		})
	}
}
