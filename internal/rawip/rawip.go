// Package rawip is what carpnet and pfsyncnet both know about raw IP sockets: how
// they are opened and refused, what IPv4 and IPv6 ones tell of a packet, and the
// groups that they are members of.
package rawip

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// TTL is what packets are sent with. None that still has it has passed a router.
const TTL = 255

// Errno reduces an error of the net packages to the kernel's, which says it all.
func Errno(err error) error {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// OpenError is err of what was tried, with the privilege that it needs if that is
// missing.
func OpenError(what string, err error) error {
	if err = Errno(err); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%s needs %s: %w", what, privilege, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Plain is a without zone and as IPv4 if it is an IPv4 address in IPv6 clothes.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
