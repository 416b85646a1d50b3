package carpnet

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

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netns"
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
			if strings.Contains(g, "/carpnet.") {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

var (
	vmac   = carp.HardwareAddr{0, 0, 0x5e, 0, 1, 7}
	advert = []byte("!\x07\x00\x07 no real advert, but 36 octets !!!!")
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
func read(c *Conn) <-chan carp.Packet {
	in := make(chan carp.Packet)
	go func() {
		defer close(in)
		for {
			var p carp.Packet
			if err := c.ReadPacket(&p); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					panic(err)
				}
				return
			}
			select {
			case in <- p:
			case <-c.closed:
				return
			}
		}
	}()
	return in
}

func next(t testing.TB, in <-chan carp.Packet, what string) carp.Packet {
	t.Helper()
	select {
	case p := <-in:
		return p
	case <-time.After(5 * time.Second):
		t.Fatalf("no packet: %s", what)
		return carp.Packet{}
	}
}

func none(t testing.TB, in <-chan carp.Packet, what string) {
	t.Helper()
	select {
	case p := <-in:
		t.Errorf("%s: got %+v", what, p)
	case <-time.After(50 * time.Millisecond):
	}
}

// send sends p. A raw IPv6 socket cannot before the link-local address is ready.
func send(t testing.TB, c *Conn, p carp.Packet) {
	t.Helper()
	if p.Data == nil {
		p.Data = advert
	}
	err := c.WritePacket(p)
	for n := 0; errors.Is(err, unix.EADDRNOTAVAIL) && n < 500; n++ {
		time.Sleep(10 * time.Millisecond)
		err = c.WritePacket(p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// deliver sends p to a peer until it arrives: on a busy machine addresses and
// neighbours take their time to be ready after a lab was built.
func deliver(t testing.TB, c *Conn, p carp.Packet, in <-chan carp.Packet) carp.Packet {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		send(t, c, p)
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
	t.Fatalf("no packet arrives at %v", p.Dst)
	return carp.Packet{}
}

// injector returns a function that sends any frame from an interface.
func injector(t testing.TB, ns *netns.NS, ifname string) func([]byte) {
	t.Helper()
	var c *packet.Conn
	var err error
	ns.Do(func() {
		var nic *net.Interface
		if nic, err = net.InterfaceByName(ifname); err == nil {
			c, err = packet.Listen(nic, packet.Raw, 0, nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return func(frame []byte) {
		t.Helper()
		var err error
		rc.Control(func(fd uintptr) { _, err = unix.Write(int(fd), frame) })
		if err != nil {
			t.Fatalf("inject: %v", err)
		}
	}
}

func frame(t testing.TB, p carp.Packet) []byte {
	t.Helper()
	if p.Data == nil {
		p.Data = advert
	}
	b, err := AppendFrame(nil, &p, DefaultTOS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
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

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
