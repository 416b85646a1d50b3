package main

import (
	"encoding/binary"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/pcap"
)

// tagLen is the length of a VLAN tag. Behind the Ethernet addresses, Linux takes
// the outermost one out of a frame and hands it over beside it.
const tagLen = 4

// askForMore makes the kernel say, with each frame, when it came and with which
// VLAN tag.
func askForMore(raw syscall.RawConn) error {
	var err error
	cerr := raw.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	})
	return errors.Join(cerr, err)
}

// receive waits for a frame.
func (l *live) receive() (pcap.Packet, error) {
	frame, control := l.buf[tagLen:], l.control[:]
	var n, nc int
	var err error
	rerr := l.raw.Read(func(fd uintptr) bool {
		for {
			n, nc, _, _, err = unix.Recvmsg(int(fd), frame, control, 0)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if rerr != nil {
		return pcap.Packet{}, rerr
	}
	if err != nil {
		return pcap.Packet{}, err
	}
	p := pcap.Packet{Time: time.Now(), LinkType: l.link, Data: frame[:n]}
	messages, err := unix.ParseSocketControlMessage(control[:nc])
	if err != nil {
		return pcap.Packet{}, err
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS:
			var at unix.Timespec
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &at); err == nil {
				p.Time = time.Unix(at.Unix())
			}
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			var aux unix.TpacketAuxdata
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &aux); err == nil && aux.Status&unix.TP_STATUS_VLAN_VALID != 0 {
				p.Data = retag(l.buf[:tagLen+n], aux)
			}
		}
	}
	p.Length = uint32(len(p.Data))
	return p, nil
}

// retag puts the tag back into a frame that begins after room for it.
func retag(b []byte, aux unix.TpacketAuxdata) []byte {
	const addresses = 12
	if len(b) < tagLen+addresses {
		return b[tagLen:]
	}
	kind := uint16(0x8100) // of kernels that do not tell
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		kind = aux.Vlan_tpid
	}
	copy(b, b[tagLen:tagLen+addresses])
	binary.BigEndian.PutUint16(b[addresses:], kind)
	binary.BigEndian.PutUint16(b[addresses+2:], aux.Vlan_tci)
	return b
}
