//go:build freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
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

// maxPacket is the most that IP can carry.
const maxPacket = 1<<16 - 1

// A rawSocket is a raw IP socket, one packet at a time, with a header of ours on IPv4
// packets.
type rawSocket struct {
	group rawip.Membership
	conn  *net.IPConn
	rc    syscall.RawConn
	src   netip.Addr
	v4    *ipv4.RawConn // nil: IPv6
	v6    *ipv6.PacketConn

	buf, oob []byte // read's
}

func openRaw(cfg Config) (*rawSocket, error) {
	conn, err := openIP(cfg)
	if err != nil {
		return nil, err
	}
	s := &rawSocket{conn: conn, src: cfg.Source, buf: make([]byte, maxPacket), oob: make([]byte, 256)}
	s.group.Group = cfg.Group
	if s.rc, err = conn.SyscallConn(); err == nil {
		err = s.set(cfg.v4())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("pfsyncnet: setting up a raw IP socket for %s: %w", cfg.Interface, rawip.Errno(err))
	}
	return s, nil
}

func (s *rawSocket) set(v4 bool) error {
	s.conn.SetReadBuffer(receiveBuffer) // or what the system allows
	if !v4 {
		s.v6 = ipv6.NewPacketConn(s.conn)
		s.group.Conn = s.v6
		return rawip.Set6(s.v6)
	}
	var err error
	if s.v4, err = ipv4.NewRawConn(s.conn); err != nil {
		return err
	}
	s.group.Conn = s.v4
	return rawip.Set4(s.v4)
}

func (s *rawSocket) join(index int) error { return s.group.Join(index) }

func (s *rawSocket) read(p []pfsync.Packet) (int, error) {
	var n, oobn int
	var from unix.Sockaddr
	var err error
	if rerr := s.rc.Read(func(fd uintptr) bool {
		n, oobn, from, err = rawip.Receive(fd, s.buf, s.oob)
		return err != unix.EAGAIN
	}); rerr != nil {
		return 0, rerr
	} else if err != nil {
		return 0, err
	}
	data := s.buf[:n]
	var h rawip.Header // zero if it cannot be made sense of
	if s.v4 != nil {
		data, h, _ = rawip.Parse4(data, s.oob[:oobn])
	} else {
		h, _ = rawip.Parse6(s.oob[:oobn], from)
	}
	p[0] = pfsync.Packet{Data: append(p[0].Data[:0], data...), Src: h.Src, Dst: h.Dst, TTL: h.TTL, IfIndex: h.IfIndex}
	return 1, nil
}

// write does not wait: these kernels say ENOBUFS at once.
func (s *rawSocket) write(index int, dst netip.Addr, payloads [][]byte) (int, error) {
	for i, b := range payloads {
		if err := s.writeOne(index, dst, b); err != nil {
			return i, err
		}
	}
	return len(payloads), nil
}

func (s *rawSocket) writeOne(index int, dst netip.Addr, b []byte) error {
	if s.v4 == nil {
		return rawip.Write6(s.v6, index, s.src, dst, b)
	}
	return rawip.Write4(s.v4, pfsync.ProtocolNumber, tos, index, s.src, dst, b)
}

// dropped is not known.
func (s *rawSocket) dropped() uint64 { return 0 }

func (s *rawSocket) close() error { return rawip.Errno(s.conn.Close()) }

// openIP opens a raw IP socket of the family of the destinations.
func openIP(cfg Config) (*net.IPConn, error) {
	network := "ip6"
	if cfg.v4() {
		network = "ip4"
	}
	c, err := rawip.Listen(network, pfsync.ProtocolNumber)
	if err != nil {
		return nil, rawip.OpenError("pfsyncnet: opening a raw IP socket for "+cfg.Interface, err)
	}
	return c, nil
}
