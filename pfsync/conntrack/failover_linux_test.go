package conntrack

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/netns"
)

// A site is two firewalls between a LAN with a client and a WAN with a server
// that has no route to the LAN. The first firewall has the virtual addresses.
type site struct {
	*netns.Lab
	t        testing.TB
	fw1, fw2 *table
}

const firewall1 = `
table inet fw {
	chain forward { type filter hook forward priority 0; policy drop;
		ct state invalid drop
		ct state established,related accept
		ct state new accept; }
}
table ip nat {
	chain pre { type nat hook prerouting priority -100;
		iifname wan tcp dport 80 dnat to 192.0.2.100:8080; }
	chain post { type nat hook postrouting priority 100;
		oifname wan ip saddr 192.0.2.0/24 meta l4proto { tcp, udp } snat to 198.51.100.1:2000-2999
		oifname wan ip saddr 192.0.2.0/24 snat to 198.51.100.1; }
}
table ip6 nat {
	chain post { type nat hook postrouting priority 100;
		oifname wan ip6 saddr 2001:db8:1::/64 meta l4proto { tcp, udp } snat to [2001:db8:2::1]:2000-2999
		oifname wan ip6 saddr 2001:db8:1::/64 snat to 2001:db8:2::1; }
}`

const (
	established = `
table inet fw {
	chain forward { type filter hook forward priority 0; policy drop;
		ct state invalid counter drop
		ct state established,related accept; }
}`
	natChains = `
table inet nat {
	chain post { type nat hook postrouting priority 100; }
}`
	// firewall2 forwards nothing but established connections, and has a NAT chain
	// without rules: what passes is the work of an entry that was put there.
	firewall2 = established + natChains
)

func newSite(t testing.TB, rules2 string) *site {
	t.Helper()
	netns.Require(t, "nft")
	lab := netns.New(t, "client", "fw1", "fw2", "server")
	lab.Bridge("lan", "client", "fw1", "fw2")
	lab.Bridge("wan", "server", "fw1", "fw2")
	lab.NS("client").Addr("lan", "192.0.2.100/24", "2001:db8:1::100/64")
	lab.NS("client").IP("route add default via 192.0.2.1")
	lab.NS("client").IP("route add default via 2001:db8:1::1")
	lab.NS("server").Addr("wan", "198.51.100.100/24", "2001:db8:2::100/64")
	// Whatever comes with an address of the LAN has escaped translation.
	lab.NS("server").Run("nft", `
table inet leak {
	chain c { type filter hook prerouting priority -400;
		ip saddr 192.0.2.0/24 counter
		ip6 saddr 2001:db8:1::/64 counter; }
}`)
	s := &site{Lab: lab, t: t, fw1: newTable(t, lab.NS("fw1")), fw2: newTable(t, lab.NS("fw2"))}
	for i, fw := range []*table{s.fw1, s.fw2} {
		fw.ns.Addr("lan", fmt.Sprintf("192.0.2.%d/24", 11+i), fmt.Sprintf("2001:db8:1::%d/64", 11+i))
		fw.ns.Addr("wan", fmt.Sprintf("198.51.100.%d/24", 11+i), fmt.Sprintf("2001:db8:2::%d/64", 11+i))
		fw.ns.SetSysctl("net.ipv4.ip_forward", "1")
		fw.ns.SetSysctl("net.ipv6.conf.all.forwarding", "1")
		// With it, a session may survive a failover although nothing was mirrored.
		fw.ns.SetSysctl("net.netfilter.nf_conntrack_tcp_loose", "0")
	}
	s.fw1.rules(firewall1)
	if rules2 != "" {
		s.fw2.rules(rules2)
	}
	s.virtual(s.fw1)
	return s
}

// virtual gives a firewall the virtual addresses.
func (s *site) virtual(fw *table) {
	fw.ns.Addr("lan", "192.0.2.1/32", "2001:db8:1::1/128")
	fw.ns.Addr("wan", "198.51.100.1/32", "2001:db8:2::1/128")
}

