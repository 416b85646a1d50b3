package rawip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// A Membership is a group that a socket is a member of, on one interface at a time.
// It is not for several goroutines.
type Membership struct {
	Conn interface { // an ipv4.RawConn or ipv4.PacketConn or ipv6.PacketConn; nil: no such socket
		JoinGroup(ifi *net.Interface, group net.Addr) error
		LeaveGroup(ifi *net.Interface, group net.Addr) error
		SetMulticastInterface(ifi *net.Interface) error
	}
	Group netip.Addr // invalid: there is none to join

	joined *net.Interface
}

// Join makes the socket a member on an interface, by its index, and on the one
// before, which may be gone or be the same one, no more.
func (m *Membership) Join(index int) error {
	switch {
	case !m.Group.IsValid():
		return nil
	case m.Conn == nil:
		return fmt.Errorf("joining %v: %w", m.Group, syscall.EAFNOSUPPORT)
	}
	group := &net.IPAddr{IP: m.Group.AsSlice()}
	if m.joined != nil {
		// The kernel keeps it in the books, and counts it against a limit, even if
		// the interface is gone.
		m.Conn.LeaveGroup(m.joined, group)
	}
	m.joined = &net.Interface{Index: index}
	if err := errors.Join(m.Conn.JoinGroup(m.joined, group), m.Conn.SetMulticastInterface(m.joined)); err != nil {
		return fmt.Errorf("joining %v: %w", m.Group, Errno(err))
	}
	return nil
}
