package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/oneshot"
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
	conn  *oneshot.Conn
	rx    *receiver
	tx    *sender
}

func openRaw(cfg Config) (*rawSocket, error) {
	family := unix.AF_INET6
	if cfg.v4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, pfsync.ProtocolNumber)
	if err != nil {
		return nil, rawip.OpenError("pfsyncnet: opening a raw IP socket for "+cfg.Interface, err)
	}
	conn, err := oneshot.New(fd, "pfsync")
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: a raw IP socket for %s: %w", cfg.Interface, err)
	}
	if err := set(fd, cfg.v4()); err != nil {
		conn.Close()
		return nil, fmt.Errorf("pfsyncnet: setting up a raw IP socket for %s: %w", cfg.Interface, err)
	}
	return &rawSocket{
		group: rawip.Membership{Group: cfg.Group, Conn: multicast{conn, cfg.v4()}}, conn: conn,
		rx: newReceiver(conn, cfg.v4()), tx: newSender(conn, cfg.v4(), cfg.Source),
	}, nil
}

// set sets the options of the socket. Both families get PMTUDISC_PROBE: packets
// leave as they are, IPv4 ones with DF, or not at all; and what routers, or whoever
// says to be one, tell about the path does not matter.
func set(fd int, v4 bool) error {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	level, options := unix.IPPROTO_IPV6, [][2]int{
		{unix.IPV6_RECVPKTINFO, 1},
		{unix.IPV6_RECVHOPLIMIT, 1},
		{unix.IPV6_MULTICAST_LOOP, 0},
		{unix.IPV6_MULTICAST_HOPS, rawip.TTL},
		{unix.IPV6_UNICAST_HOPS, rawip.TTL},
		{unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
	}
	if v4 {
		level, options = unix.IPPROTO_IP, [][2]int{
			{unix.IP_PKTINFO, 1},
			{unix.IP_MULTICAST_LOOP, 0},
			{unix.IP_MULTICAST_TTL, rawip.TTL},
			{unix.IP_TTL, rawip.TTL},
			{unix.IP_TOS, tos},
			{unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, level, o[0], o[1]); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
}

// setBuffer sets the size of a buffer, as far as the system's limit if there is not
// the privilege to go beyond.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

func (s *rawSocket) join(index int) error { return s.group.Join(index) }

func (s *rawSocket) read(p []pfsync.Packet) (int, error) { return s.rx.read(p) }

func (s *rawSocket) write(index int, dst netip.Addr, payloads [][]byte) (int, error) {
	return s.tx.write(index, dst, payloads)
}

func (s *rawSocket) dropped() (drops uint64) {
	s.conn.Control(func(fd uintptr) { // fails if it is closed
		n, _ := socketDrops(int(fd))
		drops = uint64(n)
	})
	return drops
}

func (s *rawSocket) close() error { return s.conn.Close() }

// A multicast is what a membership needs of a socket.
type multicast struct {
	conn *oneshot.Conn
	v4   bool
}

func (m multicast) JoinGroup(ifi *net.Interface, group net.Addr) error {
	return m.set(unix.IP_ADD_MEMBERSHIP, unix.IPV6_JOIN_GROUP, ifi, group)
}

func (m multicast) LeaveGroup(ifi *net.Interface, group net.Addr) error {
	return m.set(unix.IP_DROP_MEMBERSHIP, unix.IPV6_LEAVE_GROUP, ifi, group)
}

func (m multicast) SetMulticastInterface(ifi *net.Interface) (err error) {
	if m.v4 {
		return m.set(unix.IP_MULTICAST_IF, 0, ifi, &net.IPAddr{IP: net.IPv4zero})
	}
	cerr := m.conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifi.Index)
	})
	return errors.Join(cerr, err)
}

// set sets an option, of either family, whose value is a group on an interface.
func (m multicast) set(option4, option6 int, ifi *net.Interface, group net.Addr) (err error) {
	ip := group.(*net.IPAddr).IP
	cerr := m.conn.Control(func(fd uintptr) {
		if m.v4 {
			err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, option4, &unix.IPMreqn{Multiaddr: [4]byte(ip.To4()), Ifindex: int32(ifi.Index)})
		} else {
			err = unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, option6, &unix.IPv6Mreq{Multiaddr: [16]byte(ip), Interface: uint32(ifi.Index)})
		}
	})
	return errors.Join(cerr, err)
}
