package carpnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/rtnl"
)

const rawPrivilege = "CAP_NET_RAW"

// Listen opens the transport of an interface. The error matches
// [ErrNoInterface] or [os.ErrPermission] where that is the reason.
func Listen(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := newLinkWatch(cfg)
	if err != nil {
		return nil, err
	}
	sock, err := openSockets(cfg, w.iface())
	if err != nil {
		w.close()
		return nil, err
	}
	c, err := newConn(cfg, sock, w.iface(), w.run)
	if err != nil {
		w.close()
		return nil, err
	}
	return c, nil
}

func openSockets(cfg Config, i iface) (sockets, error) {
	if cfg.RawIP {
		return openRaw(cfg)
	}
	return openPacket(cfg, &i)
}

// A linkWatch follows an interface by its name.
type linkWatch struct {
	cfg   Config
	watch *rtnl.Watcher
	query *rtnl.Conn

	link  rtnl.Link // Index 0: none of that name
	addrs []netip.Addr
}

// newLinkWatch starts the watch, then takes the first look: nothing that happens
// from then on is missed.
func newLinkWatch(cfg Config) (*linkWatch, error) {
	watch, err := rtnl.Watch(true)
	if err != nil {
		return nil, fmt.Errorf("carpnet: %w", err)
	}
	query, err := rtnl.Dial()
	if err != nil {
		watch.Close()
		return nil, fmt.Errorf("carpnet: %w", err)
	}
	w := &linkWatch{cfg: cfg, watch: watch, query: query}
	w.link, err = query.LinkByName(cfg.Interface)
	if err == nil {
		w.addrs, err = w.addresses(w.link.Index)
	}
	switch {
	case errors.Is(err, rtnl.ErrNoLink):
		w.close()
		return nil, fmt.Errorf("carpnet: %s: %w", cfg.Interface, ErrNoInterface)
	case err != nil:
		w.close()
		return nil, fmt.Errorf("carpnet: %w", err)
	}
	return w, nil
}

func (w *linkWatch) close() {
	w.watch.Close()
	w.query.Close()
}

// run reports changes until ctx is done, and closes w.
func (w *linkWatch) run(ctx context.Context, update func(iface)) {
	defer w.close()
	err := w.watch.Run(ctx, func(ev rtnl.Event) {
		if w.event(ev) {
			update(w.iface())
		}
	})
	if ctx.Err() == nil {
		w.cfg.Logger.Error("carpnet: the interface is not followed any more", "interface", w.cfg.Interface, "err", err)
	}
}

// event takes in an event and reports whether it was about our interface.
func (w *linkWatch) event(ev rtnl.Event) bool {
	switch ev.Kind {
	case rtnl.Resync:
		w.link, w.addrs = rtnl.Link{}, nil
		for _, l := range ev.Links {
			if l.Name == w.cfg.Interface {
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

func (w *linkWatch) linkSet(l rtnl.Link) bool {
	switch {
	case l.Name == w.cfg.Interface && l.Index != w.link.Index: // made, or renamed to it
		addrs, err := w.addresses(l.Index)
		if err != nil { // gone again, and another event says so
			w.cfg.Logger.Debug("carpnet: reading addresses", "interface", l.Name, "err", err)
		}
		w.link, w.addrs = l, addrs
	case l.Name == w.cfg.Interface:
		w.link = l
	case l.Index == w.link.Index: // renamed away
		w.link, w.addrs = rtnl.Link{}, nil
	default:
		return false
	}
	return true
}

func (w *linkWatch) addresses(index int) ([]netip.Addr, error) {
	list, err := w.query.Addrs(index)
	addrs := make([]netip.Addr, len(list))
	for i, a := range list {
		addrs[i] = a.Prefix.Addr()
	}
	return addrs, err
}

// iface is what w knows, as a Conn wants it. The kernel says "running" of a
// driver that cannot tell whether there is a carrier, too.
func (w *linkWatch) iface() iface {
	i := iface{index: w.link.Index, mac: w.link.MAC, addrs: w.addrs, link: carp.LinkDown}
	if w.link.AdminUp && w.link.Running {
		i.link = carp.LinkUp
	}
	return i
}
