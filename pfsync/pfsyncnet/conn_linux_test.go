package pfsyncnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/pfsync"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// memberships are the groups that hosts have joined on an interface and that are pfsync's.
func memberships(ns *netns.NS, ifname string) string {
	var groups []string
	for line := range strings.Lines(ns.IP("maddr show dev %s", ifname)) {
		if strings.Contains(line, "inet") && (strings.Contains(line, "224.0.0.240") || strings.Contains(line, "ff12::f0")) {
			groups = append(groups, strings.TrimSpace(line))
		}
	}
	return strings.Join(groups, ", ")
}

func TestGroup(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			ina, inb := read(t, ca), read(t, cb)
			if diff := cmp.Diff([]netip.Addr{group}, ca.Destinations(), sameAddr); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
			src := addr("192.0.2.1")
			if group.Is6() {
				src = linkLocal(a, "lan")
			}
			send(t, ca, group, frame)
			want := pfsync.Packet{Data: frame, Src: src, Dst: group, TTL: 255, IfIndex: index(t, b, "lan")}
			if diff := cmp.Diff(want, next(t, inb, "to the group"), sameAddr); diff != "" {
				t.Errorf("to the group (-want +got):\n%s", diff)
			}
			none(t, ina, "the sender hears itself")
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
				none(t, in[1-i], "a packet to the other peer")
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
	a, _, _ := pair(t)
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
		none(t, in, "from itself")
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
			a, b, _ := pair(t)
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
	a, b, _ := pair(t)
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
		if tt.want == nil {
			none(t, in, tt.name)
		} else if p := next(t, in, tt.name); !tt.want(p) {
			t.Errorf("%s: got %+v", tt.name, p)
		}
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
			a, b, lab := pair(t)
			lab.Bridge("back", "a", "b")
			a.Addr("back", "198.51.100.1/24", "2001:db8:b::1/64")
			b.Addr("back", "198.51.100.2/24", "2001:db8:b::2/64")
			b.Addr("lan", "203.0.113.9/32", "2001:db8:9::9/128")
			a.IP("route add 203.0.113.9 via 198.51.100.2 metric 1")
			a.IP("route add 203.0.113.9 via 192.0.2.2 metric 9")
			a.IP("-6 route add 2001:db8:9::9 via 2001:db8:b::2 metric 1")
			a.IP("-6 route add 2001:db8:9::9 via 2001:db8::2 metric 9")

			lan, back := listen(t, a, Config{Group: group}), listen(t, a, Config{Interface: "back", Group: group})
			cb := listen(t, b, Config{Interface: "back", Group: group})
			inLAN, inBack := read(t, listen(t, b, Config{Group: group})), read(t, cb)
			peer := addr("203.0.113.9")
			if group.Is6() {
				peer = addr("2001:db8:9::9")
			}
			for _, dst := range []netip.Addr{peer, group} {
				deliver(t, lan, dst, inLAN)
				none(t, inBack, "sent on lan")
			}
			if s := cb.Stats(); s.NotForUs == 0 {
				t.Errorf("the other interface's packets are not counted: %+v", s)
			}
			send(t, back, group, frame)
			next(t, inBack, group.String())
			none(t, inLAN, "sent on back")
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
				if p := next(t, in, "of the size of the MTU"); !bytes.Equal(p.Data, fits) {
					t.Errorf("MTU %d: %d octets arrive of %d", mtu, len(p.Data), len(fits))
				}
				n, err := ca.WritePackets(group, [][]byte{frame, fits, append(fits, 0), frame})
				if n != 2 || !errors.Is(err, unix.EMSGSIZE) {
					t.Errorf("MTU %d, one octet more: %d sent, %v", mtu, n, err)
				}
				next(t, in, "before the one that is too long")
				next(t, in, "before the one that is too long")
				none(t, in, "too long, or behind it")
			}
		})
	}
}

// Many packets in one call arrive in order, in whatever portions they are read, and
// in the buffers that they are read into.
func TestBatch(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := pair(t)
			ca, cb := listen(t, a, Config{Group: group}), listen(t, b, Config{Group: group})
			const packets = 3*batch + 7
			var payloads [][]byte
			for i := range packets {
				payloads = append(payloads, bytes.Repeat([]byte{byte(i)}, 20+i))
			}
			send(t, ca, group, payloads...)
			p := make([]pfsync.Packet, 100)
			rooms := make([]*byte, len(p))
			for i := range p {
				p[i].Data = make([]byte, 1500)
				rooms[i] = &p[i].Data[0]
			}
			for got, size := 0, 1; got < packets; size = size*3%101 + 1 {
				n, err := cb.ReadPackets(p[:min(size, len(p))])
				if err != nil || n < 1 || n > size {
					t.Fatalf("%d read, %v", n, err)
				}
				for i := range n {
					if !bytes.Equal(p[i].Data, payloads[got]) {
						t.Fatalf("packet %d is % x", got, p[i].Data)
					}
					if &p[i].Data[0] != rooms[i] {
						t.Fatalf("packet %d is not where it was to be read to", got)
					}
					got++
				}
			}
			if n, err := ca.WritePackets(group, nil); n != 0 || err != nil {
				t.Errorf("sending nothing: %d, %v", n, err)
			}
			if n, err := cb.ReadPackets(nil); n != 0 || err != nil {
				t.Errorf("reading nothing: %d, %v", n, err)
			}
		})
	}
}

