package main

import (
	"encoding/binary"
	"net/netip"

	"github.com/gocarp/gocarp/internal/inet"
)

// IP protocols.
const (
	protoTCP = 6
	protoUDP = 17
)

// The flags of TCP that are used here.
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

const (
	udpLen = 8
	tcpLen = 20 // nobody sends options
)

// A packet is UDP or TCP over IPv4, taken apart: firewalls change addresses and
// ports, and then all checksums are new ones.
type packet struct {
	proto    uint8
	ttl      uint8
	src, dst netip.AddrPort

	seq, ack uint32 // of TCP, and so are these
	flags    uint8
	window   uint16

	data []byte
}

// parsePacket takes apart what is behind an IP header. It reports false if that is
// not UDP or TCP, or is damaged.
func parsePacket(ip inet.IP, b []byte) (packet, bool) {
	p := packet{proto: ip.Protocol, ttl: ip.TTL}
	header := map[uint8]int{protoUDP: udpLen, protoTCP: tcpLen}[ip.Protocol]
	if header == 0 || len(b) < header || transportChecksum(ip.Src, ip.Dst, ip.Protocol, b) != 0 {
		return packet{}, false
	}
	be := binary.BigEndian
	p.src, p.dst = netip.AddrPortFrom(ip.Src, be.Uint16(b)), netip.AddrPortFrom(ip.Dst, be.Uint16(b[2:]))
	if p.proto == protoTCP {
		p.seq, p.ack, p.flags, p.window = be.Uint32(b[4:]), be.Uint32(b[8:]), b[13], be.Uint16(b[14:])
	}
	p.data = b[header:]
	return p, true
}

// frame puts a packet together again.
func (p *packet) frame(dst, src mac) []byte {
	be := binary.BigEndian
	b := be.AppendUint16(nil, p.src.Port())
	b = be.AppendUint16(b, p.dst.Port())
	sum := 6 // where the checksum is
	if p.proto == protoTCP {
		sum = 16
		b = be.AppendUint32(b, p.seq)
		b = be.AppendUint32(b, p.ack)
		b = append(b, tcpLen/4<<4, p.flags)
		b = be.AppendUint16(b, p.window)
	} else {
		b = be.AppendUint16(b, uint16(udpLen+len(p.data)))
	}
	b = append(b, 0, 0) // the checksum follows
	if p.proto == protoTCP {
		b = append(b, 0, 0) // urgent pointer
	}
	b = append(b, p.data...)
	// A UDP checksum of 0 would say that there is none.
	if c := transportChecksum(p.src.Addr(), p.dst.Addr(), p.proto, b); c != 0 || p.proto == protoTCP {
		be.PutUint16(b[sum:], c)
	} else {
		be.PutUint16(b[sum:], 0xffff)
	}
	return ipFrame(dst, src, inet.IP{Src: p.src.Addr(), Dst: p.dst.Addr(), Protocol: p.proto, TTL: p.ttl}, b)
}

// transportChecksum is the checksum of UDP and TCP, which covers the addresses.
func transportChecksum(src, dst netip.Addr, proto uint8, b []byte) uint16 {
	sum := inet.Sum(uint64(proto)+uint64(len(b)), src.AsSlice())
	sum = inet.Sum(sum, dst.AsSlice())
	return inet.Fold(inet.Sum(sum, b))
}

// length is how far a segment moves the sequence number.
func (p *packet) length() uint32 {
	n := uint32(len(p.data))
	if p.flags&flagSYN != 0 {
		n++
	}
	return n
}

// first reports whether a packet may be the first of a connection.
func (p *packet) first() bool { return p.proto == protoUDP || p.flags&(flagSYN|flagACK) == flagSYN }
