//go:build linux || freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
	"net"

	"github.com/gocarp/gocarp/internal/rawip"
	"github.com/gocarp/gocarp/pfsync"
)

const (
	// tos is the IPv4 TOS of the kernels, low delay. Over IPv6 there is none.
	tos = 0x10

	// receiveBuffer is what we ask of the kernel, in octets: a bulk update comes as
	// fast as a peer can send.
	receiveBuffer = 16 << 20
)

// openIP opens a raw IP socket of the family of the destinations.
func openIP(cfg Config) (*net.IPConn, error) {
	network := "ip6"
	if cfg.v4() {
		network = "ip4"
	}
	c, err := rawip.Listen(network, pfsync.ProtocolNumber)
	if err != nil {
		return nil, rawip.OpenError("pfsyncnet: opening a raw IP socket for "+cfg.Interface, err)
	}
	return c, nil
}