// failOver cuts the first firewall off, and gives the second its addresses.
func (s *site) failOver() {
	s.t.Helper()
	s.Detach("lan", "fw1")
	s.Detach("wan", "fw1")
	s.virtual(s.fw2)
	s.NS("client").IP("neigh flush dev lan")
	s.NS("server").IP("neigh flush dev wan")
}

// leaked reports whether packets have reached the server untranslated.
func (s *site) leaked() bool {
	s.t.Helper()
	list := s.NS("server").Run("nft", "list chain inet leak c")
	return strings.Count(list, "packets 0 ") != 2
}

// state is the entry that the first firewall has of the connection to a port,
// with the timeout it has still to live.
func (s *site) state(proto uint8, dport uint16) Entry {
	s.t.Helper()
	return s.fw1.find(func(e *Entry) bool { return e.Orig.Proto == proto && e.Orig.DstPort == dport })
}

// A session is a TCP connection through the site.
type session struct{ near, far net.Conn }

// Patience with a session that must survive, and with one that must not: in
// that time TCP sends a segment at least four times.
const (
	long  = 10 * time.Second
	short = 2 * time.Second
)

// dial opens a connection between two namespaces, and says hello.
func (s *site) dial(from, to *netns.NS, network, addr, listen string) *session {
	s.t.Helper()
	ln := opened(s.t, to, func() (net.Listener, error) { return net.Listen(network, listen) })
	defer ln.Close()
	near := opened(s.t, from, func() (net.Conn, error) { return net.DialTimeout(network, addr, long) })
	s.t.Cleanup(func() { near.Close() })
	far, err := ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { far.Close() })
	c := &session{near: near, far: far}
	if err := c.talk("hello", long); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// talk sends a word forth and back.
func (c *session) talk(word string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for _, way := range [][2]net.Conn{{c.near, c.far}, {c.far, c.near}} {
		way[1].SetReadDeadline(deadline)
		if _, err := fmt.Fprintln(way[0], word); err != nil {
			return err
		}
		got, err := bufio.NewReader(way[1]).ReadString('\n')
		if err != nil {
			return err
		}
		if got != word+"\n" {
			return fmt.Errorf("got %q, want %q", got, word)
		}
	}
	return nil
}

// wrongCreate is an entry as one would write it who has not read the package
// documentation: with the translated tuple of the answers.
func wrongCreate(e *Entry, nat bool, bits Status) []byte {
	b, start := openMessage(nil, msgNew, flagRequest|flagCreate|flagExcl, 1, &e.Orig)
	b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
	b = e.appendTuple(b, ctaTupleReply, e.Reply, ZoneReply)
	e.Status |= bits
	b = e.appendState(b, statusSettable|bits)
	if to, ok := e.SNAT(); ok && nat {
		b = appendNAT(b, ctaNATSrc, e.Orig.Proto, to.Addr(), to.Port())
	}
	return closeMessage(b, start)
}

