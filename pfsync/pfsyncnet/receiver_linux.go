package pfsyncnet

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/oneshot"
	"github.com/gocarp/gocarp/pfsync"
)

const (
	// batch is how many packets one system call receives or sends.
	batch = 64

	// maxPacket is the most that IP can carry. What is not used of the buffers stays
	// untouched memory.
	maxPacket = 1<<16 - 1
)

// A receiver receives packets by recvmmsg, without allocating.
type receiver struct {
	conn  *oneshot.Conn
	v4    bool
	msgs  [batch]mmsghdr
	iovs  [batch]unix.Iovec
	names [batch][unix.SizeofSockaddrInet6]byte // sources; IPv4 packets have theirs in the header, too
	oobs  [batch][96]byte                       // IPV6_PKTINFO and IPV6_HOPLIMIT take 64
	bufs  [][maxPacket]byte

	limit, n int // of the call
	err      error
	try      func(fd uintptr)
}

func newReceiver(conn *oneshot.Conn, v4 bool) *receiver {
	r := &receiver{conn: conn, v4: v4, bufs: make([][maxPacket]byte, batch)}
	for i := range r.msgs {
		r.iovs[i].Base = &r.bufs[i][0]
		r.iovs[i].SetLen(maxPacket)
		h := &r.msgs[i].Msghdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = &r.names[i][0]
		h.Control = &r.oobs[i][0]
	}
	r.try = func(fd uintptr) {
		for i := range r.limit { // the kernel wrote here last time
			h := &r.msgs[i].Msghdr
			h.Namelen = unix.SizeofSockaddrInet6
			h.SetControllen(len(r.oobs[i]))
		}
		r.n, r.err = mmsg(unix.SYS_RECVMMSG, int(fd), r.msgs[:r.limit])
	}
	return r
}

// read waits for packets and fills p with them.
func (r *receiver) read(p []pfsync.Packet) (int, error) {
	r.limit = min(len(p), batch)
	for {
		if err := r.conn.Control(r.try); err != nil {
			return 0, err
		}
		if r.err == nil {
			break
		} else if r.err != unix.EAGAIN {
			return 0, r.err
		}
		if err := r.conn.Wait(); err != nil {
			return 0, err
		}
	}
	for i := range r.n {
		if r.v4 {
			r.packet4(i, &p[i])
		} else {
			r.packet6(i, &p[i])
		}
	}
	return r.n, nil
}

// packet4 finds all but the interface in the IPv4 header, which IPv4 sockets
// deliver, and which the kernel has checked.
func (r *receiver) packet4(i int, p *pfsync.Packet) {
	ip, payload, err := inet.ParseIP(r.bufs[i][:r.msgs[i].n])
	*p = pfsync.Packet{Data: append(p.Data[:0], payload...), Src: ip.Src, Dst: ip.Dst, TTL: ip.TTL}
	if err == nil {
		r.control(i, p)
	}
}

// packet6 finds everything in the control messages, as IPv6 sockets deliver the
// payload alone.
func (r *receiver) packet6(i int, p *pfsync.Packet) {
	data := r.bufs[i][:r.msgs[i].n]
	*p = pfsync.Packet{Data: append(p.Data[:0], data...), Src: netip.AddrFrom16([16]byte(r.names[i][8:]))}
	r.control(i, p)
}

// control takes in what the kernel says about packet i.
func (r *receiver) control(i int, p *pfsync.Packet) {
	rest := r.oobs[i][:r.msgs[i].Controllen]
	for len(rest) >= unix.SizeofCmsghdr {
		h, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return
		}
		rest = next
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			p.IfIndex = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			p.Dst = netip.AddrFrom16([16]byte(data))
			p.IfIndex = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.TTL = uint8(binary.NativeEndian.Uint32(data))
		}
	}
}
