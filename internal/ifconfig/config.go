package ifconfig

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
)

// A Config is what a set of files and commands asks for. The zero Config asks for
// nothing. It is a value: [Config.With] makes another one, and what a Config
// holds is not to be changed.
type Config struct {
	Carp   []CarpInterface  // by their number
	Pfsync *PfsyncInterface // nil: none
}

// An Interface is what carp and pfsync interfaces have in common.
type Interface struct {
	Name        string
	Groups      []string // in the order they were joined; see demote.Groups
	Description string
	MTU         int // 0: not given

	// At says where the last word of each kind was. At[Create] is always there,
	// if only with the file or command that asked for the interface first.
	At map[Op]Pos
}

// A CarpInterface is what is asked for of a carp interface. It takes part in its
// group as soon as it has a vhid and an address, unless it is down.
type CarpInterface struct {
	Interface
	VHID    uint8  // 0: not given
	CarpDev string // empty: not given; that of the network the first address is in
	AdvBase uint8  // seconds, 1 unless given; 0 is 0
	AdvSkew uint8  // 1/256 s
	Pass    Password
	Peer    netip.Addr        // carppeer; invalid: the group 224.0.0.18
	LLAddr  carp.HardwareAddr // zero: the virtual MAC

	Addresses []Address // each address once
	Down      bool      // taken down by hand

	// Nodes are all virtual hosts of a load balancing group, nil if there is
	// only one; VHID and AdvSkew are the first. Balancing is ip, ip-stealth or
	// ip-unicast, and empty for none. It is up to the program to refuse them.
	Nodes     []Node
	Balancing string
}

// A PfsyncInterface is what is asked for of pfsync0.
type PfsyncInterface struct {
	Interface
	SyncDev  string     // empty: nothing is sent or received
	SyncPeer netip.Addr // invalid: the group 224.0.0.240
	MaxUpd   uint8      // 128 unless given
	Defer    bool
	Version  int // 1301, 1400, 1500; 0: the newest
	Up       bool
}

// newCarp is a carp interface as "create" makes it.
func newCarp(i Interface) CarpInterface {
	i.Groups = []string{demote.Carp}
	return CarpInterface{Interface: i, AdvBase: 1}
}

// newPfsync is pfsync0 as "create" makes it: in group carp, too, which is how a
// bulk update demotes the carp interfaces.
func newPfsync(i Interface) PfsyncInterface {
	i.Groups = []string{demote.Carp, "pfsync"}
	return PfsyncInterface{Interface: i, MaxUpd: 128}
}

// Find is the carp interface called name.
func (c Config) Find(name string) (CarpInterface, bool) {
	if i := c.index(name); i >= 0 {
		return c.Carp[i], true
	}
	return CarpInterface{}, false
}

func (c Config) index(name string) int {
	return slices.IndexFunc(c.Carp, func(i CarpInterface) bool { return i.Name == name })
}

// With is c with the changes that are asked for of a carp interface or of
// pfsync0. Changes of a file, none among them, make the interface if it is not
// there; those of a command make pfsync0, and a carp interface only if they say
// create or vhid. c stays as it is. The error is an [*Error] about the
// first change that does not fit; whether they add up says [Config.Validate].
//
// A State asks for something now and a Shell for something else: both are left
// to the caller. A PassFile is refused: the caller reads it and makes it a Pass.
func (c Config) With(ifname string, changes []Change) (Config, error) {
	switch KindOf(ifname) {
	case KindCarp:
		return c.withCarp(ifname, changes)
	case KindPfsync:
		return c.withPfsync(ifname, changes)
	}
	return c, &Error{firstPos(ifname, changes), "", ifname + " is neither a carp interface nor pfsync0"}
}

func (c Config) withCarp(ifname string, changes []Change) (Config, error) {
	at := c.index(ifname)
	exists := at >= 0
	if err := checkExistence(ifname, exists, changes); err != nil {
		return c, err
	}
	if !exists && !makes(changes) {
		return c, &Error{changes[0].Pos, "", "there is no " + ifname}
	}
	if destroys(changes) {
		c.Carp = slices.Delete(slices.Clone(c.Carp), at, at+1)
		return c, nil
	}
	var i CarpInterface
	if exists {
		i = c.Carp[at]
	} else {
		i = newCarp(Interface{Name: ifname})
	}
	i.own(firstPos(ifname, changes))
	i.Addresses = slices.Clone(i.Addresses)
	for _, ch := range changes {
		if err := i.apply(ch); err != nil {
			return c, err
		}
	}
	if exists {
		c.Carp = slices.Clone(c.Carp)
		c.Carp[at] = i
	} else {
		c.Carp = append(slices.Clip(c.Carp), i)
		slices.SortFunc(c.Carp, func(a, b CarpInterface) int {
			return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
		})
	}
	return c, nil
}

func (c Config) withPfsync(ifname string, changes []Change) (Config, error) {
	if err := checkUnit(firstPos(ifname, changes).File, ifname); err != nil {
		return c, err
	}
	if err := checkExistence(ifname, c.Pfsync != nil, changes); err != nil {
		return c, err
	}
	if destroys(changes) {
		c.Pfsync = nil
		return c, nil
	}
	var i PfsyncInterface
	if c.Pfsync != nil {
		i = *c.Pfsync
	} else {
		i = newPfsync(Interface{Name: ifname})
	}
	i.own(firstPos(ifname, changes))
	for _, ch := range changes {
		if err := i.apply(ch); err != nil {
			return c, err
		}
	}
	c.Pfsync = &i
	return c, nil
}

// own makes copies of what i shares with others, and notes where it came from.
func (i *Interface) own(pos Pos) {
	i.Groups, i.At = slices.Clone(i.Groups), maps.Clone(i.At)
	if i.At == nil {
		i.At = map[Op]Pos{Create: pos}
	}
}

// checkExistence refuses to make an interface twice, and to destroy none.
func checkExistence(ifname string, exists bool, changes []Change) error {
	for _, ch := range changes {
		switch {
		case ch.Op == Create && exists:
			return &Error{ch.Pos, "create", ifname + " exists already"}
		case ch.Op == Destroy && !exists:
			return &Error{ch.Pos, "destroy", "there is no " + ifname}
		}
	}
	return nil
}

// makes reports whether changes make a carp interface that is not there: if they
// give it a vhid, or come from its file. OpenBSD makes one of any word, so that
// "ifconfig carp11 down" succeeds, and nothing happens to carp1, which was meant.
func makes(changes []Change) bool {
	return len(changes) == 0 || changes[0].Pos.Line > 0 || slices.ContainsFunc(changes, func(c Change) bool {
		return c.Op == Create || c.Op == VHID || c.Op == CarpNodes
	})
}

func destroys(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Op == Destroy })
}

// firstPos is the file or command that changes come from.
func firstPos(ifname string, changes []Change) Pos {
	if len(changes) == 0 {
		return Pos{File: "hostname." + ifname}
	}
	return Pos{File: changes[0].Pos.File}
}

// misfit is the error of a change that i has no use for.
func (i *Interface) misfit(ch Change) error {
	return &Error{ch.Pos, string(ch.Op), fmt.Sprintf("%s has no such thing", i.Name)}
}
