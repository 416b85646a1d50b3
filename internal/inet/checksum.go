// Package inet holds the few pieces of IP arithmetic that CARP, pfsync and the
// address announcements share: the Internet checksum and the IP headers.
package inet

import "encoding/binary"

// Checksum is the Internet checksum of b, RFC 1071. Over data that already
// contains its checksum the result is 0 exactly if that checksum is right.
func Checksum(b []byte) uint16 { return Fold(Sum(0, b)) }

// Sum adds b, as big-endian 16-bit words padded with a zero octet, to the
// running sum acc. It is what a pseudo-header is added with.
func Sum(acc uint64, b []byte) uint64 {
	for ; len(b) >= 4; b = b[4:] {
		acc += uint64(binary.BigEndian.Uint32(b))
	}
	if len(b) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

// Fold turns a running sum into a checksum.
func Fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return ^uint16(acc)
}
