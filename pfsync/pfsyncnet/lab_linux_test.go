package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/pfsync"
)

// TestMain fails if a goroutine of this package outlives the tests.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		childWithoutPrivilege()
	}
	code := m.Run()
	if code == 0 {
		if left := leaked(2 * time.Second); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits until no goroutine but the caller's is in this package.
func leaked(timeout time.Duration) string {
	for deadline := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 1<<20)
		var left []string
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
			if strings.Contains(g, "/pfsyncnet.") {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

var (
	// families are the two kinds of Conn, by their groups.
	families = map[string]netip.Addr{"IPv4": pfsync.Group4, "IPv6": pfsync.Group6}

	frame = []byte("\x06\x00\x00\x24 no real frame, but 36 octets !!!")
)

// pair is two nodes, a and b, on one segment called lan.
func pair(t testing.TB) (a, b *netns.NS, lab *netns.Lab) {
	t.Helper()
	lab = netns.New(t, "a", "b")
	lab.Bridge("lan", "a", "b")
	a, b = lab.NS("a"), lab.NS("b")
	a.Addr("lan", "192.0.2.1/24", "2001:db8::1/64")
	b.Addr("lan", "192.0.2.2/24", "2001:db8::2/64")
	return a, b, lab
}

func listen(t testing.TB, ns *netns.NS, cfg Config) *Conn {
	t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "lan"
	}
	var c *Conn
	var err error
	ns.Do(func() { c, err = Listen(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// read reads in another goroutine, until the Conn is closed.
func read(t testing.TB, c *Conn) <-chan pfsync.Packet {
	in, done := make(chan pfsync.Packet), make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		defer close(in)
		for {
			p := make([]pfsync.Packet, 8)
			n, err := c.ReadPackets(p)
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					panic(err)
				}
				return
			}
			for _, p := range p[:n] {
				select {
				case in <- p:
				case <-done:
					return
				}
			}
		}
	}()
	return in
}

func next[P any](t testing.TB, in <-chan P, what string) P {
	t.Helper()
	select {
	case p := <-in:
		return p
	case <-time.After(5 * time.Second):
		t.Fatalf("no packet: %s", what)
		panic("not reached")
	}
}

func none[P any](t testing.TB, in <-chan P, what string) {
	t.Helper()
	select {
	case p := <-in:
		t.Errorf("%s: got %+v", what, p)
	case <-time.After(50 * time.Millisecond):
	}
}

// send sends payloads. IPv6 cannot before the source address is ready.
func send(t testing.TB, c *Conn, dst netip.Addr, payloads ...[]byte) {
	t.Helper()
	n, err := c.WritePackets(dst, payloads)
	for tries := 0; dst.Is6() && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EINVAL)) && tries < 500; tries++ {
		time.Sleep(10 * time.Millisecond)
		n, err = c.WritePackets(dst, payloads)
	}
	if err != nil || n != len(payloads) {
		t.Fatalf("%d of %d sent: %v", n, len(payloads), err)
	}
}

// deliver sends to a peer until it arrives: on a busy machine addresses and
// neighbours take their time to be ready after a lab was built.
func deliver(t testing.TB, c *Conn, dst netip.Addr, in <-chan pfsync.Packet) pfsync.Packet {
	t.Helper()
	return repeat(t, func() { send(t, c, dst, frame) }, in)
}

func repeat[P any](t testing.TB, send func(), in <-chan P) P {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		send()
		select {
		case got := <-in:
			for { // those that had waited for the neighbour come together
				select {
				case <-in:
				case <-time.After(30 * time.Millisecond):
					return got
				}
			}
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("no packet arrives")
	panic("not reached")
}

// rawSender returns a function that sends IP packets of any kind, with a header of
// the test's.
func rawSender(t testing.TB, ns *netns.NS, ifname string) func(b []byte) {
	t.Helper()
	fd, ll := packetSocket(t, ns, ifname, 0)
	return func(b []byte) {
		t.Helper()
		etherType := uint16(unix.ETH_P_IP)
		if b[0]>>4 == 6 {
			etherType = unix.ETH_P_IPV6
		}
		ll := *ll
		ll.Protocol = etherType<<8 | etherType>>8
		ll.Halen = 6
		copy(ll.Addr[:], "\xff\xff\xff\xff\xff\xff")
		if err := unix.Sendto(fd, b, 0, &ll); err != nil {
			t.Fatalf("sending: %v", err)
		}
	}
}

// packetSocket opens a packet socket that sends and receives IP packets.
func packetSocket(t testing.TB, ns *netns.NS, ifname string, protocol uint16) (int, *unix.SockaddrLinklayer) {
	t.Helper()
	var fd int
	var err error
	ll := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8}
	ns.Do(func() {
		var nic *net.Interface
		if nic, err = net.InterfaceByName(ifname); err != nil {
			return
		}
		ll.Ifindex = nic.Index
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fd, ll)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, ll
}

// wire returns a function that waits for the next packet, from its IP header on,
// that arrives at an interface and has the protocol.
func wire(t testing.TB, ns *netns.NS, ifname string, protocol byte) func() []byte {
	t.Helper()
	fd, _ := packetSocket(t, ns, ifname, unix.ETH_P_ALL)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	return func() []byte {
		t.Helper()
		b := make([]byte, 1<<16)
		for {
			n, from, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				t.Fatalf("no packet on the wire: %v", err)
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); !ok || ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			switch {
			case n > 40 && b[0]>>4 == 4 && b[9] == protocol, n > 40 && b[0]>>4 == 6 && b[6] == protocol:
				return b[:n]
			}
		}
	}
}

// eventually polls a condition that another process or goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func linkLocal(ns *netns.NS, ifname string) netip.Addr {
	return addr(strings.Split(strings.Fields(ns.IP("-6 -br addr show dev %s scope link", ifname))[2], "/")[0])
}

func index(t testing.TB, ns *netns.NS, ifname string) int {
	t.Helper()
	var nic *net.Interface
	var err error
	ns.Do(func() { nic, err = net.InterfaceByName(ifname) })
	if err != nil {
		t.Fatal(err)
	}
	return nic.Index
}