// What does not fit into the buffer is counted, and nothing else is missing.
func TestDropped(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	ca, cb := listen(t, a, Config{}), listen(t, b, Config{})
	payloads := make([][]byte, batch)
	for i := range payloads {
		payloads[i] = make([]byte, 1400)
	}
	var sent uint64
	for start := time.Now(); cb.Stats().Dropped == 0; sent += batch {
		send(t, ca, pfsync.Group4, payloads...)
		if time.Since(start) > 10*time.Second {
			t.Fatalf("nothing dropped of %d", sent)
		}
	}
	dropped := cb.Stats().Dropped
	in := read(t, cb)
	for range sent - dropped {
		next(t, in, "that was not dropped")
	}
	none(t, in, "that was counted as dropped")
	// 16 MiB of a kernel that counts the memory around packets, too.
	if least := uint64(receiveBuffer / 2304); sent-dropped < least {
		t.Errorf("%d packets fitted, want %d at least", sent-dropped, least)
	}
}

// Peers that do not answer are no obstacle to those that do.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	alive := addr("192.0.2.2")
	peers := []netip.Addr{alive, addr("192.0.2.66"), addr("192.0.2.67"), addr("192.0.2.68"), addr("192.0.2.69")}
	c := listen(t, a, Config{Peers: peers})
	in := read(t, listen(t, b, Config{Peers: []netip.Addr{addr("192.0.2.1")}}))
	deliver(t, c, alive, in)
	big := make([]byte, 1400)
	for range 200 {
		for _, dead := range peers[1:] {
			send(t, c, dead, big, big, big, big)
		}
		send(t, c, alive, frame)
		next(t, in, "beside dead peers")
	}
}

// If there is no room even after a while, that is an error, and the next one comes
// at once. When there is room again, sending works.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	a.SetSysctl("net.ipv4.neigh.lan.unres_qlen_bytes", "100000000")
	dead := addr("192.0.2.66")
	c := listen(t, a, Config{Peers: []netip.Addr{dead}})
	payloads := make([][]byte, 10000)
	for i := range payloads {
		payloads[i] = make([]byte, 1400)
	}
	start := time.Now()
	n, err := c.WritePackets(dead, payloads)
	took := time.Since(start)
	if !errors.Is(err, unix.ENOBUFS) || n == 0 || n == len(payloads) || took < sendWait || took > time.Second {
		t.Errorf("%d sent in %v, %v", n, took, err)
	}
	if want := "pfsyncnet: sending to 192.0.2.66 on lan: queue is full: no buffer space available"; err != nil && err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	start = time.Now()
	const again = 10
	for range again {
		if n, err := c.WritePackets(dead, payloads); n != 0 || err == nil {
			t.Errorf("%d sent into a full queue, %v", n, err)
		}
	}
	if took := time.Since(start); took > again*sendWait/2 {
		t.Errorf("%d times a full queue took %v", again, took)
	}

	b.Addr("lan", "192.0.2.66/24") // the dead wakes up, and is found by the next question
	in := read(t, listen(t, b, Config{}))
	for range n {
		next(t, in, "that waited in the queue")
	}
	deliver(t, c, dead, in)
}

func TestFirewall(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	netns.Require(t, "nft")
	ca, in := listen(t, a, Config{}), read(t, listen(t, b, Config{}))
	deliver(t, ca, pfsync.Group4, in)
	nft := func(ns *netns.NS, hook string) {
		ns.Run("nft", "add table ip t; add chain ip t c { type filter hook "+hook+" priority 0 ; }; add rule ip t c ip protocol 240 drop")
	}
	nft(b, "input")
	send(t, ca, pfsync.Group4, frame)
	none(t, in, "refused at the input of b")
	nft(a, "output")
	n, err := ca.WritePackets(pfsync.Group4, [][]byte{frame})
	if n != 0 || !errors.Is(err, os.ErrPermission) || !strings.HasSuffix(err.Error(), "refused by the firewall") {
		t.Errorf("refused at the output of a: %d, %v", n, err)
	}
}

func TestClose(t *testing.T) {
	for name, group := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := pair(t)
			flood, flooded := listen(t, b, Config{Group: group}), listen(t, a, Config{Group: group})
			a.Veth("quiet", b, "quiet")
			quiet := listen(t, a, Config{Interface: "quiet", Peers: []netip.Addr{addr("192.0.2.9")}})

			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						flood.WritePackets(group, [][]byte{frame, frame})
					}
				}
			}()
			defer close(stop)
			for name, c := range map[string]*Conn{"flooded": flooded, "quiet": quiet} {
				result, reading := make(chan error), make(chan struct{})
				go func() {
					close(reading)
					var err error
					for p := make([]pfsync.Packet, 4); err == nil; {
						_, err = c.ReadPackets(p)
					}
					result <- err
				}()
				<-reading
				time.Sleep(20 * time.Millisecond)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				select {
				case err := <-result:
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s: a waiting read gave %v", name, err)
					}
				case <-time.After(time.Second):
					t.Fatalf("%s: Close does not end a read", name)
				}
				_, readErr := c.ReadPackets(make([]pfsync.Packet, 1))
				_, writeErr := c.WritePackets(c.Destinations()[0], [][]byte{frame})
				for _, err := range []error{readErr, writeErr} {
					want := fmt.Sprintf("pfsyncnet: %s: use of closed network connection", c.cfg.Interface)
					if !errors.Is(err, net.ErrClosed) || err.Error() != want {
						t.Errorf("%s: after Close: %v, want %s", name, err, want)
					}
				}
				if err := c.Close(); err != nil {
					t.Errorf("%s: a second Close: %v", name, err)
				}
				c.Stats() // works on
			}
		})
	}
}
