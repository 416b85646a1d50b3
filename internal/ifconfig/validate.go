package ifconfig

import (
	"errors"
	"fmt"
	"net/netip"
)

// Validate reports everything that keeps c from working: its [Config.Conflicts]
// and what is missing. The error joins an [*Error] for each.
func (c Config) Validate() error {
	var errs []error
	for _, i := range c.Carp {
		if i.VHID == 0 {
			errs = append(errs, i.fail(Create, `expected "vhid N", a number from 1 to 255`))
		}
		if len(i.Addresses) == 0 {
			errs = append(errs, i.fail(Create, "expected an address to share"))
		}
	}
	if p := c.Pfsync; p != nil && p.Up && p.SyncDev == "" {
		errs = append(errs, p.fail(Up, `expected "syncdev IF" with it`))
	}
	return errors.Join(append(errs, c.Conflicts())...)
}

// Conflicts reports what no further command can make good but one that takes
// something back: two interfaces with the same address, or with the same vhid on
// the same parent, and parents that are none. Where the parents of both are yet
// to be found, their vhids are not compared. The error joins an [*Error] for each.
func (c Config) Conflicts() error {
	type host struct {
		dev  string
		vhid uint8
	}
	hosts, addrs := make(map[host]string), make(map[netip.Addr]string) // the interface that has it
	var errs []error
	for _, i := range c.Carp {
		if KindOf(i.CarpDev) != KindOther {
			errs = append(errs, i.fail(CarpDev, i.CarpDev+" is no real interface"))
		}
		for _, n := range i.hosts() {
			h := host{i.CarpDev, n.VHID}
			other, taken := hosts[h]
			switch {
			case n.VHID == 0 || i.CarpDev == "":
			case taken:
				errs = append(errs, i.fail(VHID, fmt.Sprintf("vhid %d on %s is that of %s", n.VHID, i.CarpDev, other)))
			default:
				hosts[h] = i.Name
			}
		}
		for _, a := range i.Addresses {
			addr := a.Prefix.Addr()
			if other, taken := addrs[addr]; taken {
				errs = append(errs, &Error{i.where(a.Pos), addr.String(), "this address is that of " + other})
				continue
			}
			addrs[addr] = i.Name
		}
	}
	if p := c.Pfsync; p != nil && KindOf(p.SyncDev) != KindOther {
		errs = append(errs, p.fail(SyncDev, p.SyncDev+" is no real interface"))
	}
	return errors.Join(errs...)
}

// hosts are the virtual hosts of i: several if it balances load.
func (i CarpInterface) hosts() []Node {
	if i.Nodes != nil {
		return i.Nodes
	}
	return []Node{{i.VHID, i.AdvSkew}}
}

// fail is an error about the word that op stands for.
func (i Interface) fail(op Op, msg string) error {
	return &Error{i.where(i.At[op]), "", msg}
}

// where is the line of pos, or the interface if it has no position.
func (i Interface) where(pos Pos) Pos {
	if pos.File == "" {
		pos.File = "ifconfig: " + i.Name
	}
	pos.Word = 0
	return pos
}
