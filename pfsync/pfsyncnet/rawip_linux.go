package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/rawip"
	"github.com/gocarp/gocarp/pfsync"
)

// sendBuffer is what we ask of the kernel, in octets: room for what it keeps for
// some peers that do not answer, which is 200 KiB each for a few seconds. With more
// the queue of the device, 1000 packets, would be full first, and drop without a
// word. (Linux takes this number times four, and counts 2304 octets for a packet.)
const sendBuffer = 512 << 10

// A rawSocket is a raw IP socket that is read and written in batches. Packet
// sockets could send 1.8 times as many packets, but sending is not what limits a
// sync network, and they would know no peers, no firewall and no tunnels.
type rawSocket struct {
	group rawip.Membership
	conn  *net.IPConn
	rc    syscall.RawConn
	rx    *receiver
	tx    *sender
}

func openRaw(cfg Config) (*rawSocket, error) {
	conn, err := openIP(cfg)
	if err != nil {
		return nil, err
	}
	s := &rawSocket{conn: conn}
	if s.rc, err = conn.SyscallConn(); err == nil {
		err = s.set(cfg.v4())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("pfsyncnet: setting up a raw IP socket for %s: %w", cfg.Interface, rawip.Errno(err))
	}
	s.group.Group = cfg.Group
	s.rx, s.tx = newReceiver(s.rc, cfg.v4()), newSender(conn, s.rc, cfg.v4(), cfg.Source)
	return s, nil
}

// set sets the options of the socket. Both families get PMTUDISC_PROBE: packets
// leave as they are, IPv4 ones with DF, or not at all; and what routers, or whoever
// says to be one, tell about the path does not matter.
func (s *rawSocket) set(v4 bool) error {
	var err error
	level, discover, probe := unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
	if v4 {
		level, discover, probe = unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
		c := ipv4.NewPacketConn(s.conn)
		s.group.Conn = c
		err = errors.Join(
			c.SetControlMessage(ipv4.FlagInterface, true),
			c.SetMulticastLoopback(false),
			c.SetMulticastTTL(rawip.TTL),
			c.SetTTL(rawip.TTL),
			c.SetTOS(tos),
		)
	} else {
		c := ipv6.NewPacketConn(s.conn)
		s.group.Conn = c
		err = rawip.Set6(c)
	}
	return errors.Join(err, s.control(func(fd int) error {
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
		setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
		return unix.SetsockoptInt(fd, level, discover, probe)
	}))
}

// setBuffer sets the size of a buffer, as far as the system's limit if there is not
// the privilege to go beyond.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

func (s *rawSocket) control(f func(fd int) error) error {
	var err error
	return errors.Join(s.rc.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

func (s *rawSocket) join(index int) error { return s.group.Join(index) }

func (s *rawSocket) read(p []pfsync.Packet) (int, error) { return s.rx.read(p) }

func (s *rawSocket) write(index int, dst netip.Addr, payloads [][]byte) (int, error) {
	return s.tx.write(index, dst, payloads)
}

func (s *rawSocket) dropped() uint64 {
	var drops uint32
	s.control(func(fd int) (err error) { // fails if it is closed
		drops, err = socketDrops(fd)
		return err
	})
	return uint64(drops)
}

func (s *rawSocket) close() error { return rawip.Errno(s.conn.Close()) }
