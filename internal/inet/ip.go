package inet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Lengths of IP headers without options, in octets.
const (
	IPv4HeaderLen = 20
	IPv6HeaderLen = 40
)

// Why an IP packet is not delivered to the protocol above.
var (
	ErrIPHeader   = errors.New("malformed IP header")
	ErrIPShort    = errors.New("packet shorter than its IP length")
	ErrIPChecksum = errors.New("wrong IPv4 header checksum")
	ErrFragment   = errors.New("IP fragment")
)

// An IP is what the protocols here need of an IPv4 or IPv6 header.
type IP struct {
	Src, Dst netip.Addr // of one family, without zone
	Protocol uint8      // IPv6: the next header, which may be an extension header
	TTL      uint8      // or hop limit
	TOS      uint8      // or traffic class
	ID       uint16     // IPv4 only
}

// Append appends the header for a payload of n octets to b: IPv4 if Dst is an
// IPv4 address, else IPv6. An IPv4 header has DF set and no options. A Src of
// the other family, or none, is written as the unspecified address.
func (h *IP) Append(b []byte, n int) []byte {
	if h.Dst.Is4() {
		return h.append4(b, n)
	}
	src := netip.IPv6Unspecified()
	if h.Src.Is6() {
		src = h.Src
	}
	s, d := src.As16(), h.Dst.As16()
	b = append(b, 6<<4|h.TOS>>4, h.TOS<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, h.Protocol, h.TTL)
	b = append(b, s[:]...)
	return append(b, d[:]...)
}

func (h *IP) append4(b []byte, n int) []byte {
	src := netip.IPv4Unspecified()
	if h.Src.Is4() {
		src = h.Src
	}
	off := len(b)
	s, d := src.As4(), h.Dst.As4()
	b = append(b, 4<<4|IPv4HeaderLen/4, h.TOS)
	b = binary.BigEndian.AppendUint16(b, uint16(IPv4HeaderLen+n))
	b = binary.BigEndian.AppendUint16(b, h.ID)
	b = append(b, 0x40, 0, h.TTL, h.Protocol, 0, 0) // DF; the checksum follows
	b = append(b, s[:]...)
	b = append(b, d[:]...)
	binary.BigEndian.PutUint16(b[off+10:], Checksum(b[off:]))
	return b
}

// ParseIP decodes the IPv4 or IPv6 header at the start of b, steps over IPv4
// options, and returns the payload up to the length that the header says: what
// comes after it is padding of the link layer. The payload is part of b.
//
// With ErrIPShort, ErrIPChecksum and ErrFragment there is no payload, but the
// header is returned as it stands, for those who want to know what it was about.
func ParseIP(b []byte) (IP, []byte, error) {
	if len(b) == 0 {
		return IP{}, nil, ErrIPHeader
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b)
	case 6:
		return parse6(b)
	}
	return IP{}, nil, ErrIPHeader
}

func parse4(b []byte) (IP, []byte, error) {
	if len(b) < IPv4HeaderLen {
		return IP{}, nil, ErrIPHeader
	}
	h := IP{
		Src:      netip.AddrFrom4([4]byte(b[12:])),
		Dst:      netip.AddrFrom4([4]byte(b[16:])),
		Protocol: b[9],
		TTL:      b[8],
		TOS:      b[1],
		ID:       binary.BigEndian.Uint16(b[4:]),
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case header < IPv4HeaderLen || total < header:
		return IP{}, nil, ErrIPHeader
	case total > len(b):
		return h, nil, ErrIPShort
	case Checksum(b[:header]) != 0:
		return h, nil, ErrIPChecksum
	case binary.BigEndian.Uint16(b[6:])&0x3fff != 0: // MF, offset
		return h, nil, ErrFragment
	}
	return h, b[header:total:total], nil
}

func parse6(b []byte) (IP, []byte, error) {
	if len(b) < IPv6HeaderLen {
		return IP{}, nil, ErrIPHeader
	}
	h := IP{
		Src:      netip.AddrFrom16([16]byte(b[8:])),
		Dst:      netip.AddrFrom16([16]byte(b[24:])),
		Protocol: b[6],
		TTL:      b[7],
		TOS:      b[0]<<4 | b[1]>>4,
	}
	end := IPv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if end > len(b) {
		return h, nil, ErrIPShort
	}
	return h, b[IPv6HeaderLen:end:end], nil
}
