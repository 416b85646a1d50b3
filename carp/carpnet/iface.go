package carpnet

import (
	"net/netip"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netfollow"
)

// linkOf is a link as carp calls it.
func linkOf(l netfollow.Link) carp.Link {
	switch l {
	case netfollow.LinkUp:
		return carp.LinkUp
	case netfollow.LinkUnknown:
		return carp.LinkUnknown
	}
	return carp.LinkDown
}

// source is the address of i that adverts to a group come from: like OpenBSD's, the
// first of the family that is not a virtual one; over IPv6, where OpenBSD finds
// the link-local address first and Linux lists it last, that one before all
// others. It is invalid if there is none: then the BSDs send from the
// unspecified address, too.
func source(i *netfollow.Interface, group netip.Addr, virtual func(netip.Addr) bool) netip.Addr {
	var found netip.Addr
	for _, a := range i.Addrs {
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