// TestSurvival moves a TCP session with SNAT to another firewall, with what was
// put into the table there in right and wrong ways.
func TestSurvival(t *testing.T) {
	t.Parallel()
	right := func(s *site, e Entry) { s.fw2.put(e) }
	wrong := func(nat bool, bits Status) func(*site, Entry) {
		return func(s *site, e Entry) {
			if errno := s.fw2.send(wrongCreate(&e, nat, bits)); errno != 0 {
				s.t.Fatal(errno)
			}
		}
	}
	for _, row := range []struct {
		name     string
		rules    string
		put      func(*site, Entry)
		survives bool
		leaks    bool
	}{
		{"nothing", firewall2, func(*site, Entry) {}, false, false},
		{"nothing, with the rules of the first", firewall1, func(*site, Entry) {}, false, false},
		{"plain tuple and NAT_SRC, with the rules of the first", firewall1, right, true, false},
		{"plain tuple and NAT_SRC", firewall2, right, true, false},
		{"a NAT chain before routing", established + strings.ReplaceAll(natChains, "post", "pre"), right, true, false},
		{"translated tuple and NAT_SRC", firewall1, wrong(true, 0), false, true},
		{"translated tuple", firewall1, wrong(false, 0), false, true},
		{"translated tuple and NAT bits", firewall1, wrong(false, StatusSrcNAT|StatusSrcNATDone|StatusDstNATDone), false, true},
		{"no NAT chain", established, right, false, true},
		{"no rules", "", right, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.rules)
			c := s.dial(s.NS("client"), s.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
			row.put(s, s.state(ProtoTCP, 7))
			s.failOver()
			patience := short
			if row.survives {
				patience = long
			}
			err := c.talk("still there?", patience)
			if row.survives && err != nil {
				t.Errorf("the session has died: %v%s", err, s.fw2.list())
			} else if !row.survives && err == nil {
				t.Errorf("the session has survived%s", s.fw2.list())
			}
			if leaked := s.leaked(); leaked != row.leaks {
				t.Errorf("packets went out untranslated: %t, want %t", leaked, row.leaks)
			}
		})
	}
}

// TestSurvivalOfAll moves sessions of other kinds. The second firewall knows of
// them by their entries alone.
func TestSurvivalOfAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, firewall2)
	netns.Require(t, "ping")
	client, server := s.NS("client"), s.NS("server")
	sessions := map[string]*session{
		"SNAT of IPv6": s.dial(client, server, "tcp", "[2001:db8:2::100]:7", "[2001:db8:2::100]:7"),
		"DNAT":         s.dial(server, client, "tcp", "198.51.100.1:80", "192.0.2.100:8080"),
	}

	// UDP: afterwards the server speaks first, which needs the entry.
	udp := opened(t, server, func() (net.PacketConn, error) { return net.ListenPacket("udp", "198.51.100.100:7") })
	defer udp.Close()
	near := opened(t, client, func() (net.Conn, error) { return net.Dial("udp", "198.51.100.100:7") })
	defer near.Close()
	fmt.Fprint(near, "hello")
	b := make([]byte, 64)
	udp.SetReadDeadline(time.Now().Add(long))
	_, seen, err := udp.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	udp.WriteTo([]byte("hello"), seen)
	near.SetReadDeadline(time.Now().Add(long))
	if _, err := near.Read(b); err != nil {
		t.Fatal(err)
	}

	pings := [][]string{{"-c1", "-W2", "-e", "4711", "198.51.100.100"}, {"-c1", "-W2", "-e", "4711", "2001:db8:2::100"}}
	for _, args := range pings {
		client.Run("ping", args...)
	}

	translated := 0
	for _, e := range s.fw1.all() {
		_, snat := e.SNAT()
		_, dnat := e.DNAT()
		if snat || dnat {
			translated++
			s.fw2.put(e)
		}
	}
	if want := 5; translated != want {
		t.Fatalf("%d translated entries, want %d:%s", translated, want, s.fw1.list())
	}
	s.failOver()

	udp.WriteTo([]byte("still there?"), seen)
	near.SetReadDeadline(time.Now().Add(long))
	if n, err := near.Read(b); err != nil || string(b[:n]) != "still there?" {
		t.Errorf("UDP: %q, %v%s", b[:n], err, s.fw2.list())
	}
	for name, c := range sessions {
		if err := c.talk("still there?", long); err != nil {
			t.Errorf("%s: the session has died: %v%s", name, err, s.fw2.list())
		}
	}
	for _, args := range pings {
		if out, err := client.Try("ping", args...); err != nil {
			t.Errorf("ping: %v\n%s%s", err, out, s.fw2.list())
		}
	}
	if s.leaked() {
		t.Error("packets went out untranslated")
	}
}

