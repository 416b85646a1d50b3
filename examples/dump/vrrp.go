package main

import (
	"encoding/binary"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
)

// isVRRP reports whether a packet of IP protocol 112, which CARP took without
// asking, is VRRP. Version 2 begins with the very octets of CARP and only its
// length gives it away: it follows from the number of addresses in octet 3,
// where CARP has a constant 7. Seven addresses without authentication would be
// as long as an advert and are taken for one; real senders of version 2 add
// eight octets. Version 3 has a checksum over a pseudo-header, CARP does not.
func isVRRP(h *ip) bool {
	b := h.payload
	if h.err != nil || len(b) < 8 {
		return false
	}
	n := int(b[3])
	fits := n > 0 && (n != 7 || len(b) != carp.HeaderLen)
	switch b[0] {
	case 0x21:
		return fits && (len(b) == 8+4*n || len(b) == 16+4*n)
	case 0x31:
		return fits && (len(b) == 8+4*n || len(b) == 8+16*n) || pseudoChecksum(h) == 0
	}
	return false
}

// pseudoChecksum is the checksum over the payload and RFC 2460's pseudo-header,
// 0 if the packet contains the right one.
func pseudoChecksum(h *ip) uint16 {
	acc := inet.Sum(0, h.src.AsSlice())
	acc = inet.Sum(acc, h.dst.AsSlice())
	acc = inet.Sum(acc, binary.BigEndian.AppendUint32(nil, uint32(len(h.payload))))
	acc = inet.Sum(acc, []byte{0, h.proto})
	return inet.Fold(inet.Sum(acc, h.payload))
}
