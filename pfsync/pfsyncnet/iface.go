package pfsyncnet

import (
	"syscall"

	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/pfsync"
)

// ErrNoInterface says that the interface does not exist, or not any more.
var ErrNoInterface = netfollow.ErrNoInterface

// linkOf is a link as pfsync calls it.
func linkOf(l netfollow.Link) pfsync.Link {
	if l == netfollow.LinkDown {
		return pfsync.LinkDown
	}
	return pfsync.LinkUp
}

// sendIndex is the interface to send from. One that is down is none: the routing
// table has forgotten it, and would let IPv6 packets leave by another.
func sendIndex(i *netfollow.Interface) (int, error) {
	switch {
	case i.Index == 0:
		return 0, ErrNoInterface
	case !i.Up:
		return 0, syscall.ENETDOWN
	}
	return i.Index, nil
}
