package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

// place finds the real interface for each carp interface that does not name one:
// that with an address in the network of its first address.
func place(c ifconfig.Config, m machine) (ifconfig.Config, error) {
	var errs []error
	c.Carp = slices.Clone(c.Carp)
	for n := range c.Carp {
		i := &c.Carp[n]
		if i.CarpDev != "" || len(i.Addresses) == 0 {
			continue
		}
		first := i.Addresses[0].Prefix
		if l := m.below(first); l != nil {
			i.CarpDev = l.name
			continue
		}
		errs = append(errs, wrong(i.Interface, ifconfig.Create, "",
			fmt.Sprintf("expected carpdev: no interface has an address of its own in the network of %v", first)))
	}
	return c, errors.Join(append(errs, c.Conflicts())...)
}

// check reports everything about i, which was placed, that this machine cannot do or
// that we do not do.
func (s *settings) check(i ifconfig.CarpInterface, m machine) error {
	var errs []error
	bad := func(op ifconfig.Op, word, format string, args ...any) {
		errs = append(errs, wrong(i.Interface, op, word, fmt.Sprintf(format, args...)))
	}
	if i.Nodes != nil {
		bad(ifconfig.CarpNodes, "carpnodes", "expected vhid: load is not balanced")
	}
	if i.Balancing != "" {
		bad(ifconfig.Balancing, "balancing", "expected none: load is not balanced")
	}
	if l := m.find(i.CarpDev); i.CarpDev != "" {
		switch {
		case l == nil:
			bad(ifconfig.CarpDev, i.CarpDev, "there is no such interface")
		case l.mac == carp.HardwareAddr{}:
			bad(ifconfig.CarpDev, i.CarpDev, "expected an Ethernet interface")
		}
	}
	for _, a := range i.Addresses {
		if l := m.owner(a.Prefix.Addr()); l != nil {
			errs = append(errs, &ifconfig.Error{Pos: ifconfig.Pos{File: a.Pos.File, Line: a.Pos.Line}, Word: a.Prefix.Addr().String(),
				Msg: "this is an address of " + l.name + " itself, and cannot be shared"})
		}
	}
	if runnable(i) {
		g := s.group(i, m, sysctls{})
		if err := g.Validate(); err != nil {
			errs = append(errs, wrong(i.Interface, ifconfig.Create, "", err.Error()))
		}
	}
	return errors.Join(errs...)
}

// checkSync is check for pfsync0.
func (s *settings) checkSync(p *ifconfig.PfsyncInterface, m machine) error {
	var errs []error
	bad := func(op ifconfig.Op, word, msg string) { errs = append(errs, wrong(p.Interface, op, word, msg)) }
	if p.SyncDev != "" && m.find(p.SyncDev) == nil {
		bad(ifconfig.SyncDev, p.SyncDev, "there is no such interface")
	}
	if p.SyncPeer.IsValid() && m.owner(p.SyncPeer) != nil {
		bad(ifconfig.SyncPeer, p.SyncPeer.String(), "expected the address of the other host: this is ours")
	}
	if s.converge && len(s.converges(p)) == 0 {
		bad(ifconfig.SyncPeer, "", "expected syncpeer, or pfsync.peers in "+settingsFile+", for pfsync.converge: nobody else is asked")
	}
	if p.Version != 0 && s.pfsyncDialect == pfsync.OpenBSD {
		bad(ifconfig.Version, "version", `expected it only with dialect = "freebsd" in `+settingsFile)
	}
	return errors.Join(errs...)
}

// runnable reports whether i has all that it takes to take part. A carp interface
// that was created by one command gets the rest by another.
func runnable(i ifconfig.CarpInterface) bool {
	return i.VHID != 0 && i.CarpDev != "" && len(i.Addresses) > 0
}

// wrong is an error about the word that op stands for.
func wrong(i ifconfig.Interface, op ifconfig.Op, word, msg string) error {
	pos, ok := i.At[op]
	if !ok {
		pos = i.At[ifconfig.Create]
	}
	pos.Word = 0
	return &ifconfig.Error{Pos: pos, Word: word, Msg: msg}
}

// group is what a carp.Node is to be told of i, which is runnable.
func (s *settings) group(i ifconfig.CarpInterface, m machine, ctl sysctls) carp.GroupConfig {
	var g carp.GroupConfig
	g.VHID, g.AdvBase, g.AdvSkew = i.VHID, int(i.AdvBase), i.AdvSkew
	if g.AdvBase == 0 {
		g.AdvBase = carp.SubSecond
	}
	g.Dialect, g.Preempt = s.carpDialect, ctl.preempt
	g.Secret, _ = carp.Passphrase(string(i.Pass))
	for _, a := range i.Addresses {
		g.Addresses = append(g.Addresses, a.Prefix)
	}
	g.LLAddr = i.LLAddr
	if l := m.find(i.CarpDev); l != nil && g.LLAddr != (carp.HardwareAddr{}) {
		g.ParentLLAddr = l.mac
	}
	g.LinkSrc = s.linkSrc(i)
	if i.Peer.IsValid() {
		g.Peers = []netip.Addr{i.Peer}
	}
	g.Allow = s.carpAllow
	g.Down = i.Down
	return g
}

// linkSrc is the hardware address that clients use and adverts come from, zero for
// that of the interface itself.
func (s *settings) linkSrc(i ifconfig.CarpInterface) carp.HardwareAddr {
	switch {
	case s.mac == vip.RealMAC:
		return carp.HardwareAddr{}
	case i.LLAddr != carp.HardwareAddr{}:
		return i.LLAddr
	}
	return carp.OpenBSD.VirtualMAC(i.VHID)
}
