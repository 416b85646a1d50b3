//go:build linux || freebsd || openbsd || netbsd || darwin

package carpnet

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/gocarp/gocarp/carp"
)

// ipSockets are a raw IP socket for each family: they send, and hold the
// memberships that make the kernel report the groups to snooping switches.
type ipSockets struct {
	cfg    Config
	c4, c6 *net.IPConn
	v4     *ipv4.RawConn
	v6     *ipv6.PacketConn // nil if the kernel has no IPv6

	attached *net.Interface // where the groups were joined last
}

func openIP(cfg Config) (*ipSockets, error) {
	s := &ipSockets{cfg: cfg}
	err := s.open()
	if err != nil {
		s.close()
		if err = errno(err); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("carpnet: opening a raw IP socket for %s needs %s: %w", cfg.Interface, rawPrivilege, err)
		}
		return nil, fmt.Errorf("carpnet: opening a raw IP socket for %s: %w", cfg.Interface, err)
	}
	return s, nil
}

func (s *ipSockets) open() error {
	c, err := net.ListenPacket("ip4:"+strconv.Itoa(carp.ProtocolNumber), "0.0.0.0")
	if err != nil {
		return err
	}
	s.c4 = c.(*net.IPConn)
	if s.v4, err = ipv4.NewRawConn(c); err != nil {
		return err
	}
	if err := errors.Join(
		s.v4.SetControlMessage(ipv4.FlagInterface, true),
		s.v4.SetMulticastLoopback(false),
		s.v4.SetMulticastTTL(ttl), // FreeBSD and OpenBSD put it over the header's
	); err != nil {
		return err
	}

	c, err = net.ListenPacket("ip6:"+strconv.Itoa(carp.ProtocolNumber), "::")
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil
	} else if err != nil {
		return err
	}
	s.c6 = c.(*net.IPConn)
	s.v6 = ipv6.NewPacketConn(c)
	return errors.Join(
		s.v6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagHopLimit|ipv6.FlagDst, true),
		s.v6.SetMulticastLoopback(false),
		s.v6.SetMulticastHopLimit(ttl),
		s.v6.SetHopLimit(ttl),
		s.v6.SetTrafficClass(int(s.cfg.TOS)),
	)
}

// attach joins the groups on an interface, having left them on the one before.
// It returns how many it joined, and why not the others.
func (s *ipSockets) attach(i *iface) (int, error) {
	nic := &net.Interface{Index: i.index, Name: s.cfg.Interface}
	joined, errs := 0, []error(nil)
	for _, g := range s.cfg.Groups {
		group := &net.IPAddr{IP: g.AsSlice()}
		var err error
		switch {
		case g.Is4():
			if s.attached != nil {
				s.v4.LeaveGroup(s.attached, group) // fails if it is gone
			}
			err = errors.Join(s.v4.JoinGroup(nic, group), s.v4.SetMulticastInterface(nic))
		case s.v6 == nil:
			err = syscall.EAFNOSUPPORT
		default:
			if s.attached != nil {
				s.v6.LeaveGroup(s.attached, group)
			}
			err = errors.Join(s.v6.JoinGroup(nic, group), s.v6.SetMulticastInterface(nic))
		}
		if err == nil {
			joined++
		} else {
			errs = append(errs, fmt.Errorf("joining %v: %w", g, errno(err)))
		}
	}
	s.attached = nic
	return joined, errors.Join(errs...)
}

// write sends p from the interface. The kernel finds the next hop.
func (s *ipSockets) write(p carp.Packet, i *iface) error {
	switch {
	case p.Dst.Is4():
		if !p.Src.IsValid() {
			p.Src = i.source(p.Dst, s.cfg.Virtual)
		}
		return errno(s.v4.WriteTo(&ipv4.Header{
			Version:  ipv4.Version,
			Len:      ipv4.HeaderLen,
			TOS:      int(s.cfg.TOS),
			TotalLen: ipv4.HeaderLen + len(p.Data),
			Flags:    ipv4.DontFragment,
			TTL:      ttl,
			Protocol: carp.ProtocolNumber,
			Src:      p.Src.AsSlice(),
			Dst:      p.Dst.AsSlice(),
		}, p.Data, &ipv4.ControlMessage{IfIndex: i.index}))
	case !p.Dst.IsValid():
		return errors.New("no destination")
	case s.v6 == nil:
		return syscall.EAFNOSUPPORT
	}
	// The interface is said by number: a zone would be looked up by name, and
	// in the namespace of whoever calls.
	_, err := s.v6.WriteTo(p.Data, &ipv6.ControlMessage{IfIndex: i.index, Src: p.Src.AsSlice()}, &net.IPAddr{IP: p.Dst.AsSlice()})
	return errno(err)
}

func (s *ipSockets) close() error {
	var errs []error
	for _, c := range []*net.IPConn{s.c4, s.c6} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
