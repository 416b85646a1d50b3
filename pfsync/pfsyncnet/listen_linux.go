package pfsyncnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/gocarp/gocarp/internal/rtnl"
	"github.com/gocarp/gocarp/pfsync"
)

// Listen opens the transport of an interface. The error matches
// [ErrNoInterface] or [os.ErrPermission] where that is the reason.
func Listen(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, first, err := watchLink(cfg.Interface, cfg.Logger)
	if err != nil {
		return nil, err
	}
	sock, err := openRaw(cfg)
	if err != nil {
		w.close()
		return nil, err
	}
	c, err := newConn(cfg, sock, first, w)
	if err != nil {
		w.close()
		return nil, err
	}
	return c, nil
}

// A linkWatch watches an interface by its name.
type linkWatch struct {
	name  string
	log   *slog.Logger
	watch *rtnl.Watcher
	link  rtnl.Link // Index 0: none of that name
}

// watchLink starts the watch, then takes the first look: nothing that happens from
// then on is missed.
func watchLink(name string, log *slog.Logger) (*linkWatch, iface, error) {
	watch, err := rtnl.Watch(false)
	if err != nil {
		return nil, iface{}, fmt.Errorf("pfsyncnet: %w", err)
	}
	w := &linkWatch{name: name, log: log, watch: watch}
	query, err := rtnl.Dial()
	if err == nil {
		w.link, err = query.LinkByName(name)
		query.Close()
	}
	switch {
	case errors.Is(err, rtnl.ErrNoLink):
		w.close()
		return nil, iface{}, fmt.Errorf("pfsyncnet: %s: %w", name, ErrNoInterface)
	case err != nil:
		w.close()
		return nil, iface{}, fmt.Errorf("pfsyncnet: %w", err)
	}
	return w, w.iface(), nil
}

func (w *linkWatch) close() { w.watch.Close() }

func (w *linkWatch) run(ctx context.Context, update func(iface)) {
	defer w.close()
	err := w.watch.Run(ctx, func(ev rtnl.Event) {
		if w.event(ev) {
			update(w.iface())
		}
	})
	if ctx.Err() == nil {
		w.log.Error("pfsyncnet: the interface is not followed any more", "interface", w.name, "err", err)
	}
}

// event takes in an event and reports whether it was about our interface.
func (w *linkWatch) event(ev rtnl.Event) bool {
	switch {
	case ev.Kind == rtnl.Resync:
		w.link = rtnl.Link{}
		for _, l := range ev.Links {
			if l.Name == w.name {
				w.link = l
			}
		}
	case ev.Kind == rtnl.LinkSet && ev.Link.Name == w.name:
		w.link = ev.Link
	case ev.Kind == rtnl.LinkSet && ev.Link.Index == w.link.Index, // renamed away
		ev.Kind == rtnl.LinkGone && ev.Link.Index == w.link.Index:
		w.link = rtnl.Link{}
	default:
		return false
	}
	return true
}

// iface is what w knows. The kernel says "running" of a driver that cannot tell
// whether there is a carrier, too.
func (w *linkWatch) iface() iface {
	i := iface{index: w.link.Index, up: w.link.AdminUp, link: pfsync.LinkDown}
	if w.link.AdminUp && w.link.Running {
		i.link = pfsync.LinkUp
	}
	return i
}

// addresses are those of an interface, in the kernel's order.
func addresses(index int) ([]netip.Addr, error) {
	query, err := rtnl.Dial()
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: %w", err)
	}
	defer query.Close()
	list, err := query.Addrs(index)
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: %w", err)
	}
	addrs := make([]netip.Addr, len(list))
	for i, a := range list {
		addrs[i] = a.Prefix.Addr()
	}
	return addrs, nil
}
