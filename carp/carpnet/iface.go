package carpnet

import (
	"net/netip"

	"github.com/gocarp/gocarp/carp"
)

// An iface is what is known of the interface at one moment. Once published it
// does not change.
type iface struct {
	index int // 0: there is none of that name
	mac   carp.HardwareAddr
	addrs []netip.Addr // the kernel's order, without zones
	link  carp.Link
	next  chan struct{} // closed when there is a newer one
}

// source is the address that adverts to a group come from: like OpenBSD's, the
// first of the family that is not a virtual one; over IPv6, where OpenBSD finds
// the link-local address first and Linux lists it last, that one before all
// others. It is invalid if there is none: then the BSDs send from the
// unspecified address, too.
func (i *iface) source(group netip.Addr, virtual func(netip.Addr) bool) netip.Addr {
	var found netip.Addr
	for _, a := range i.addrs {
		switch {
		case a.Is4() != group.Is4() || virtual(a):
		case a.Is4() || a.IsLinkLocalUnicast():
			return a
		case !found.IsValid():
			found = a
		}
	}
	return found
}
