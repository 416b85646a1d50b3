package carpnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/leak"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
)

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) {
	if nettest.Child() {
		childWithoutPrivilege()
	}
	os.Exit(leak.Run(m))
}

var (
	vmac   = carp.HardwareAddr{0, 0, 0x5e, 0, 1, 7}
	advert = []byte("!\x07\x00\x07 no real advert, but 36 octets !!!!")
)

func listen(t testing.TB, ns *netns.NS, cfg Config) *Conn {
	t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "lan"
	}
	return nettest.Open(t, ns, func() (*Conn, error) { return Listen(cfg) })
}

// read reads in another goroutine, until the Conn is closed.
func read(t testing.TB, c *Conn) <-chan carp.Packet {
	return nettest.Read(t, func() ([]carp.Packet, error) {
		p := make([]carp.Packet, 1)
		return p, c.ReadPacket(&p[0])
	})
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

// deliver sends p until it arrives.
func deliver(t testing.TB, c *Conn, p carp.Packet, in <-chan carp.Packet) carp.Packet {
	t.Helper()
	return nettest.Repeat(t, func() { send(t, c, p) }, in)
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

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
