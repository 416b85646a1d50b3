package ifconfig

import (
	"slices"
	"strings"
)

// A Delta is what is different about an interface in another [Config].
type Delta struct {
	Name    string
	Added   bool
	Removed bool
	Words   []Op // what changed, neither added nor removed: MTU, JoinGroup, SetAddress, ...
}

// String is d for a plan or a log, as in "carp1: advskew, pass".
func (d Delta) String() string {
	switch {
	case d.Added:
		return d.Name + ": added"
	case d.Removed:
		return d.Name + ": removed"
	}
	words := make([]string, len(d.Words))
	for i, w := range d.Words {
		words[i] = string(w)
	}
	return d.Name + ": " + strings.Join(words, ", ")
}

// Has reports whether one of words changed.
func (d Delta) Has(words ...Op) bool {
	return slices.ContainsFunc(words, func(w Op) bool { return slices.Contains(d.Words, w) })
}

// Diff is what has to be done to get from one configuration to another: first
// the carp interfaces to remove, so that others can have what was theirs, then
// those that change, then those to add, then pfsync0. Interfaces that stay as they
// are, wherever their words may now stand in a file, are not in it.
func Diff(from, to Config) []Delta {
	var removed, changed, added []Delta
	for _, a := range from.Carp {
		b, ok := to.Find(a.Name)
		if !ok {
			removed = append(removed, Delta{Name: a.Name, Removed: true})
		} else if words := a.diff(b); words != nil {
			changed = append(changed, Delta{Name: a.Name, Words: words})
		}
	}
	for _, b := range to.Carp {
		if _, ok := from.Find(b.Name); !ok {
			added = append(added, Delta{Name: b.Name, Added: true})
		}
	}
	return slices.Concat(removed, changed, added, diffPfsync(from.Pfsync, to.Pfsync))
}

func diffPfsync(a, b *PfsyncInterface) []Delta {
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil:
		return []Delta{{Name: b.Name, Added: true}}
	case b == nil:
		return []Delta{{Name: a.Name, Removed: true}}
	}
	if words := a.diff(b); words != nil {
		return []Delta{{Name: a.Name, Words: words}}
	}
	return nil
}

// opList collects the words of a difference.
type opList []Op

func (l *opList) add(differs bool, op Op) {
	if differs {
		*l = append(*l, op)
	}
}

func (i Interface) diff(j Interface, l *opList) {
	l.add(i.MTU != j.MTU, MTU)
	l.add(i.Description != j.Description, Description)
	l.add(!sameSet(i.Groups, j.Groups, func(a, b string) bool { return a == b }), JoinGroup)
}

func (i CarpInterface) diff(j CarpInterface) []Op {
	var l opList
	l.add(i.VHID != j.VHID, VHID)
	l.add(!slices.Equal(i.Nodes, j.Nodes), CarpNodes)
	l.add(i.Balancing != j.Balancing, Balancing)
	l.add(i.CarpDev != j.CarpDev, CarpDev)
	l.add(i.AdvBase != j.AdvBase, AdvBase)
	l.add(i.AdvSkew != j.AdvSkew, AdvSkew)
	l.add(i.Pass != j.Pass, Pass)
	l.add(i.Peer != j.Peer, CarpPeer)
	l.add(i.LLAddr != j.LLAddr, LLAddr)
	l.add(!sameSet(i.Addresses, j.Addresses, Address.same), SetAddress)
	l.add(i.Down && !j.Down, Up)
	l.add(!i.Down && j.Down, Down)
	i.Interface.diff(j.Interface, &l)
	return l
}

func (i *PfsyncInterface) diff(j *PfsyncInterface) []Op {
	var l opList
	l.add(i.SyncDev != j.SyncDev, SyncDev)
	l.add(i.SyncPeer != j.SyncPeer, SyncPeer)
	l.add(i.MaxUpd != j.MaxUpd, MaxUpd)
	l.add(!i.Defer && j.Defer, Defer)
	l.add(i.Defer && !j.Defer, NoDefer)
	l.add(i.Version != j.Version, Version)
	l.add(!i.Up && j.Up, Up)
	l.add(i.Up && !j.Up, Down)
	i.Interface.diff(j.Interface, &l)
	return l
}

// sameSet reports whether a and b hold the same, each once, in whatever order.
func sameSet[T any](a, b []T, same func(T, T) bool) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x T) bool {
		return !slices.ContainsFunc(b, func(y T) bool { return same(x, y) })
	})
}
