package netfollow

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// A Watcher watches an interface by its name.
type Watcher struct {
	subject Subject
	watch   *rtnl.Watcher
	query   *rtnl.Conn // of the namespace of the beginning

	link  rtnl.Link // Index 0: none of that name
	addrs []netip.Addr
}

// Watch starts the watch, in the namespace of the caller, then takes the first look:
// nothing that happens from then on is missed. The error is [ErrNoInterface] or the
// kernel's.
func Watch(s Subject) (*Watcher, error) {
	watch, err := rtnl.Watch(true)
	if err != nil {
		return nil, err
	}
	query, err := rtnl.Dial()
	if err != nil {
		watch.Close()
		return nil, err
	}
	w := &Watcher{subject: s, watch: watch, query: query}
	if w.link, err = query.LinkByName(s.Name); err == nil {
		w.addrs, err = w.addresses(w.link.Index)
	}
	if err != nil {
		w.Close()
		if errors.Is(err, rtnl.ErrNoLink) {
			err = ErrNoInterface
		}
		return nil, err
	}
	return w, nil
}

// Close is for a Watcher that no [Follower] has.
func (w *Watcher) Close() {
	w.watch.Close()
	w.query.Close()
}

// Interface is what w knows. The kernel says "running" of a driver that cannot tell
// whether there is a carrier, too.
func (w *Watcher) Interface() Interface {
	i := Interface{Index: w.link.Index, Up: w.link.AdminUp, MAC: w.link.MAC, Addrs: w.addrs}
	if w.link.AdminUp && w.link.Running {
		i.Link = LinkUp
	}
	return i
}

// run reports changes until ctx is done.
func (w *Watcher) run(ctx context.Context, update func(Interface)) error {
	return w.watch.Run(ctx, func(ev rtnl.Event) {
		if w.event(ev) {
			update(w.Interface())
		}
	})
}

// event takes in an event and reports whether it was about our interface.
func (w *Watcher) event(ev rtnl.Event) bool {
	switch ev.Kind {
	case rtnl.Resync:
		w.link, w.addrs = rtnl.Link{}, nil
		for _, l := range ev.Links {
			if l.Name == w.subject.Name {
				w.link = l
			}
		}
		for _, a := range ev.Addrs {
			if a.Index == w.link.Index {
				w.addrs = append(w.addrs, a.Prefix.Addr())
			}
		}
		return true
	case rtnl.LinkSet:
		return w.linkSet(ev.Link)
	case rtnl.LinkGone:
		if ev.Link.Index != w.link.Index {
			return false
		}
		w.link, w.addrs = rtnl.Link{}, nil
		return true
	case rtnl.AddrSet:
		a := ev.Addr.Prefix.Addr()
		if ev.Addr.Index != w.link.Index || slices.Contains(w.addrs, a) {
			return false // a lifetime was extended, for one
		}
		w.addrs = append(slices.Clip(w.addrs), a) // what was published stays as it is
		return true
	case rtnl.AddrGone:
		i := slices.Index(w.addrs, ev.Addr.Prefix.Addr())
		if ev.Addr.Index != w.link.Index || i < 0 {
			return false
		}
		w.addrs = slices.Concat(w.addrs[:i], w.addrs[i+1:])
		return true
	}
	return false
}

func (w *Watcher) linkSet(l rtnl.Link) bool {
	switch {
	case l.Name == w.subject.Name && l.Index != w.link.Index: // made, or renamed to it
		addrs, err := w.addresses(l.Index)
		if err != nil { // gone again, and another event says so
			w.subject.Log.Debug(w.subject.Prefix+": reading addresses", "interface", l.Name, "err", err)
		}
		w.link, w.addrs = l, addrs
	case l.Name == w.subject.Name:
		w.link = l
	case l.Index == w.link.Index: // renamed away
		w.link, w.addrs = rtnl.Link{}, nil
	default:
		return false
	}
	return true
}

func (w *Watcher) addresses(index int) ([]netip.Addr, error) {
	list, err := w.query.Addrs(index)
	addrs := make([]netip.Addr, len(list))
	for i, a := range list {
		addrs[i] = a.Prefix.Addr()
	}
	return addrs, err
}
