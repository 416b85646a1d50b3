package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Netlink attributes: length and type in the byte order of the host, then a
// value, that conntrack has in network byte order, then padding to 4 octets.

// attrs iterates over attributes, and reads their values. After a first failure
// it ends, and err says what was wrong with which attribute.
type attrs struct {
	b    []byte
	rest int // offset of the next attribute
	typ  int // of the attribute at hand,
	from int // whose value is b[from:to]
	to   int

	level level
	err   error
}

func (a *attrs) next() bool {
	n := len(a.b) - a.rest
	if n <= 0 || a.err != nil {
		return false
	}
	if n < attrLen {
		a.err = fmt.Errorf("%d stray octets behind the attributes", n)
		return false
	}
	h := a.b[a.rest : a.rest+attrLen]
	size := int(binary.NativeEndian.Uint16(h))
	a.typ = int(binary.NativeEndian.Uint16(h[2:]) & attrTypeMask)
	if size < attrLen || size > n {
		a.err = fmt.Errorf("%s: length %d, there are %d octets", a.name(), size, n)
		return false
	}
	a.from, a.to = a.rest+attrLen, a.rest+size
	a.rest += (size + 3) &^ 3
	return true
}

// name is the name of the attribute at hand.
func (a *attrs) name() string {
	if names := levels[a.level]; a.typ < len(names) && names[a.typ] != "" {
		return names[a.typ]
	}
	return fmt.Sprintf("attribute %d", a.typ)
}

// value returns the value, if it has n octets, and otherwise fails and returns
// that many zeros.
func (a *attrs) value(n int) []byte {
	if a.to-a.from != n {
		a.err = fmt.Errorf("%s: %d octets, want %d", a.name(), a.to-a.from, n)
		return make([]byte, 16)[:n]
	}
	return a.b[a.from:a.to]
}

func (a *attrs) uint8() uint8     { return a.value(1)[0] }
func (a *attrs) uint16() uint16   { return binary.BigEndian.Uint16(a.value(2)) }
func (a *attrs) uint32() uint32   { return binary.BigEndian.Uint32(a.value(4)) }
func (a *attrs) uint64() uint64   { return binary.BigEndian.Uint64(a.value(8)) }
func (a *attrs) ipv4() netip.Addr { return netip.AddrFrom4([4]byte(a.value(4))) }
func (a *attrs) ipv6() netip.Addr { return netip.AddrFrom16([16]byte(a.value(16))) }

// nested iterates over the attributes within the one at hand. Hand it to leave
// when it has ended.
func (a *attrs) nested(l level) attrs { return attrs{b: a.b[a.from:a.to], level: l} }

func (a *attrs) leave(in *attrs) {
	if in.err != nil && a.err == nil {
		a.err = fmt.Errorf("%s: %w", a.name(), in.err)
	}
}

// fail says what is wrong with this level as a whole.
func (a *attrs) fail(what string) {
	if a.err == nil {
		a.err = errors.New(what)
	}
}

// openAttr appends the header of an attribute; closeAttr, with the offset that it
// returned, sets its length. What is between must end on 4 octets.
func openAttr(b []byte, typ uint16) ([]byte, int) {
	return appendAttr(b, typ|attrNested, 0), len(b)
}

func closeAttr(b []byte, off int) {
	binary.NativeEndian.PutUint16(b[off:], uint16(len(b)-off))
}

// appendAttr appends the header of an attribute with a value of n octets.
func appendAttr(b []byte, typ uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrLen+n))
	return binary.NativeEndian.AppendUint16(b, typ)
}

func appendUint8(b []byte, typ uint16, v uint8) []byte {
	return append(appendAttr(b, typ, 1), v, 0, 0, 0)
}

func appendUint16(b []byte, typ, v uint16) []byte {
	return append(appendAttr(b, typ, 2), byte(v>>8), byte(v), 0, 0)
}

func appendUint32(b []byte, typ uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(appendAttr(b, typ, 4), v)
}

// appendAddr appends an attribute of the type v4 or v6, as the address is.
func appendAddr(b []byte, v4, v6 uint16, ip netip.Addr) []byte {
	if ip.Is4() {
		a := ip.As4()
		return append(appendAttr(b, v4, len(a)), a[:]...)
	}
	a := ip.As16()
	return append(appendAttr(b, v6, len(a)), a[:]...)
}
