package ifconfig

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// An Address is an address of an interface.
type Address struct {
	Prefix    netip.Prefix // the address itself, with the length of its network
	Broadcast netip.Addr   // of IPv4: as given, or the last of a network of 4 addresses and more
	Pos       Pos
}

// String is the address in the words of ifconfig's output, which it also reads.
func (a Address) String() string {
	addr := a.Prefix.Addr()
	if addr.Is6() {
		return fmt.Sprintf("inet6 %v prefixlen %d", addr, a.Prefix.Bits())
	}
	s := fmt.Sprintf("inet %v netmask 0x%x", addr, mask(a.Prefix.Bits()))
	if a.Broadcast.IsValid() {
		s += " broadcast " + a.Broadcast.String()
	}
	return s
}

// same reports whether a and b are the same address, wherever they were written.
func (a Address) same(b Address) bool { return a.Prefix == b.Prefix && a.Broadcast == b.Broadcast }

func family(a netip.Addr) string {
	if a.Is6() {
		return "inet6"
	}
	return "inet"
}

// mask is the IPv4 netmask of a length.
func mask(length int) uint32 { return ^uint32(0) << (32 - length) }

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|^mask(p.Bits()))
	return netip.AddrFrom4(b)
}

// defaultBits is the length of an address that has none: 64, or that of its
// class, as OpenBSD does it.
func defaultBits(a netip.Addr) int {
	switch {
	case a.Is6():
		return 64
	case a.As4()[0] < 128:
		return 8
	case a.As4()[0] < 192:
		return 16
	}
	return 24
}

// parseMask reads an IPv4 netmask, dotted or in hex, and returns its length.
func parseMask(s string) (length int, ok bool) {
	var m uint32
	if hex, is := strings.CutPrefix(strings.ToLower(s), "0x"); is {
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			return 0, false
		}
		m = uint32(n)
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is4() {
			return 0, false
		}
		b := a.As4()
		m = binary.BigEndian.Uint32(b[:])
	}
	length = bits.LeadingZeros32(^m)
	return length, m == mask(length)
}

// parseAddr reads an address and the length after it, -1 if it has none. Its
// zone, if it has one, must be the interface.
func parseAddr(s, ifname string) (addr netip.Addr, length int, ok bool) {
	s, digits, hasLength := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Is4In6() || addr.Zone() != "" && addr.Zone() != ifname {
		return netip.Addr{}, 0, false
	}
	addr = addr.WithZone("")
	if !hasLength {
		return addr, -1, true
	}
	n, err := strconv.ParseUint(digits, 10, 8)
	return addr, int(n), err == nil && int(n) <= addr.BitLen()
}

// limited is the broadcast address of every network.
var limited = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// unusable says why p cannot be the address of an interface, or nothing.
func unusable(p netip.Prefix) string {
	a := p.Addr()
	switch {
	case p.Bits() == 0:
		return "expected a network smaller than the whole internet"
	case a.IsMulticast(), a.Is6() && a.IsUnspecified(), a.Is4() && (a.As4()[0] == 0 || a == limited):
		return "expected the address of a host"
	case a.Is4() && p.Bits() < 31 && a == p.Masked().Addr():
		return "expected the address of a host, not of the network"
	case a.Is4() && p.Bits() < 31 && a == broadcast(p):
		return "expected the address of a host, not the broadcast address"
	}
	return ""
}