// notLiberal is AppendCreate but for the flags that say that windows are not to
// be enforced.
func notLiberal(t testing.TB, e *Entry) []byte {
	t.Helper()
	b, err := AppendCreate(nil, 1, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []uint16{ctaTCPFlagsOrig, ctaTCPFlagsReply} {
		with := uint16(e.TCP.Flags[typ-ctaTCPFlagsOrig]&tcpFlagsSettable | TCPLiberal)
		without := with &^ uint16(TCPLiberal)
		old, changed := string(appendUint16(nil, typ, with<<8|with)), string(appendUint16(nil, typ, without<<8|without))
		if strings.Count(string(b), old) != 1 {
			t.Fatalf("no flags %#x in % x", with, b)
		}
		b = []byte(strings.Replace(string(b), old, changed, 1))
	}
	return b
}

// TestOutOfWindow sends segments that no window takes through a firewall to which
// the session was moved, as the rest of a fast stream does.
func TestOutOfWindow(t *testing.T) {
	t.Parallel()
	for _, liberal := range []bool{true, false} {
		t.Run(fmt.Sprintf("liberal %t", liberal), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, firewall2)
			c := s.dial(s.NS("client"), s.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
			e := s.state(ProtoTCP, 7)
			msg, err := AppendCreate(nil, 1, &e)
			if err != nil {
				t.Fatal(err)
			}
			if !liberal {
				msg = notLiberal(t, &e)
			}
			if errno := s.fw2.send(msg); errno != 0 {
				t.Fatal(errno)
			}
			s.failOver()
			if err := c.talk("still there?", long); err != nil {
				t.Fatal(err)
			}
			raw := opened(t, s.NS("client"), func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) })
			defer unix.Close(raw)
			for i := range uint32(4) { // far from each other, so most are far from the window
				segment := strayACK(e.Orig, i<<30)
				if err := unix.Sendto(raw, segment, 0, &unix.SockaddrInet4{Addr: e.Orig.Dst.As4()}); err != nil {
					t.Fatal(err)
				}
			}
			list := s.fw2.ns.Run("nft", "list chain inet fw forward")
			if passed := strings.Contains(list, "invalid counter packets 0 "); passed != liberal {
				t.Errorf("all segments were valid: %t, want %t\n%s", passed, liberal, list)
			}
		})
	}
}

// strayACK is an IPv4 packet with a TCP segment that has no data.
func strayACK(t Tuple, seq uint32) []byte {
	src, dst := t.Src.As4(), t.Dst.As4()
	tcp := binary.BigEndian.AppendUint16(nil, t.SrcPort)
	tcp = binary.BigEndian.AppendUint16(tcp, t.DstPort)
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = append(tcp, 5<<4, 0x10, 1, 0, 0, 0, 0, 0) // header length, ACK, window, checksum, urgent
	pseudo := slices.Concat(src[:], dst[:], []byte{0, ProtoTCP, 0, byte(len(tcp))}, tcp)
	binary.BigEndian.PutUint16(tcp[16:], inet.Checksum(pseudo))
	ip := []byte{4<<4 | 5, 0, 0, byte(inet.IPv4HeaderLen + len(tcp)), 0, 0, 0, 0, 64, ProtoTCP, 0, 0}
	return slices.Concat(ip, src[:], dst[:], tcp)
}

// TestStream moves a stream that is as fast as it can be.
func TestStream(t *testing.T) {
	s := newSite(t, firewall2)
	c := s.dial(s.NS("client"), s.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
	c.far.SetReadDeadline(time.Time{})
	var received atomic.Int64
	go io.Copy(counter{&received}, c.far)
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.near.Write(b); err != nil {
				return // the test is over
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	s.fw2.put(s.state(ProtoTCP, 7))
	s.failOver()
	time.Sleep(300 * time.Millisecond)
	before := received.Load()
	for deadline := time.Now().Add(long); received.Load() < before+10<<20; {
		if time.Now().After(deadline) {
			t.Fatalf("%d MB before, %d MB after%s", before>>20, (received.Load()-before)>>20, s.fw2.list())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
