package carpnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/rawip"
)

// Why a frame is no CARP packet that an IP stack would deliver.
var (
	// ErrNotCARP: not IP, not protocol 112, with a VLAN tag, or protocol 112
	// only behind an IPv6 extension header.
	ErrNotCARP = errors.New("carpnet: not a CARP packet")

	// ErrLinkUnicast: sent to an IP group, but to one host's Ethernet address.
	// OpenBSD does not even count such a packet.
	ErrLinkUnicast = errors.New("carpnet: IP multicast in a unicast Ethernet frame")

	ErrShort      = errors.New("carpnet: packet shorter than its IP length")
	ErrIPChecksum = errors.New("carpnet: wrong IPv4 header checksum")
	ErrFragment   = errors.New("carpnet: IP fragment")
)

const (
	etherHeaderLen = 14
	etherTypeIPv4  = 0x0800
	etherTypeIPv6  = 0x86dd

	// maxFrame is how much of a frame the sockets read. A longer one is dropped:
	// it is no advert of 36 octets.
	maxFrame = 2048

	// DefaultTOS is the IPv4 TOS and IPv6 traffic class of adverts, DSCP 56, as
	// FreeBSD sends them. OpenBSD has 0x10 and 0.
	DefaultTOS = 0xe0
)

// ParseFrame decodes an Ethernet frame as far as the link and IP layers of a
// kernel do it before CARP sees the packet, and sets all of p except for
// IfIndex, which becomes 0. The payload is appended to p.Data[:0]. If there is an
// error p is not changed.
//
// IPv4 options are stepped over and link padding is cut off. TTL, destination
// and everything inside of the payload are left to the caller to judge.
func ParseFrame(b []byte, p *carp.Packet) error {
	if len(b) < etherHeaderLen {
		return ErrNotCARP
	}
	etherType := binary.BigEndian.Uint16(b[12:])
	ip, payload, err := inet.ParseIP(b[etherHeaderLen:])
	switch {
	case ip.Protocol != carp.ProtocolNumber,
		ip.Dst.Is4() && etherType != etherTypeIPv4,
		ip.Dst.Is6() && etherType != etherTypeIPv6:
		return ErrNotCARP
	case err == inet.ErrIPShort:
		return ErrShort
	case err == inet.ErrIPChecksum:
		return ErrIPChecksum
	case err == inet.ErrFragment:
		return ErrFragment
	case err != nil:
		return ErrNotCARP
	case ip.Dst.IsMulticast() && b[0]&1 == 0:
		return ErrLinkUnicast
	}
	*p = carp.Packet{
		Data:    append(p.Data[:0], payload...),
		Src:     ip.Src,
		Dst:     ip.Dst,
		TTL:     ip.TTL,
		LinkSrc: carp.HardwareAddr(b[6:]),
	}
	return nil
}

// AppendFrame appends p as a multicast Ethernet frame to b: from p.LinkSrc to
// the group's address, with TTL 255 and the given TOS or traffic class, IPv4 with
// DF and the given identification. A p.Src of the other family, or none, becomes
// the unspecified address. It fails if p.Dst is no group.
func AppendFrame(b []byte, p *carp.Packet, tos uint8, id uint16) ([]byte, error) {
	ip := inet.IP{
		Src:      rawip.Plain(p.Src),
		Dst:      rawip.Plain(p.Dst),
		Protocol: carp.ProtocolNumber,
		TTL:      rawip.TTL,
		TOS:      tos,
		ID:       id,
	}
	mac, ok := groupMAC(ip.Dst)
	if !ok {
		return b, fmt.Errorf("carpnet: %v is not a multicast group", p.Dst)
	}
	b = append(b, mac[:]...)
	b = append(b, p.LinkSrc[:]...)
	if ip.Dst.Is4() {
		b = binary.BigEndian.AppendUint16(b, etherTypeIPv4)
	} else {
		b = binary.BigEndian.AppendUint16(b, etherTypeIPv6)
	}
	b = ip.Append(b, len(p.Data))
	return append(b, p.Data...), nil
}

// groupMAC is the Ethernet address of a multicast group: RFC 1112 section 6.4,
// RFC 2464 section 7.
func groupMAC(group netip.Addr) (carp.HardwareAddr, bool) {
	switch {
	case !group.IsMulticast():
		return carp.HardwareAddr{}, false
	case group.Is4():
		a := group.As4()
		return carp.HardwareAddr{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}, true
	}
	a := group.As16()
	return carp.HardwareAddr{0x33, 0x33, a[12], a[13], a[14], a[15]}, true
}
