//go:build linux || freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv6"

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
	network, address := "ip6:", "::"
	if cfg.v4() {
		network, address = "ip4:", "0.0.0.0"
	}
	c, err := net.ListenPacket(network+strconv.Itoa(pfsync.ProtocolNumber), address)
	if err = errno(err); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("pfsyncnet: opening a raw IP socket for %s needs %s: %w", cfg.Interface, rawPrivilege, err)
	} else if err != nil {
		return nil, fmt.Errorf("pfsyncnet: opening a raw IP socket for %s: %w", cfg.Interface, err)
	}
	return c.(*net.IPConn), nil
}

// set6 sets what an IPv6 socket is to put on, and to tell of, packets.
func set6(c *ipv6.PacketConn) error {
	return errors.Join(
		c.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit|ipv6.FlagDst, true),
		c.SetMulticastLoopback(false),
		c.SetMulticastHopLimit(ttl),
		c.SetHopLimit(ttl),
	)
}

// membership is the group that a socket is a member of on one interface.
type membership struct {
	conn interface { // an ipv4.RawConn or ipv4.PacketConn or ipv6.PacketConn
		JoinGroup(ifi *net.Interface, group net.Addr) error
		LeaveGroup(ifi *net.Interface, group net.Addr) error
		SetMulticastInterface(ifi *net.Interface) error
	}
	group  netip.Addr // invalid: there is none to join
	joined *net.Interface
}

func (m *membership) join(index int) error {
	if !m.group.IsValid() {
		return nil
	}
	group := &net.IPAddr{IP: m.group.AsSlice()}
	if m.joined != nil {
		// The kernel keeps it in the books, and counts it against a limit, even if
		// the interface is gone.
		m.conn.LeaveGroup(m.joined, group)
		m.joined = nil
	}
	nic := &net.Interface{Index: index}
	if err := errors.Join(m.conn.JoinGroup(nic, group), m.conn.SetMulticastInterface(nic)); err != nil {
		return fmt.Errorf("joining %v: %w", m.group, errno(err))
	}
	m.joined = nic
	return nil
}
