package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/vip"
)

// errStopped is the answer to whoever wants a change at the end.
var errStopped = errors.New("the program ends")

// change makes what runs what to asks for, and returns what was different: virtual
// hosts that stay as they are do not notice. Nothing is changed if this machine
// cannot do what is asked for. If it fails later on, for one interface, the others
// are changed all the same. Interfaces that failed before are tried again if they
// are among retry. The caller holds changing.
func (h *host) change(to ifconfig.Config, retry ...string) ([]ifconfig.Delta, error) {
	if h.stopped {
		return nil, errStopped
	}
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	if to, err = place(to, m); err != nil {
		return nil, err
	}
	n := h.view()
	deltas := ifconfig.Diff(n.config, to)
	for _, name := range retry {
		_, isCarp := to.Find(name)
		wanted := isCarp || to.Pfsync != nil && to.Pfsync.Name == name
		if wanted && n.broken[name] != nil && !slices.ContainsFunc(deltas, func(d ifconfig.Delta) bool { return d.Name == name }) {
			deltas = append(deltas, ifconfig.Delta{Name: name, Words: []ifconfig.Op{ifconfig.Create}})
		}
	}
	var errs []error
	for _, d := range deltas {
		if i, ok := to.Find(d.Name); ok {
			errs = append(errs, h.settings.check(i, m), h.hears(i))
		} else if !d.Removed {
			errs = append(errs, h.settings.checkSync(to.Pfsync, m))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	h.setVirtual(n.config, to)
	defer h.setVirtual(to)
	c := changer{h, to, m}
	// What leaves makes room before anything comes: a vhid may change hands.
	for _, d := range deltas {
		if v := n.vhosts[d.Name]; v != nil && c.ends(d) {
			errs = append(errs, c.failed(d.Name, h.closeVhost(v)))
		}
	}
	for _, d := range deltas {
		errs = append(errs, c.failed(d.Name, c.apply(d)))
	}
	return deltas, errors.Join(errs...)
}

// changeTo is change for whoever does not hold changing, at the start.
func (h *host) changeTo(to ifconfig.Config) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	_, err := h.change(to)
	return err
}

// hears reports why i cannot hear its peers on the device that runs already.
func (h *host) hears(i ifconfig.CarpInterface) error {
	if d := h.view().devices[i.CarpDev]; d != nil {
		return d.hears(i)
	}
	return nil
}

// A changer changes a host to a configuration that was found to be good.
type changer struct {
	h  *host
	to ifconfig.Config
	m  machine
}

// failed notes what became of an interface.
func (c changer) failed(name string, err error) error {
	if err == nil {
		return nil
	}
	c.h.set(func(n *running) { n.broken[name] = err })
	c.h.journal.add("note", fmt.Sprintf("%s: %v", name, err))
	return fmt.Errorf("%s: %w", name, err)
}

// ends reports whether d ends a virtual host, if only for another one to follow.
func (c changer) ends(d ifconfig.Delta) bool {
	i, ok := c.to.Find(d.Name)
	return !ok || !runnable(i) || d.Has(ifconfig.VHID, ifconfig.CarpDev) ||
		c.h.settings.mac != vip.RealMAC && d.Has(ifconfig.LLAddr)
}

// apply makes one interface what it is to be.
func (c changer) apply(d ifconfig.Delta) error {
	c.h.set(func(n *running) { delete(n.broken, d.Name) })
	if ifconfig.KindOf(d.Name) == ifconfig.KindPfsync {
		return c.applySync(d)
	}
	if d.Removed {
		c.leave(d.Name)
		c.h.set(func(n *running) {
			n.config.Carp = slices.DeleteFunc(slices.Clone(n.config.Carp), func(i ifconfig.CarpInterface) bool { return i.Name == d.Name })
		})
		return nil
	}
	i, _ := c.to.Find(d.Name)
	if err := c.join(i.Interface); err != nil {
		return err
	}
	n := c.h.view()
	v := n.vhosts[i.Name]
	if v != nil { // if that fails, it is what it was
		if err := v.update(c.h.settings.group(i, c.m, n.sysctls)); err != nil {
			return err
		}
	}
	c.h.set(func(n *running) { n.config = replace(n.config, i) })
	switch {
	case v != nil && d.Has(ifconfig.Up):
		return v.dev.node.Up(v.vhid)
	case v != nil && d.Has(ifconfig.Down):
		return v.dev.node.Down(v.vhid)
	case v == nil && runnable(i):
		return c.h.openVhost(i, c.to, c.m)
	}
	return nil
}

// replace is config with i in its place, by the numbers of the interfaces.
func replace(config ifconfig.Config, i ifconfig.CarpInterface) ifconfig.Config {
	config.Carp = slices.DeleteFunc(slices.Clone(config.Carp), func(o ifconfig.CarpInterface) bool { return o.Name == i.Name })
	config.Carp = append(config.Carp, i)
	slices.SortFunc(config.Carp, func(a, b ifconfig.CarpInterface) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return config
}

// applySync makes pfsync0 what it is to be. A node's way to speak cannot be changed:
// there is another one with the same table, which asks the peers for theirs again.
func (c changer) applySync(d ifconfig.Delta) error {
	h, p := c.h, c.to.Pfsync
	other := d.Added || d.Removed || d.Has(ifconfig.Create, ifconfig.SyncDev, ifconfig.SyncPeer, ifconfig.MaxUpd, ifconfig.Defer,
		ifconfig.NoDefer, ifconfig.Version, ifconfig.MTU, ifconfig.Up, ifconfig.Down)
	var errs []error
	if y := h.view().sync; y != nil && other {
		h.set(func(n *running) { n.sync = nil })
		errs = append(errs, y.close())
	}
	if d.Removed {
		c.leave(d.Name)
	} else {
		errs = append(errs, c.join(p.Interface))
	}
	h.set(func(n *running) { n.config.Pfsync = p })
	if n := h.view(); n.sync == nil && syncs(p) {
		y, err := h.openSync(p, c.m, n.members[p.Name])
		h.set(func(n *running) { n.sync = y })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// join makes an interface a member of its groups, and of no others.
func (c changer) join(i ifconfig.Interface) error {
	m := c.h.view().members[i.Name]
	if m == nil {
		m, err := c.h.groups.Join(i.Name, i.Groups...)
		if err != nil {
			return err
		}
		c.h.set(func(n *running) { n.members[i.Name] = m })
		return nil
	}
	var errs []error
	old := m.Groups()[1:] // all but "all"
	for _, g := range i.Groups {
		if !slices.Contains(old, g) {
			errs = append(errs, m.Join(g))
		}
	}
	for _, g := range old {
		if !slices.Contains(i.Groups, g) {
			errs = append(errs, m.Leave(g))
		}
	}
	return errors.Join(errs...)
}

// leave takes an interface out of all groups.
func (c changer) leave(name string) {
	n := c.h.view()
	if m := n.members[name]; m != nil {
		m.Close()
		c.h.set(func(n *running) { delete(n.members, name) })
	}
}
