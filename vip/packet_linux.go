package vip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A frameSender sends Ethernet frames with any source address. It receives none.
type frameSender struct {
	conn *packet.Conn
}

func newFrameSender(index int) (*frameSender, error) {
	conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	return &frameSender{conn}, nil
}

func (s *frameSender) Close() error { return s.conn.Close() }

// send sends on the link with that index, which need not be the one that the
// socket was opened with: that one may have been replaced.
func (s *frameSender) send(index int, frame []byte) error {
	rc, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: index}
	var sendErr error
	err = rc.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), frame, 0, to)
		return sendErr != unix.EAGAIN
	})
	return errors.Join(err, sendErr)
}

// accept has the network card of the link with that index let in frames to mac,
// for as long as the socket is open.
func (s *frameSender) accept(index int, mac HardwareAddr) error {
	rc, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	mreq := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_UNICAST, Alen: uint16(len(mac))}
	copy(mreq.Address[:], mac[:])
	var setErr error
	err = rc.Control(func(fd uintptr) {
		setErr = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, mreq)
	})
	return errors.Join(err, setErr)
}

// A claimListener receives the ARP packets or neighbour advertisements of a link.
type claimListener struct {
	conn      *packet.Conn
	etherType uint16
}

func listenARP(index int, addrs []netip.Prefix) (*claimListener, error) {
	filter, err := arpFilter(addrs)
	if err != nil {
		return nil, err
	}
	return listenClaims(index, etherTypeARP, filter)
}

func listenNA(index int) (*claimListener, error) {
	// IPv6 without extension headers, and ICMPv6 type 136.
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 14 + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpv6, SkipFalse: 3},
		bpf.LoadAbsolute{Off: 14 + ipv6Len, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: naType, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	return listenClaims(index, etherTypeIPv6, filter)
}

func listenClaims(index int, etherType uint16, filter []bpf.RawInstruction) (*claimListener, error) {
	conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, int(etherType), &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	return &claimListener{conn, etherType}, nil
}

func (l *claimListener) Close() error { return l.conn.Close() }

// arpFilter passes ARP packets whose sender is one of addrs: on a large segment
// all the others would be many.
func arpFilter(addrs []netip.Prefix) ([]bpf.RawInstruction, error) {
	const sender = 14 + 14
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: sender, Size: 4}}
	for _, p := range addrs {
		if p.Addr().Is4() {
			program = append(program,
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(p.Addr().AsSlice()), SkipFalse: 1},
				bpf.RetConstant{Val: 1 << 16})
		}
	}
	program = append(program, bpf.RetConstant{Val: 0})
	if len(program) > 4096 { // the kernel's BPF_MAXINSNS
		program = []bpf.Instruction{bpf.RetConstant{Val: 1 << 16}}
	}
	return bpf.Assemble(program)
}

// only makes an ARP listener hear of addrs only.
func (l *claimListener) only(addrs []netip.Prefix) error {
	filter, err := arpFilter(addrs)
	if err != nil {
		return err
	}
	return l.conn.SetBPF(filter)
}

// bind moves the listener to another link. Another socket would have to be
// opened in the right network namespace.
func (l *claimListener) bind(index int) error {
	rc, err := l.conn.SyscallConn()
	if err != nil {
		return err
	}
	addr := &unix.SockaddrLinklayer{Ifindex: index, Protocol: networkOrder(l.etherType)}
	var bindErr error
	err = rc.Control(func(fd uintptr) { bindErr = unix.Bind(int(fd), addr) })
	return errors.Join(err, bindErr)
}

// networkOrder is htons.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// run sends the claims that come in to ch until ctx is done.
func (l *claimListener) run(ctx context.Context, ch chan<- Claim) error {
	stop := context.AfterFunc(ctx, func() { l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 2048)
	for {
		n, _, err := l.conn.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENETDOWN):
			continue // said once when the link goes down or away; it may come back
		case err != nil:
			return fmt.Errorf("listen for claims: %w", err)
		}
		if c, ok := ParseClaim(buf[:n]); ok {
			select {
			case ch <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
