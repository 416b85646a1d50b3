package fuzz

import (
	"encoding/binary"
	"net/netip"
)

// A tape is fuzz input that is read once from its start to its end, and zeros
// after that.
type tape []byte

func (t *tape) bytes(n int) []byte {
	b := make([]byte, n)
	*t = (*t)[copy(b, *t):]
	return b
}

func (t *tape) u8() uint8   { return t.bytes(1)[0] }
func (t *tape) bit() bool   { return t.u8()&1 != 0 }
func (t *tape) i16() int    { return int(int16(binary.BigEndian.Uint16(t.bytes(2)))) }
func (t *tape) i32() int    { return int(int32(binary.BigEndian.Uint32(t.bytes(4)))) }
func (t *tape) u64() uint64 { return binary.BigEndian.Uint64(t.bytes(8)) }
func (t *tape) done() bool  { return len(*t) == 0 }

// addr is an address of any kind, among them those that few people think of.
func (t *tape) addr() netip.Addr {
	v4 := func() netip.Addr { return netip.AddrFrom4([4]byte(t.bytes(4))) }
	v6 := func() netip.Addr { return netip.AddrFrom16([16]byte(t.bytes(16))) }
	switch t.u8() % 8 {
	case 0:
		return v4()
	case 1:
		return v6()
	case 2: // link-local, with a scope in its second pair of octets or in its zone
		a := [16]byte{0: 0xfe, 1: 0x80}
		copy(a[2:4], t.bytes(2))
		copy(a[8:], t.bytes(8))
		return netip.AddrFrom16(a).WithZone("em0")
	case 3: // multicast of any scope
		a := [16]byte{0: 0xff, 1: t.u8()}
		copy(a[12:], t.bytes(4))
		return netip.AddrFrom16(a)
	case 4: // IPv4 in IPv6 clothes
		return netip.AddrFrom16(v4().As16())
	case 5:
		return v6().WithZone("em0")
	case 6: // the ones that are never hashed
		ones := netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		list := [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255}), ones}
		return list[t.u8()%4]
	}
	return netip.Addr{}
}
