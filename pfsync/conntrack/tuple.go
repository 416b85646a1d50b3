package conntrack

import "net/netip"

// IP protocols that conntrack tells apart by more than the addresses.
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoGRE     = 47
	ProtoICMPv6  = 58
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// A Tuple is what all packets of one direction of a connection have in common.
type Tuple struct {
	Src, Dst netip.Addr // both IPv4 or both IPv6, without zone
	Proto    uint8      // IP protocol number

	// The ports of TCP, UDP, UDP-Lite, SCTP and DCCP, the keys of GRE; otherwise 0.
	SrcPort, DstPort uint16

	// Of ICMP and ICMPv6; otherwise 0.
	ICMPID             uint16
	ICMPType, ICMPCode uint8
}

// Inverse is the tuple of the answers to packets of t, if nothing translates
// addresses. Of ICMP the kernel tracks queries; another type stays as it is.
func (t Tuple) Inverse() Tuple {
	t.Src, t.Dst = t.Dst, t.Src
	t.SrcPort, t.DstPort = t.DstPort, t.SrcPort
	t.ICMPType = inverseICMP(t.Proto, t.ICMPType)
	return t
}

// inverseICMP turns requests into replies and replies into requests, after the
// tables invmap of the kernel.
func inverseICMP(proto, typ uint8) uint8 {
	switch {
	case proto == ProtoICMP:
		switch typ {
		case 0, 8: // echo
			return 8 - typ
		case 13, 15, 17: // timestamp, information, address mask request
			return typ + 1
		case 14, 16, 18:
			return typ - 1
		}
	case proto == ProtoICMPv6:
		switch typ {
		case 128, 139: // echo request, node information query
			return typ + 1
		case 129, 140:
			return typ - 1
		}
	}
	return typ
}

// hasPorts reports whether the kernel wants ports in the tuples of a protocol.
func hasPorts(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoGRE, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}

func isICMP(proto uint8) bool { return proto == ProtoICMP || proto == ProtoICMPv6 }
