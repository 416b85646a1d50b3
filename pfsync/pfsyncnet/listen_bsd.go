//go:build freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// pollInterval is how often the interface is looked at.
const pollInterval = time.Second

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
		return nil, err
	}
	return newConn(cfg, sock, first, w)
}

// A pollWatch looks at an interface again and again.
type pollWatch struct {
	name string
	last iface
}

func watchLink(name string, _ *slog.Logger) (*pollWatch, iface, error) {
	first := look(name)
	if first.index == 0 {
		return nil, first, fmt.Errorf("pfsyncnet: %s: %w", name, ErrNoInterface)
	}
	return &pollWatch{name, first}, first, nil
}

func (w *pollWatch) close() {}

func (w *pollWatch) run(ctx context.Context, update func(iface)) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := look(w.name); now != w.last {
			update(now)
			w.last = now
		}
	}
}

// look asks for the state of an interface. Its carrier is not known.
func look(name string) iface {
	nic, err := net.InterfaceByName(name)
	switch {
	case err != nil:
		return iface{link: pfsync.LinkDown}
	case nic.Flags&net.FlagUp == 0:
		return iface{index: nic.Index, link: pfsync.LinkDown}
	}
	return iface{index: nic.Index, up: true, link: pfsync.LinkUp}
}

// addresses are those of an interface, in the kernel's order.
func addresses(index int) ([]netip.Addr, error) {
	nic, err := net.InterfaceByIndex(index)
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: %w", err)
	}
	list, err := nic.Addrs()
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: %w", err)
	}
	var addrs []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				addrs = append(addrs, plain(ip))
			}
		}
	}
	return addrs, nil
}
