package pfsyncnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/internal/rawip"
	"github.com/gocarp/gocarp/pfsync"
)

// A Config says what [Listen] opens. All but Interface may be left out.
type Config struct {
	// Interface is the name of the sync interface, which has to exist when Listen
	// is called.
	Interface string

	// Peers are the addresses of the other nodes, for unicast. They are of one
	// family. None: packets go to Group.
	Peers []netip.Addr

	// Group is the multicast group to join and to send to if there are no Peers.
	// The zero Addr stands for [pfsync.Group4]; [pfsync.Group6] is the other one
	// that kernels know.
	Group netip.Addr

	// Source is the address to send from. The zero Addr leaves it to the kernel,
	// which takes the interface's first one that suits.
	Source netip.Addr

	// Logger is told when the interface could not be followed. nil discards.
	Logger *slog.Logger
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	if c.Interface == "" {
		return c, errors.New("pfsyncnet: no interface given")
	}
	c.Group, c.Source = rawip.Plain(c.Group), rawip.Plain(c.Source)
	c.Peers = slices.Clone(c.Peers)
	for i, p := range c.Peers {
		if c.Peers[i] = rawip.Plain(p); !unicast(c.Peers[i]) {
			return c, fmt.Errorf("pfsyncnet: peer %v is not a unicast address", p)
		}
		if c.Peers[i].Is4() != c.Peers[0].Is4() {
			return c, fmt.Errorf("pfsyncnet: peers %v and %v are not of the same family", c.Peers[0], c.Peers[i])
		}
	}
	switch {
	case len(c.Peers) > 0 && c.Group.IsValid():
		return c, fmt.Errorf("pfsyncnet: both peers and a group, %v", c.Group)
	case len(c.Peers) == 0 && !c.Group.IsValid():
		c.Group = pfsync.Group4
	case len(c.Peers) == 0 && !c.Group.IsMulticast():
		return c, fmt.Errorf("pfsyncnet: %v is not a multicast group", c.Group)
	}
	if c.Source.IsValid() && (!unicast(c.Source) || c.Source.Is4() != c.v4()) {
		return c, fmt.Errorf("pfsyncnet: cannot send to %v from %v", c.destinations()[0], c.Source)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (c *Config) destinations() []netip.Addr {
	if len(c.Peers) > 0 {
		return c.Peers
	}
	return []netip.Addr{c.Group}
}

// v4 reports whether the destinations are IPv4 addresses.
func (c *Config) v4() bool { return c.destinations()[0].Is4() }

func unicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
