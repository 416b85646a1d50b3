package rtnl

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Delivers reports whether packets to ip are taken in here: whether the kernel
// has a local route. For a new IPv6 address it makes one later, in a worker
// (addrconf_dad_work), and drops what comes before.
func (c *Conn) Delivers(ip netip.Addr) (bool, error) {
	h := make([]byte, unix.SizeofRtMsg)
	h[0], h[1] = unix.AF_INET, uint8(ip.BitLen())
	if ip.Is6() {
		h[0] = unix.AF_INET6
	}
	req, err := encode(h, func(ae *netlink.AttributeEncoder) { ae.Bytes(unix.RTA_DST, ip.AsSlice()) })
	if err != nil {
		return false, err
	}
	msgs, err := c.get(unix.RTM_GETROUTE, 0, req)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("rtnl: route to %v: %w", ip, err)
	}
	return len(msgs) == 1 && len(msgs[0].Data) >= unix.SizeofRtMsg && msgs[0].Data[7] == unix.RTN_LOCAL, nil
}
