//go:build freebsd || openbsd || netbsd || darwin

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

	"github.com/gocarp/gocarp/pfsync"
)

const rawPrivilege = "root"

// maxPacket is the most that IP can carry.
const maxPacket = 1<<16 - 1

// A rawSocket is a raw IP socket, one packet at a time. It has a header of ours on
// IPv4 packets: DF is not to be had otherwise on all of these systems.
type rawSocket struct {
	membership
	conn *net.IPConn
	rc   syscall.RawConn
	src  netip.Addr
	v4   *ipv4.RawConn // nil: IPv6
	v6   *ipv6.PacketConn

	buf, oob []byte // read's
}

func openRaw(cfg Config) (*rawSocket, error) {
	conn, err := openIP(cfg)
	if err != nil {
		return nil, err
	}
	s := &rawSocket{conn: conn, src: cfg.Source, buf: make([]byte, maxPacket), oob: make([]byte, 256)}
	s.group = cfg.Group
	if s.rc, err = conn.SyscallConn(); err == nil {
		err = s.set(cfg.v4())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("pfsyncnet: setting up a raw IP socket for %s: %w", cfg.Interface, errno(err))
	}
	return s, nil
}

func (s *rawSocket) set(v4 bool) error {
	s.conn.SetReadBuffer(receiveBuffer) // or what the system allows
	if !v4 {
		s.v6 = ipv6.NewPacketConn(s.conn)
		s.membership.conn = s.v6
		return set6(s.v6)
	}
	var err error
	if s.v4, err = ipv4.NewRawConn(s.conn); err != nil {
		return err
	}
	s.membership.conn = s.v4
	return errors.Join(
		s.v4.SetControlMessage(ipv4.FlagInterface, true),
		s.v4.SetMulticastLoopback(false),
		s.v4.SetMulticastTTL(ttl), // FreeBSD and OpenBSD put it over the header's
	)
}

func (s *rawSocket) read(p []pfsync.Packet) (int, error) {
	var n, oobn int
	var from unix.Sockaddr
	var err error
	if rerr := s.rc.Read(func(fd uintptr) bool {
		for {
			n, oobn, _, from, err = unix.Recvmsg(int(fd), s.buf, s.oob, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	}); rerr != nil {
		return 0, rerr
	} else if err != nil {
		return 0, err
	}
	if s.v4 != nil {
		parse4(s.buf[:n], s.oob[:oobn], &p[0])
	} else {
		parse6(s.buf[:n], s.oob[:oobn], from, &p[0])
	}
	return 1, nil
}

// parse4 finds all but the interface in the IPv4 header, which IPv4 sockets
// deliver. Its length field is not the wire's on some systems, and not needed.
func parse4(b, oob []byte, p *pfsync.Packet) {
	*p = pfsync.Packet{Data: p.Data[:0]}
	var cm ipv4.ControlMessage
	if len(b) < ipv4.HeaderLen || cm.Parse(oob) != nil {
		return
	}
	header := int(b[0]&0xf) * 4
	if header < ipv4.HeaderLen || header > len(b) {
		return
	}
	p.Data = append(p.Data, b[header:]...)
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	p.TTL, p.IfIndex = b[8], cm.IfIndex
}

// parse6 finds everything in the control messages, as IPv6 sockets deliver the
// payload alone.
func parse6(b, oob []byte, from unix.Sockaddr, p *pfsync.Packet) {
	*p = pfsync.Packet{Data: append(p.Data[:0], b...)}
	var cm ipv6.ControlMessage
	src, ok := from.(*unix.SockaddrInet6)
	if !ok || cm.Parse(oob) != nil {
		return
	}
	p.Src = netip.AddrFrom16(src.Addr)
	p.Dst, _ = netip.AddrFromSlice(cm.Dst)
	p.TTL, p.IfIndex = uint8(cm.HopLimit), cm.IfIndex
}

// write does not wait: these kernels say ENOBUFS at once.
func (s *rawSocket) write(index int, dst netip.Addr, payloads [][]byte) (int, error) {
	for i, b := range payloads {
		if err := s.writeOne(index, dst, b); err != nil {
			return i, errno(err)
		}
	}
	return len(payloads), nil
}

func (s *rawSocket) writeOne(index int, dst netip.Addr, b []byte) error {
	if s.v4 == nil {
		_, err := s.v6.WriteTo(b, &ipv6.ControlMessage{IfIndex: index, Src: s.src.AsSlice()}, &net.IPAddr{IP: dst.AsSlice()})
		return err
	}
	return s.v4.WriteTo(&ipv4.Header{
		Version:  ipv4.Version,
		Len:      ipv4.HeaderLen,
		TOS:      tos,
		TotalLen: ipv4.HeaderLen + len(b),
		Flags:    ipv4.DontFragment,
		TTL:      ttl,
		Protocol: pfsync.ProtocolNumber,
		Src:      s.src.AsSlice(),
		Dst:      dst.AsSlice(),
	}, b, &ipv4.ControlMessage{IfIndex: index})
}

// dropped is not known.
func (s *rawSocket) dropped() uint64 { return 0 }

func (s *rawSocket) close() error { return errno(s.conn.Close()) }
