package fuzz

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/gocarp/gocarp/carp"
)

// FuzzHeader decodes anything. The error must be the one that a kernel would
// count, and nothing but the first 36 octets of the slice may matter.
func FuzzHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		checkHeader(t, b)
		if len(b) >= carp.HeaderLen { // few inputs get past the checksum by themselves
			mended := bytes.Clone(b)
			mend(mended)
			checkHeader(t, mended)
		}
	})
}

func checkHeader(t *testing.T, b []byte) {
	was := bytes.Clone(b)
	var zero carp.Header
	err := zero.UnmarshalBinary(b[:len(b):len(b)])
	if want := headerError(b); err != want {
		t.Fatalf("%x: error %v, want %v", b, err, want)
	}
	dirt := carp.Header{VHID: 0xd1, AdvSkew: 0xd2, AdvBase: 0xd3, Demote: 0xd4, Counter: 0xd5, Digest: [20]byte{0xd6}}
	for _, spare := range [][]byte{bytes.Repeat([]byte{0xff}, 64), completion(b)} {
		dirty := dirt
		err2 := dirty.UnmarshalBinary(append(bytes.Clone(b), spare...)[:len(b)])
		switch {
		case err2 != err:
			t.Fatalf("%x: error %v, but %v with %x behind it", b, err, err2, spare)
		case err != nil && (dirty != dirt || zero != carp.Header{}):
			t.Fatalf("%x: refused, yet it changed the header to %+v", b, dirty)
		case err == nil && dirty != zero:
			t.Fatalf("%x: decoded over another header it is %+v, else %+v", b, dirty, zero)
		}
	}
	if !bytes.Equal(b, was) {
		t.Fatalf("decoding changed the packet from %x to %x", was, b)
	}
	if got := carp.PacketType(b); len(b) == 0 && got != 0 || len(b) > 0 && got != b[0]%16 {
		t.Fatalf("%x: type %d", b, got)
	}
	if err == nil {
		checkEncode(t, b[:carp.HeaderLen], zero)
	}
}

// checkEncode wants h, which was decoded from b, back on the wire.
func checkEncode(t *testing.T, b []byte, h carp.Header) {
	if h.VHID != b[1] || h.AdvSkew != b[2] || h.Demote != b[4] || h.AdvBase != b[5] {
		t.Fatalf("%x became %+v", b, h)
	}
	wire, err := h.AppendBinary([]byte("before"))
	alone, err2 := h.MarshalBinary()
	if err != nil || err2 != nil || string(wire) != "before"+string(alone) || len(alone) != carp.HeaderLen {
		t.Fatalf("%+v: encoded as %x, %v, and as %x, %v", h, wire, err, alone, err2)
	}
	var again carp.Header
	if err := again.UnmarshalBinary(alone); err != nil || again != h {
		t.Fatalf("%+v: encoded and decoded it is %+v, %v", h, again, err)
	}
	// 0xffff and 0 are the same checksum; senders write the latter here.
	plain := bytes.Clone(b)
	if plain[6] == 0xff && plain[7] == 0xff {
		plain[6], plain[7] = 0, 0
	}
	if b[0] == 0x21 && b[3] == 7 && !bytes.Equal(alone, plain) {
		t.Fatalf("%x was decoded and encoded as %x", b, alone)
	}
}

// headerError is the error that decoding b should end with.
func headerError(b []byte) error {
	switch {
	case len(b) < carp.HeaderLen:
		return carp.ErrShort
	case wordSum(b) == 0 || wordSum(b)%0xffff != 0:
		return carp.ErrChecksum
	case b[0]>>4 != 2:
		return carp.ErrVersion
	}
	return nil
}

// wordSum adds up the 16-bit words of an advert, which is a multiple of 65535 if
// its checksum is right (RFC 1071).
func wordSum(b []byte) (sum uint32) {
	for i := 0; i < carp.HeaderLen; i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return sum
}

// mend makes the checksum of an advert right.
func mend(b []byte) {
	b[6], b[7] = 0, 0
	binary.BigEndian.PutUint16(b[6:], uint16(0xffff-wordSum(b)%0xffff))
}

// completion is what would make a short b a fine advert, if it were read.
func completion(b []byte) []byte {
	full := make([]byte, carp.HeaderLen)
	n := copy(full, b)
	rest := 0xffff - wordSum(full)%0xffff
	full[34], full[35] = full[34]+byte(rest>>8), full[35]+byte(rest)
	return full[n:]
}
