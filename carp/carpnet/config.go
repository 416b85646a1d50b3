package carpnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/rawip"
)

// A Config says what [Listen] opens. All but Interface may be left out.
type Config struct {
	// Interface is the name of the interface below the virtual hosts, which has
	// to exist when Listen is called.
	Interface string

	// Groups are the multicast groups to join and to take packets of. nil stands
	// for [carp.Group4] and [carp.Group6]. FreeBSD's peer and peer6 can set others.
	// Packets to one of the interface's own addresses are always taken.
	Groups []netip.Addr

	// TOS is the IPv4 TOS and IPv6 traffic class of what is sent.
	// 0 stands for [DefaultTOS].
	TOS uint8

	// Virtual reports that an address which may be on the interface belongs to a
	// virtual host and so is no source for adverts. nil says it of none. It is
	// called, from WritePacket, for each packet that leaves its source open.
	Virtual func(netip.Addr) bool

	// RawIP asks for raw IP sockets where a packet socket is the default: see
	// the package documentation.
	RawIP bool

	// Logger is told when the interface could not be followed. nil discards.
	Logger *slog.Logger
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.Interface == "" {
		return c, errors.New("carpnet: no interface given")
	}
	if c.Groups == nil {
		c.Groups = []netip.Addr{carp.Group4, carp.Group6}
	}
	c.Groups = slices.Clone(c.Groups)
	for i, g := range c.Groups {
		if c.Groups[i] = rawip.Plain(g); !g.IsMulticast() {
			return c, fmt.Errorf("carpnet: %v is not a multicast group", g)
		}
	}
	if c.TOS == 0 {
		c.TOS = DefaultTOS
	}
	if c.Virtual == nil {
		c.Virtual = func(netip.Addr) bool { return false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
