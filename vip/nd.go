package vip

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gocarp/gocarp/internal/inet"
)

// A neighbour advertisement with a target link-layer address, RFC 4861 section 4.4:
//
//	 0  type 136, code 0, checksum
//	 4  flags: 0x80 router, 0x40 solicited, 0x20 override
//	 8  target address
//	24  option: type 2, length 1 (8 octets), hardware address
const (
	naType     = 136
	naRouter   = 0x80
	naOverride = 0x20
	naLen      = 24
	naOptLen   = 8
	optTarget  = 2 // target link-layer address

	ipv6Len  = 40
	icmpv6   = 58
	hopLimit = 255 // or it came from another link, RFC 4861 section 7.1.2
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
)

// UnsolicitedNA returns the Ethernet frame that tells a segment that target is
// found at mac: a neighbour advertisement to all nodes with the override flag.
// src is its IPv6 source, a link-local address of the sending interface; router
// says whether this machine forwards, and hosts that have it as a default router
// drop it when that is wrong.
func UnsolicitedNA(mac HardwareAddr, src, target netip.Addr, router bool) ([]byte, error) {
	for _, a := range []netip.Addr{src, target} {
		if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() {
			return nil, fmt.Errorf("vip: neighbour advertisement for %v from %v: not IPv6 unicast addresses", target, src)
		}
	}
	flags := byte(naOverride)
	if router {
		flags |= naRouter
	}
	b := make([]byte, 0, ipv6Len+naLen+naOptLen)
	b = append(b, 0x60, 0, 0, 0, 0, naLen+naOptLen, icmpv6, hopLimit)
	b = append(b, src.AsSlice()...)
	b = append(b, allNodes.AsSlice()...)
	b = append(b, naType, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, target.AsSlice()...)
	b = append(b, optTarget, 1)
	b = append(b, mac[:]...)
	binary.BigEndian.PutUint16(b[ipv6Len+2:], icmpv6Checksum(b[:ipv6Len], b[ipv6Len:]))
	return frame(allNodesMAC, mac, etherTypeIPv6, b)
}

// icmpv6Checksum is 0 over a message that has its checksum, RFC 8200 section 8.1.
func icmpv6Checksum(header, msg []byte) uint16 {
	sum := inet.Sum(uint64(icmpv6)+uint64(len(msg)), header[8:ipv6Len]) // both addresses
	return inet.Fold(inet.Sum(sum, msg))
}

// parseNA returns the target of a valid neighbour advertisement and where it
// says it is; if it does not say, the Ethernet source linkSrc stands in.
// Packets with extension headers are none of a sane host's advertisements.
func parseNA(b []byte, linkSrc HardwareAddr) (target netip.Addr, mac HardwareAddr, ok bool) {
	if len(b) < ipv6Len+naLen || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != hopLimit {
		return netip.Addr{}, HardwareAddr{}, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < naLen || length > len(b)-ipv6Len {
		return netip.Addr{}, HardwareAddr{}, false
	}
	header, msg := b[:ipv6Len], b[ipv6Len:ipv6Len+length]
	if msg[0] != naType || msg[1] != 0 || icmpv6Checksum(header, msg) != 0 {
		return netip.Addr{}, HardwareAddr{}, false
	}
	mac = linkSrc
	for opts := msg[naLen:]; len(opts) > 0; {
		if len(opts) < 2 || opts[1] == 0 || len(opts) < 8*int(opts[1]) {
			return netip.Addr{}, HardwareAddr{}, false // RFC 4861 section 7.1.2: drop it all
		}
		if opts[0] == optTarget && opts[1] == 1 {
			mac = HardwareAddr(opts[2:8])
		}
		opts = opts[8*int(opts[1]):]
	}
	return netip.AddrFrom16([16]byte(msg[8:])), mac, true
}
