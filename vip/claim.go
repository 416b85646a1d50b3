package vip

import "net/netip"

// A Claim is what an ARP packet or a neighbour advertisement says of its
// sender: Addr is found at MAC.
type Claim struct {
	Addr netip.Addr
	MAC  HardwareAddr // in the payload, what neighbours will use

	LinkSrc HardwareAddr // Ethernet source
	LinkDst HardwareAddr // Ethernet destination
}

// ParseClaim reads the claim out of an Ethernet frame. It reports false if the
// frame is neither ARP (request or reply, not a probe) nor a valid neighbour
// advertisement. It retains nothing of frame.
func ParseClaim(frame []byte) (Claim, bool) {
	dst, src, etherType, payload, ok := unframe(frame)
	if !ok {
		return Claim{}, false
	}
	c := Claim{LinkSrc: src, LinkDst: dst}
	switch etherType {
	case etherTypeARP:
		c.Addr, c.MAC, ok = parseARP(payload)
	case etherTypeIPv6:
		c.Addr, c.MAC, ok = parseNA(payload, src)
	default:
		ok = false
	}
	if !ok {
		return Claim{}, false
	}
	return c, true
}

// Foreign reports whether c sends the neighbours to a hardware address that is
// not one of ours.
func (c Claim) Foreign(ours ...HardwareAddr) bool {
	for _, mac := range ours {
		if c.MAC == mac {
			return false
		}
	}
	return true
}

// Harmful reports whether a foreign claim may have misled anybody but us. A
// FreeBSD backup answers each announcement of the master, to the master alone,
// with its own physical address: announcing again because of that would go on
// for ever.
func (c Claim) Harmful(ours ...HardwareAddr) bool {
	if !c.Foreign(ours...) {
		return false
	}
	for _, mac := range ours {
		if c.LinkDst == mac {
			return false
		}
	}
	return true
}
