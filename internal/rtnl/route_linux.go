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

// AddDefaultRoute adds an IPv4 route to everywhere by way of gateway, which is on the
// link with that index. The error matches EEXIST if there is one already, by whatever
// link. It goes with the link: when that is set down, so is the route.
func (c *Conn) AddDefaultRoute(index int, gateway netip.Addr) error {
	if !gateway.Is4() {
		return fmt.Errorf("rtnl: default route via %v: not an IPv4 address", gateway)
	}
	h := make([]byte, unix.SizeofRtMsg)
	h[0] = unix.AF_INET
	h[4], h[5], h[6], h[7] = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST
	req, err := encode(h, func(ae *netlink.AttributeEncoder) {
		ae.Bytes(unix.RTA_GATEWAY, gateway.AsSlice())
		ae.Uint32(unix.RTA_OIF, uint32(index))
	})
	if err == nil {
		err = c.do(unix.RTM_NEWROUTE, netlink.Create|netlink.Excl, req)
	}
	if err != nil {
		return fmt.Errorf("rtnl: add default route via %v on link with index %d: %w", gateway, index, err)
	}
	return nil
}
