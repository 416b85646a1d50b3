package pfsyncnet

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/oneshot"
)

// A sender sends packets by sendmmsg, without allocating.
type sender struct {
	conn *oneshot.Conn
	msgs [batch]mmsghdr
	iovs [batch]unix.Iovec

	// All messages have one destination and one control message: the source, and
	// the interface by its number. A name would be looked up in the namespace of
	// whoever calls.
	dst4 unix.RawSockaddrInet4
	dst6 unix.RawSockaddrInet6
	via4 struct {
		unix.Cmsghdr
		unix.Inet4Pktinfo
	}
	via6 struct {
		unix.Cmsghdr
		unix.Inet6Pktinfo
	}

	full        bool // there was no room when something was last sent
	sent, count int  // of a batch
	err         error
	try         func(fd uintptr)
}

// newSender makes a sender. An invalid src is the kernel's choice.
func newSender(conn *oneshot.Conn, v4 bool, src netip.Addr) *sender {
	s := &sender{conn: conn}
	s.dst4.Family, s.dst6.Family = unix.AF_INET, unix.AF_INET6
	s.via4.Level, s.via4.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	s.via4.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	s.via6.Level, s.via6.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	s.via6.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	if src.Is4() {
		s.via4.Spec_dst = src.As4()
	} else if src.Is6() {
		s.via6.Addr = src.As16()
	}
	for i := range s.msgs {
		h := &s.msgs[i].Msghdr
		h.Iov = &s.iovs[i]
		h.SetIovlen(1)
		if v4 {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.dst4)), unix.SizeofSockaddrInet4
			h.Control = (*byte)(unsafe.Pointer(&s.via4))
			h.SetControllen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		} else {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.dst6)), unix.SizeofSockaddrInet6
			h.Control = (*byte)(unsafe.Pointer(&s.via6))
			h.SetControllen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		}
	}
	s.try = func(fd uintptr) {
		for s.err = nil; s.err == nil && s.sent < s.count; {
			var n int
			n, s.err = mmsg(unix.SYS_SENDMMSG, int(fd), s.msgs[s.sent:s.count])
			s.sent += n
		}
	}
	return s
}

// write sends payloads, waits for room if there was some last time, and returns how
// many it sent.
func (s *sender) write(index int, dst netip.Addr, payloads [][]byte) (int, error) {
	if dst.Is4() {
		s.dst4.Addr, s.via4.Ifindex = dst.As4(), int32(index)
	} else {
		s.dst6.Addr, s.via6.Ifindex = dst.As16(), uint32(index)
	}
	for done := 0; done < len(payloads); done += s.sent {
		s.sent, s.count = 0, min(len(payloads)-done, batch)
		for i, b := range payloads[done : done+s.count] {
			if len(b) > 0 {
				s.iovs[i].Base = &b[0]
				s.iovs[i].SetLen(len(b))
			}
		}
		err := s.send()
		clear(s.iovs[:s.count]) // keeps no payload
		s.full = isFull(err)
		if err != nil {
			return done + s.sent, err
		}
	}
	return len(payloads), nil
}

// send sends a batch. It looks for room every now and then: the kernel would tell of it
// after each packet.
func (s *sender) send() error {
	for end := time.Now().Add(sendWait); ; time.Sleep(sendWait / 20) {
		if err := s.conn.Control(s.try); err != nil {
			return err
		}
		if !isFull(s.err) || s.full || time.Now().After(end) {
			return s.err
		}
	}
}
