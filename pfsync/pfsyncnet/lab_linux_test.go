package pfsyncnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/leak"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

// TestMain fails if a goroutine outlives the tests.
func TestMain(m *testing.M) {
	if nettest.Child() {
		childWithoutPrivilege()
	}
	os.Exit(leak.Run(m))
}

var (
	// families are the two kinds of Conn, by their groups.
	families = map[string]netip.Addr{"IPv4": pfsync.Group4, "IPv6": pfsync.Group6}

	frame = []byte("\x06\x00\x00\x24 no real frame, but 36 octets !!!")
)

func listen(t testing.TB, ns *netns.NS, cfg Config) *Conn {
	t.Helper()
	if cfg.Interface == "" {
		cfg.Interface = "lan"
	}
	return nettest.Open(t, ns, func() (*Conn, error) { return Listen(cfg) })
}

// read reads in another goroutine, until the Conn is closed.
func read(t testing.TB, c *Conn) <-chan pfsync.Packet {
	return nettest.Read(t, func() ([]pfsync.Packet, error) {
		p := make([]pfsync.Packet, 8)
		n, err := c.ReadPackets(p)
		return p[:n], err
	})
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

// deliver sends to a peer until it arrives.
func deliver(t testing.TB, c *Conn, dst netip.Addr, in <-chan pfsync.Packet) pfsync.Packet {
	t.Helper()
	return nettest.Repeat(t, func() { send(t, c, dst, frame) }, in)
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
