package peer

import (
	"context"
	"net"
	"net/netip"
	"strconv"
)

// index is the number of the interface; another one of the same name has another.
func (c *Channel) index() (int, error) {
	if c.config.Interface == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(c.config.Interface)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}

// endpoint is the port at a, or at all addresses. The zone of a link-local address is
// a number: package net remembers for a minute which interface had a name.
func (c *Channel) endpoint(a netip.Addr, index int) string {
	host := ""
	switch {
	case a.Is6() && a.IsLinkLocalUnicast() && index != 0:
		host = a.WithZone(strconv.Itoa(index)).String()
	case a.IsValid():
		host = a.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(c.config.Port)))
}

// dial connects to the peer.
func (c *Channel) dial(ctx context.Context) (net.Conn, error) {
	index, err := c.index()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, Control: bindTo(c.config.Interface)}
	return dialer.DialContext(ctx, "tcp", c.endpoint(c.config.Peer, index))
}
