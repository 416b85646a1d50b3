package vip

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// aliasPrefix marks the macvlans of this package. Behind it come the interface,
// the hardware address, and what the sysctls were before they were raised.
const aliasPrefix = "gocarp vip "

// locateMacvlan finds our macvlan, or makes it.
func (a *Applier) locateMacvlan() error {
	a.target = rtnl.Link{}
	l, err := a.link(a.cfg.linkName())
	switch {
	case errors.Is(err, ErrNoInterface):
		alias := aliasPrefix + strings.Join(append([]string{a.base.Name, a.cfg.MAC.String()}, a.sysctls.oldValues(a.base.Index)...), " ")
		if l, err = a.nl.AddMacvlan(a.cfg.linkName(), a.base.Index, a.cfg.MAC, alias); err != nil {
			return err
		}
		if err := a.tuneMacvlan(l.Name); err != nil {
			return errors.Join(err, a.nl.DeleteLink(l.Index))
		}
	case err != nil:
		return err
	case !a.ourMacvlan(l):
		return fmt.Errorf("link %s: %w", l.Name, ErrForeign)
	case HardwareAddr(l.MAC) != a.cfg.MAC:
		if err := a.nl.SetMAC(l.Index, a.cfg.MAC); err != nil {
			return err
		}
	}
	a.target = l
	return nil
}

// ourMacvlan reports whether l was made by this package for this interface and
// hardware address.
func (a *Applier) ourMacvlan(l rtnl.Link) bool {
	words := strings.Fields(strings.TrimPrefix(l.Alias, aliasPrefix))
	return l.Kind == "macvlan" && strings.HasPrefix(l.Alias, aliasPrefix) && len(words) >= 2 &&
		words[0] == a.cfg.Interface && words[1] == a.cfg.MAC.String()
}

// tuneMacvlan sets up a new macvlan, before it is up for the first time.
func (a *Applier) tuneMacvlan(name string) error {
	// It must not answer for the addresses of the interface. A strict reverse
	// path check would drop all that comes in, ARP included, because the way back
	// is the interface; 2 is a loose check, and wins over conf.all.
	errs := []error{
		write(a.sysctls.v4, name, "arp_ignore", "1"),
		write(a.sysctls.v4, name, "rp_filter", "2"),
		copyForwarding(a.sysctls.v4, a.base.Name, name),
	}
	if a.sysctls.v6 != nil {
		// Router advertisements would give it addresses made of the shared MAC.
		errs = append(errs,
			write(a.sysctls.v6, name, "accept_ra", "0"),
			write(a.sysctls.v6, name, "autoconf", "0"),
			copyForwarding(a.sysctls.v6, a.base.Name, name))
	}
	return errors.Join(errs...)
}

// sweepMacvlan removes the macvlan of a killed process and restores the sysctls
// that it has raised.
func (a *Applier) sweepMacvlan(base rtnl.Link) error {
	l, err := a.link(a.cfg.linkName())
	switch {
	case errors.Is(err, ErrNoInterface):
		return nil
	case err != nil:
		return err
	case !a.ourMacvlan(l):
		return fmt.Errorf("link %s: %w", l.Name, ErrForeign)
	}
	a.log.Warn("removing a leftover macvlan", "interface", base.Name, "macvlan", l.Name, "alias", l.Alias)
	if err := a.nl.DeleteLink(l.Index); err != nil {
		return err
	}
	words := strings.Fields(strings.TrimPrefix(l.Alias, aliasPrefix))
	return a.sysctls.restoreLeftover(base.Index, base.Name, words[2:])
}
