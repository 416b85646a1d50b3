package carp

import (
	"encoding/binary"
	"time"

	"github.com/gocarp/gocarp/internal/inet"
)

// HeaderLen is the length of an advert, all of it. There are no options and no
// list of addresses: those enter the digest only.
const HeaderLen = 36

const (
	version     = 2
	advert      = 1 // the only type there is
	versionType = version<<4 | advert
	authLen     = 7 // 32-bit words of counter and digest
)

// Infinite is both the AdvBase and the AdvSkew of a bow-out, the advert of a
// master that leaves.
const Infinite = 255

// A Header is a CARP advertisement, the payload of IP protocol 112:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------+-------+---------------+---------------+---------------+
//	|Vers 2 |Type 1 |     VHID      |    AdvSkew    |   AuthLen 7   |
//	+-------+-------+---------------+---------------+---------------+
//	|    Demote     |    AdvBase    |           Checksum            |
//	+---------------+---------------+-------------------------------+
//	|                      Counter (64 bits)                        |
//	+---------------------------------------------------------------+
//	|                   HMAC-SHA1 (160 bits)                        |
//	+---------------------------------------------------------------+
//
// The digest covers neither AdvSkew nor Demote nor AdvBase: whoever can read
// the link can change them in a packet and send it again.
type Header struct {
	VHID    uint8    // virtual host ID, 1 to 255
	AdvSkew uint8    // advertisement skew, in units of 1/256 s
	AdvBase uint8    // advertisement base, in seconds
	Demote  uint8    // demotion counter; 0 from all but OpenBSD
	Counter uint64   // covered by Digest
	Digest  [20]byte // HMAC-SHA1; see [Key.Sign]
}

// AppendBinary implements [encoding.BinaryAppender]. It never fails.
func (h *Header) AppendBinary(b []byte) ([]byte, error) {
	off := len(b)
	b = append(b, versionType, h.VHID, h.AdvSkew, authLen, h.Demote, h.AdvBase, 0, 0)
	b = binary.BigEndian.AppendUint64(b, h.Counter)
	b = append(b, h.Digest[:]...)
	binary.BigEndian.PutUint16(b[off+6:], inet.Checksum(b[off:]))
	return b, nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]. It never fails.
func (h *Header) MarshalBinary() ([]byte, error) {
	return h.AppendBinary(make([]byte, 0, HeaderLen))
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It fails with
// [ErrShort], [ErrChecksum] or [ErrVersion], tried in the kernels' order. It sets
// every field of h or none, and keeps nothing of b.
//
// Octets beyond the 36th are ignored, as OpenBSD does. So are the type and
// AuthLen, which no kernel looks at; [PacketType] has the former. The digest is
// not checked: that is [Key.Verify].
func (h *Header) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) < HeaderLen:
		return ErrShort
	case inet.Checksum(b[:HeaderLen]) != 0:
		return ErrChecksum
	case b[0]>>4 != version:
		return ErrVersion
	}
	*h = decode(b)
	return nil
}

// decode reads the fields of b, at least HeaderLen long, whatever they hold.
func decode(b []byte) Header {
	return Header{
		VHID:    b[1],
		AdvSkew: b[2],
		Demote:  b[4],
		AdvBase: b[5],
		Counter: binary.BigEndian.Uint64(b[8:]),
		Digest:  [20]byte(b[16:]),
	}
}

// PacketType is the type nibble of a CARP packet, 1 for an advert, and 0 for an
// empty one.
func PacketType(b []byte) uint8 {
	if len(b) == 0 {
		return 0
	}
	return b[0] & 0x0f
}

// Interval is the time between two adverts that h promises.
func (h *Header) Interval() time.Duration {
	return pace{int(h.AdvBase), int(h.AdvSkew)}.duration()
}

// BowOut reports whether h says that its sender leaves: an advert so slow that
// every backup outruns it whose own advbase is from 1 to 85.
func (h *Header) BowOut() bool {
	return h.AdvBase == Infinite && h.AdvSkew == Infinite
}

// pace is what h offers in an election.
func (h *Header) pace() pace { return pace{int(h.AdvBase), int(h.AdvSkew)} }
