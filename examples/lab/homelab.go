//go:build linux

package main

import (
	"errors"
	"path/filepath"
)

// The ISP's box, and the net behind it.
const (
	ispAddr    = "198.51.100.254"
	netServer  = "192.168.66.1"
	netSegment = "net"
)

// ispRules is the NAT of the ISP's box.
const ispRules = `table ip isp {
	chain postrouting {
		type nat hook postrouting priority 100;
		oifname "net" masquerade
	}
}
`

// ispBox builds what is behind the WAN of a home: a box with one address for its
// customer, and NAT to the net, where the server is.
func (t *topology) ispBox() error {
	if err := errors.Join(
		t.Bridge(netSegment, "isp", "server"),
		t.isp.Addr(wan, ispAddr+"/24"),
		t.isp.Addr(netSegment, "192.168.66.2/24"),
		t.isp.SetSysctl("net.ipv4.ip_forward", "1"),
		t.server.Addr(netSegment, netServer+"/24"),
		write(t.dir, file{"isp.rules", ispRules}),
	); err != nil {
		return err
	}
	_, err := t.isp.Run("nft", "-f", filepath.Join(t.dir, "isp.rules"))
	return err
}
