package pfsynctest

import (
	"net"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/pfsync"
)

var (
	_ pfsync.Transport     = (*Port)(nil)
	_ pfsync.SideTransport = (*Side)(nil)
)

// A Port is one host's end of a [Segment]: a [pfsync.Transport].
type Port struct{ *end }

// ReadPackets implements [pfsync.Transport]: it waits for a packet.
func (p *Port) ReadPackets(dst []pfsync.Packet) (int, error) {
	return p.take(len(dst), func(i int, pkt *pfsync.Packet) {
		data := append(dst[i].Data[:0], pkt.Data...)
		dst[i] = *pkt
		dst[i].Data = data
	})
}

// WritePackets implements [pfsync.Transport]: to a group it sends to all other
// ports, else to the one with that address. The source is the port's first
// address of the right family, or the unspecified one, and the TTL 255.
func (p *Port) WritePackets(dst netip.Addr, payloads [][]byte) (int, error) {
	for i, b := range payloads {
		if err := p.writable(); err != nil {
			return i, err
		}
		pkt := pfsync.Packet{Data: b, Src: p.source(dst), Dst: dst, TTL: 255}
		p.seg.send(p.end, pkt, func(to *end) bool { return dst.IsMulticast() || slices.Contains(to.addrs, dst) })
	}
	return len(payloads), nil
}

// SendRaw sends a packet with whatever is in it, any source, TTL, even the
// interface that receivers believe it to have come from, to all ports whatever
// its Dst. Only a closed port sends nothing.
func (p *Port) SendRaw(pkt pfsync.Packet) {
	if p.writable() != net.ErrClosed {
		p.seg.send(p.end, pkt, func(*end) bool { return true })
	}
}

// A Side is one host's end of the side channel of a [Segment]: a
// [pfsync.SideTransport].
type Side struct{ *end }

// ReadPacket implements [pfsync.SideTransport]: it waits for a datagram.
func (s *Side) ReadPacket(dst *pfsync.SidePacket) error {
	_, err := s.take(1, func(_ int, pkt *pfsync.Packet) {
		dst.Data = append(dst.Data[:0], pkt.Data...)
		dst.Src = pkt.Src
	})
	return err
}

// WritePacket implements [pfsync.SideTransport]: it sends to the one with that
// address, from the first address of the same family.
func (s *Side) WritePacket(dst netip.Addr, b []byte) error {
	err := s.writable()
	if err == nil {
		s.SendRaw(s.source(dst), dst, b)
	}
	return err
}

// SendRaw sends a datagram from any source. Only a closed Side sends nothing.
func (s *Side) SendRaw(src, dst netip.Addr, b []byte) {
	if s.writable() != net.ErrClosed {
		pkt := pfsync.Packet{Data: b, Src: src, Dst: dst, TTL: 255}
		s.seg.send(s.end, pkt, func(to *end) bool { return slices.Contains(to.addrs, dst) })
	}
}
