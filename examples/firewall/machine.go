package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A link is a real interface of this machine.
type link struct {
	name    string
	index   int
	mtu     int
	mac     carp.HardwareAddr // zero: no Ethernet
	up      bool              // set up
	running bool              // and there is a carrier
	addrs   []linkAddr
}

// A linkAddr is an address of a link.
type linkAddr struct {
	netip.Prefix
	ours bool // put there by us as a shared address, now or before we were killed
}

// A machine is all its links at one moment.
type machine []link

// find is the link called name, nil if there is none.
func (m machine) find(name string) *link {
	if i := slices.IndexFunc(m, func(l link) bool { return l.name == name }); i >= 0 {
		return &m[i]
	}
	return nil
}

// below is the link with an own address in the network of p, which is what a carp
// interface without carpdev lies above.
func (m machine) below(p netip.Prefix) *link {
	i := slices.IndexFunc(m, func(l link) bool {
		return slices.ContainsFunc(l.addrs, func(a linkAddr) bool {
			return !a.ours && !a.IsSingleIP() && a.Contains(p.Addr())
		})
	})
	if i < 0 {
		return nil
	}
	return &m[i]
}

// owner is the link that has an address without our doing, nil if there is none.
func (m machine) owner(addr netip.Addr) *link {
	i := slices.IndexFunc(m, func(l link) bool {
		return slices.ContainsFunc(l.addrs, func(a linkAddr) bool { return !a.ours && a.Addr() == addr })
	})
	if i < 0 {
		return nil
	}
	return &m[i]
}

// configureLink is ifconfig for a real interface: its own addresses, up and down. It
// adds to what the system has set up, and takes nothing away that it was not told to.
func configureLink(name string, changes []ifconfig.Change) error {
	m, err := readMachine()
	if err != nil {
		return err
	}
	l := m.find(name)
	if l == nil {
		return &ifconfig.Error{Pos: ifconfig.Pos{File: "ifconfig"}, Word: name, Msg: "there is no such interface"}
	}
	for _, c := range changes {
		if err := l.allows(c); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := l.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// allows reports why c is none of our business, if it is not.
func (l *link) allows(c ifconfig.Change) error {
	switch c.Op {
	case ifconfig.Up, ifconfig.Down, ifconfig.AddAddress:
		return nil
	case ifconfig.SetAddress:
		for _, a := range l.addrs {
			if new := c.Address.Prefix; new.Addr().Is4() && a.Addr().Is4() && !a.ours && a.Prefix != new {
				return &ifconfig.Error{Pos: c.Pos, Word: new.Addr().String(),
					Msg: l.name + " has " + a.String() + " already: say alias to keep both, or delete that one first"}
			}
		}
		return nil
	case ifconfig.DeleteAddress:
		if c.Addr.IsValid() && slices.ContainsFunc(l.addrs, func(a linkAddr) bool { return !a.ours && a.Addr() == c.Addr }) {
			return nil
		}
		return &ifconfig.Error{Pos: c.Pos, Word: string(c.Op), Msg: "expected an own address of " + l.name + " before it"}
	}
	return &ifconfig.Error{Pos: c.Pos, Word: string(c.Op), Msg: "expected only addresses, up and down for a real interface: use the tools of this system"}
}

// String is what "ifconfig em0" shows.
func (l *link) String() string {
	flags, status := "8802<BROADCAST,SIMPLEX,MULTICAST>", "no carrier"
	if l.up {
		flags = "8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST>"
	}
	if l.running {
		status = "active"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: flags=%s mtu %d\n\tlladdr %v\n\tindex %d priority 0 llprio 3\n\tstatus: %s\n",
		l.name, flags, l.mtu, l.mac, l.index, status)
	for _, a := range l.addrs {
		fmt.Fprintf(&b, "\t%v\n", ifconfig.Address{Prefix: a.Prefix})
	}
	return b.String()
}
