//go:build linux || freebsd || openbsd || netbsd || darwin

package carpnet

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
)

// ipSockets are a raw IP socket for each family: they send, and hold the
// memberships that make the kernel report the groups to snooping switches.
type ipSockets struct {
	cfg    Config
	c4, c6 *net.IPConn
	v4     *ipv4.RawConn
	v6     *ipv6.PacketConn // nil if the kernel has no IPv6
	groups []rawip.Membership
}

func openIP(cfg Config) (*ipSockets, error) {
	s := &ipSockets{cfg: cfg}
	if err := s.open(); err != nil {
		s.close()
		return nil, rawip.OpenError("carpnet: opening a raw IP socket for "+cfg.Interface, err)
	}
	for _, g := range cfg.Groups {
		m := rawip.Membership{Group: g}
		if g.Is4() {
			m.Conn = s.v4
		} else if s.v6 != nil {
			m.Conn = s.v6
		}
		s.groups = append(s.groups, m)
	}
	return s, nil
}

func (s *ipSockets) open() (err error) {
	if s.c4, err = rawip.Listen("ip4", carp.ProtocolNumber); err != nil {
		return err
	}
	if s.v4, err = ipv4.NewRawConn(s.c4); err != nil {
		return err
	}
	if err := rawip.Set4(s.v4); err != nil {
		return err
	}
	s.c6, err = rawip.Listen("ip6", carp.ProtocolNumber)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil
	} else if err != nil {
		return err
	}
	s.v6 = ipv6.NewPacketConn(s.c6)
	return errors.Join(rawip.Set6(s.v6), s.v6.SetTrafficClass(int(s.cfg.TOS)))
}

// attach joins the groups on an interface, having left them on the one before.
// It returns how many it joined, and why not the others.
func (s *ipSockets) attach(i *netfollow.Interface) (int, error) {
	joined, errs := 0, []error(nil)
	for n := range s.groups {
		if err := s.groups[n].Join(i.Index); err != nil {
			errs = append(errs, err)
		} else {
			joined++
		}
	}
	return joined, errors.Join(errs...)
}

// write sends p from the interface. The kernel finds the next hop.
func (s *ipSockets) write(p carp.Packet, i *netfollow.Interface) error {
	switch {
	case p.Dst.Is4():
		if !p.Src.IsValid() {
			p.Src = source(i, p.Dst, s.cfg.Virtual)
		}
		return rawip.Write4(s.v4, carp.ProtocolNumber, int(s.cfg.TOS), i.Index, p.Src, p.Dst, p.Data)
	case !p.Dst.IsValid():
		return errors.New("no destination")
	case s.v6 == nil:
		return syscall.EAFNOSUPPORT
	}
	return rawip.Write6(s.v6, i.Index, p.Src, p.Dst, p.Data)
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
