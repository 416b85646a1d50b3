//go:build linux || freebsd || openbsd || netbsd || darwin

package rawip

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Set4 sets what an IPv4 socket with headers of ours is to put on, and to tell of,
// packets.
func Set4(c *ipv4.RawConn) error {
	return errors.Join(
		c.SetControlMessage(ipv4.FlagInterface, true),
		c.SetMulticastLoopback(false),
		c.SetMulticastTTL(TTL), // FreeBSD and OpenBSD put it over the header's
	)
}

// Set6 sets what an IPv6 socket is to put on, and to tell of, packets.
func Set6(c *ipv6.PacketConn) error {
	return errors.Join(
		c.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit|ipv6.FlagDst, true),
		c.SetMulticastLoopback(false),
		c.SetMulticastHopLimit(TTL),
		c.SetHopLimit(TTL),
	)
}

// Write4 sends a payload from an interface, with a header of ours: DF is not to be
// had otherwise on all systems. An invalid src leaves it to the kernel.
func Write4(c *ipv4.RawConn, protocol, tos, index int, src, dst netip.Addr, payload []byte) error {
	return Errno(c.WriteTo(&ipv4.Header{
		Version:  ipv4.Version,
		Len:      ipv4.HeaderLen,
		TOS:      tos,
		TotalLen: ipv4.HeaderLen + len(payload),
		Flags:    ipv4.DontFragment,
		TTL:      TTL,
		Protocol: protocol,
		Src:      src.AsSlice(),
		Dst:      dst.AsSlice(),
	}, payload, &ipv4.ControlMessage{IfIndex: index}))
}

// Write6 sends a payload from an interface. It is said by number: a zone would be
// looked up by name, and in the namespace of whoever calls.
func Write6(c *ipv6.PacketConn, index int, src, dst netip.Addr, payload []byte) error {
	_, err := c.WriteTo(payload, &ipv6.ControlMessage{IfIndex: index, Src: src.AsSlice()}, &net.IPAddr{IP: dst.AsSlice()})
	return Errno(err)
}
