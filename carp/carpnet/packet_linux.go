package carpnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
)

// receiveBuffer is what we ask of the kernel, in octets: a second of a flood
// that one core can produce must not push out the adverts behind it.
const receiveBuffer = 4 << 20

// filter lets CARP pass, for us as far as the link layer can tell. What is sent,
// looped back, or overheard for other hosts has a higher packet type. A tag is in
// the packet's metadata, not in the frame; with VLAN 0 it is but a priority.
var filter = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 8},
	bpf.LoadExtension{Num: bpf.ExtVLANTag},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0xfff, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherTypeIPv6, SkipTrue: 5},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherTypeIPv4, SkipTrue: 3},
	bpf.LoadAbsolute{Off: etherHeaderLen + 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: carp.ProtocolNumber, SkipTrue: 1},
	bpf.RetConstant{Val: maxFrame},
	bpf.RetConstant{Val: 0},
	bpf.LoadAbsolute{Off: etherHeaderLen + 6, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: carp.ProtocolNumber, SkipTrue: 1},
	bpf.RetConstant{Val: maxFrame},
	bpf.RetConstant{Val: 0},
}

// packetSockets are a packet socket for multicast, and for all that arrives, and
// raw IP sockets to send to peers.
//
// The packet socket is bound to all protocols rather than to one, so one socket
// has both families. It does not get what it sends, nor, when a macvlan in
// private mode carries the virtual MAC, is it deaf to a second master.
type packetSockets struct {
	cfg  Config
	conn *packet.Conn
	rc   syscall.RawConn
	ip   *ipSockets

	attached int // index of the interface whose groups were joined last

	reader, trier *frameReader
	writer        *frameWriter
}

func openPacket(cfg Config, index int) (*packetSockets, error) {
	program, err := bpf.Assemble(filter)
	if err != nil {
		return nil, fmt.Errorf("carpnet: packet filter: %w", err)
	}
	conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: program})
	if err != nil {
		return nil, rawip.OpenError("carpnet: opening a packet socket on "+cfg.Interface, err)
	}
	rc, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	ip, err := openIP(cfg)
	if err != nil {
		conn.Close()
		return nil, err
	}
	ip.discard()

	s := &packetSockets{cfg: cfg, conn: conn, rc: rc, ip: ip}
	s.reader, s.trier, s.writer = newFrameReader(rc), newFrameReader(rc), newFrameWriter(rc)
	rc.Control(func(fd uintptr) {
		// The filter refuses what is sent; this saves a copy of each such packet.
		// Linux before 4.20 does not know it.
		unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	})
	return s, nil
}

// discard makes the sockets receive nothing: they would only fill up.
func (s *ipSockets) discard() {
	nothing := []bpf.RawInstruction{{Op: 0x06}} // ret 0
	s.v4.SetBPF(nothing)
	if s.v6 != nil {
		s.v6.SetBPF(nothing)
	}
}

// attach binds the same socket again. A new one would have to be opened with
// the privileges, and in the namespace, of back then.
func (s *packetSockets) attach(i *netfollow.Interface) error {
	if i.MAC == [6]byte{} {
		return errors.New("not an Ethernet interface; raw IP sockets would do")
	}
	var err error
	if cerr := s.rc.Control(func(fd uintptr) { err = s.bind(int(fd), i.Index) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	if _, err := s.ip.attach(i); err != nil {
		// The frames arrive all the same, unless a switch in between is waiting for
		// our membership reports.
		s.cfg.Logger.Warn("carpnet: not all groups", "interface", s.cfg.Interface, "err", err)
	}
	return nil
}

func (s *packetSockets) bind(fd, index int) error {
	proto := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: index}); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	for _, g := range s.cfg.Groups {
		mac, _ := groupMAC(g)
		mreq := unix.PacketMreq{Ifindex: int32(s.attached), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(mac))}
		copy(mreq.Address[:], mac[:])
		if s.attached != 0 {
			unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_DROP_MEMBERSHIP, &mreq) // fails if it is gone
		}
		mreq.Ifindex = int32(index)
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
			return fmt.Errorf("joining %v: %w", g, err)
		}
	}
	s.attached = index
	return nil
}

func (s *packetSockets) read(p *carp.Packet) error {
	frame, err := s.reader.wait()
	if err != nil {
		return err
	}
	return ParseFrame(frame, p)
}

func (s *packetSockets) tryRead(p *carp.Packet) (bool, error) {
	frame, err := s.trier.try()
	if err == unix.EAGAIN {
		return false, nil
	} else if err != nil {
		return true, err
	}
	return true, ParseFrame(frame, p)
}

func (s *packetSockets) write(p carp.Packet, i *netfollow.Interface) error {
	if !p.Dst.IsMulticast() {
		return s.ip.write(p, i)
	}
	if !p.Src.IsValid() {
		p.Src = source(i, p.Dst, s.cfg.Virtual)
	}
	if p.LinkSrc == (carp.HardwareAddr{}) {
		p.LinkSrc = i.MAC
	}
	return s.writer.write(&p, s.cfg.TOS)
}

func (s *packetSockets) close() error { return errors.Join(rawip.Errno(s.conn.Close()), s.ip.close()) }

// A frameReader reads from a packet socket without allocating, which recvfrom
// with its address cannot.
type frameReader struct {
	rc  syscall.RawConn
	buf [maxFrame]byte
	n   int
	err error

	ready func(fd uintptr) bool
	once  func(fd uintptr)
}

func newFrameReader(rc syscall.RawConn) *frameReader {
	r := &frameReader{rc: rc}
	r.once = func(fd uintptr) {
		r.n, r.err = unix.Read(int(fd), r.buf[:]) // the socket is non-blocking
		for r.err == unix.EINTR {
			r.n, r.err = unix.Read(int(fd), r.buf[:])
		}
	}
	r.ready = func(fd uintptr) bool {
		r.once(fd)
		return r.err != unix.EAGAIN
	}
	return r
}

// wait waits for a frame. It is good until the next call.
func (r *frameReader) wait() ([]byte, error) { return r.result(r.rc.Read(r.ready)) }

// try does not wait, and does not take turns with a wait in another goroutine
// as a second RawConn.Read would: the error may be EAGAIN.
func (r *frameReader) try() ([]byte, error) { return r.result(r.rc.Control(r.once)) }

func (r *frameReader) result(err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case r.err != nil:
		return nil, r.err
	}
	return r.buf[:r.n], nil
}

// A frameWriter writes to a packet socket without allocating.
type frameWriter struct {
	mu  sync.Mutex
	rc  syscall.RawConn
	buf []byte
	err error

	once func(fd uintptr) bool
}

func newFrameWriter(rc syscall.RawConn) *frameWriter {
	w := &frameWriter{rc: rc, buf: make([]byte, 0, 128)}
	w.once = func(fd uintptr) bool {
		_, w.err = unix.Write(int(fd), w.buf)
		return w.err != unix.EINTR // not again on EAGAIN: an advert that waits is late
	}
	return w
}

func (w *frameWriter) write(p *carp.Packet, tos uint8) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.buf, err = AppendFrame(w.buf[:0], p, tos, 0); err != nil {
		return err
	}
	if err := w.rc.Write(w.once); err != nil {
		return err
	}
	return w.err
}
