//go:build linux || freebsd || openbsd || netbsd || darwin

package carpnet

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
)

// rawSockets send and receive by raw IP sockets. The kernel has checked the IP
// header, put fragments together and looked at the firewall before.
type rawSockets struct {
	ip    *ipSockets
	index atomic.Int64 // packets of other interfaces come by the same sockets

	families []*rawReceiver // for tryRead
	packets  chan rawPacket
	done     chan struct{}
	readers  sync.WaitGroup
}

type rawPacket struct {
	packet carp.Packet
	err    error
}

func openRaw(cfg Config) (*rawSockets, error) {
	ip, err := openIP(cfg)
	if err != nil {
		return nil, err
	}
	s := &rawSockets{ip: ip, packets: make(chan rawPacket), done: make(chan struct{})}
	for _, c := range []*net.IPConn{ip.c4, ip.c6} {
		if c == nil {
			continue
		}
		rc, err := c.SyscallConn()
		if err != nil {
			s.close()
			return nil, err
		}
		s.families = append(s.families, newRawReceiver(rc, c == ip.c4))
		r := newRawReceiver(rc, c == ip.c4)
		s.readers.Go(func() { s.run(r) })
	}
	return s, nil
}

func (s *rawSockets) attach(i *netfollow.Interface) error {
	joined, err := s.ip.attach(i)
	if joined == 0 && err != nil {
		return err
	} else if err != nil {
		s.ip.cfg.Logger.Warn("carpnet: not all groups", "interface", s.ip.cfg.Interface, "err", err)
	}
	s.index.Store(int64(i.Index))
	return nil
}

// run reads one family until close.
func (s *rawSockets) run(r *rawReceiver) {
	for {
		var in rawPacket
		in.err = errors.Join(r.rc.Read(func(fd uintptr) bool { return r.receive(fd, &in.packet) != unix.EAGAIN }), r.err)
		select {
		case s.packets <- in:
		case <-s.done:
			return
		}
	}
}

func (s *rawSockets) read(p *carp.Packet) error {
	select {
	case in := <-s.packets:
		return s.got(in, p)
	case <-s.done:
		return net.ErrClosed
	}
}

// tryRead takes a packet from the hands of a reader, or past both of them.
func (s *rawSockets) tryRead(p *carp.Packet) (bool, error) {
	select {
	case in := <-s.packets:
		return true, s.got(in, p)
	default:
	}
	for _, r := range s.families {
		var in rawPacket
		err := r.rc.Control(func(fd uintptr) { r.receive(fd, &in.packet) })
		if in.err = errors.Join(err, r.err); r.err != unix.EAGAIN {
			return true, s.got(in, p)
		}
	}
	return false, nil
}

func (s *rawSockets) got(in rawPacket, p *carp.Packet) error {
	switch {
	case errors.Is(in.err, errBadPacket):
		return ErrNotCARP
	case in.err != nil:
		return rawip.Errno(in.err)
	case int64(in.packet.IfIndex) != s.index.Load():
		return errNotForUs
	}
	in.packet.Data = append(p.Data[:0], in.packet.Data...)
	*p = in.packet
	return nil
}

func (s *rawSockets) write(p carp.Packet, i *netfollow.Interface) error { return s.ip.write(p, i) }

func (s *rawSockets) close() error {
	close(s.done)
	err := s.ip.close()
	s.readers.Wait()
	return err
}

// A rawReceiver receives from the socket of one family.
type rawReceiver struct {
	rc       syscall.RawConn
	v4       bool
	buf, oob []byte
	err      error // of the last receive
}

var errBadPacket = errors.New("malformed packet from the kernel")

func newRawReceiver(rc syscall.RawConn, v4 bool) *rawReceiver {
	return &rawReceiver{rc: rc, v4: v4, buf: make([]byte, maxFrame), oob: make([]byte, 256)}
}

// receive tries to receive one packet and leaves the error in r.err, too.
func (r *rawReceiver) receive(fd uintptr, p *carp.Packet) error {
	n, oobn, from, err := rawip.Receive(fd, r.buf, r.oob)
	if r.err = err; err != nil {
		return err
	}
	data, ok := r.buf[:n], false
	var h rawip.Header
	if r.v4 {
		data, h, ok = rawip.Parse4(data, r.oob[:oobn])
	} else {
		h, ok = rawip.Parse6(r.oob[:oobn], from)
	}
	if !ok {
		r.err = errBadPacket
		return r.err
	}
	*p = carp.Packet{Data: append(p.Data[:0], data...), Src: h.Src, Dst: h.Dst, TTL: h.TTL, IfIndex: h.IfIndex}
	return nil
}
