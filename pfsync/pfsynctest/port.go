package pfsynctest

import (
	"net/netip"

	"github.com/gocarp/gocarp/pfsync"
)

var (
	_ pfsync.Transport     = (*Port)(nil)
	_ pfsync.SideTransport = (*Side)(nil)
)

// A Port is one host's end of a [Segment]: a [pfsync.Transport].
type Port struct{ end }

// ReadPackets implements [pfsync.Transport]: it waits for a packet.
func (p *Port) ReadPackets(dst []pfsync.Packet) (int, error) {
	return p.mem.Take(len(dst), func(i int, pkt *pfsync.Packet) {
		data := append(dst[i].Data[:0], pkt.Data...)
		dst[i] = *pkt
		dst[i].Data = data
	})
}

// WritePackets implements [pfsync.Transport]: to a group it sends to all other
// ports, else to the one with that address. The source is the port's first
// address of the right family, or the unspecified one, and the TTL 255.
func (p *Port) WritePackets(dst netip.Addr, payloads [][]byte) (int, error) {
	meant := at(dst)
	if dst.IsMulticast() {
		meant = everywhere
	}
	for i, b := range payloads {
		if err := p.mem.Send(pfsync.Packet{Data: b, Src: p.mem.Source(dst), Dst: dst, TTL: 255}, meant); err != nil {
			return i, err
		}
	}
	return len(payloads), nil
}

// SendRaw sends a packet with whatever is in it, any source, TTL, even the
// interface that receivers believe it to have come from, to all ports whatever
// its Dst. Only a closed port sends nothing.
func (p *Port) SendRaw(pkt pfsync.Packet) { p.mem.Force(pkt, everywhere) }

// A Side is one host's end of the side channel of a [Segment]: a
// [pfsync.SideTransport].
type Side struct{ end }

// ReadPacket implements [pfsync.SideTransport]: it waits for a datagram.
func (s *Side) ReadPacket(dst *pfsync.SidePacket) error {
	_, err := s.mem.Take(1, func(_ int, pkt *pfsync.Packet) {
		dst.Data = append(dst.Data[:0], pkt.Data...)
		dst.Src = pkt.Src
	})
	return err
}

// WritePacket implements [pfsync.SideTransport]: it sends to the one with that
// address, from the first address of the same family.
func (s *Side) WritePacket(dst netip.Addr, b []byte) error {
	return s.mem.Send(pfsync.Packet{Data: b, Src: s.mem.Source(dst), Dst: dst, TTL: 255}, at(dst))
}

// SendRaw sends a datagram from any source. Only a closed Side sends nothing.
func (s *Side) SendRaw(src, dst netip.Addr, b []byte) {
	s.mem.Force(pfsync.Packet{Data: b, Src: src, Dst: dst, TTL: 255}, at(dst))
}
