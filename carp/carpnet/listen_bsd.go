//go:build freebsd || openbsd || netbsd || darwin

package carpnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
)

const rawPrivilege = "root"

// pollInterval is how often the interface is looked at.
const pollInterval = time.Second

// Listen opens the transport of an interface. The error matches
// [ErrNoInterface] or [os.ErrPermission] where that is the reason.
func Listen(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	first := look(cfg.Interface)
	if first.index == 0 {
		return nil, fmt.Errorf("carpnet: %s: %w", cfg.Interface, ErrNoInterface)
	}
	sock, err := openRaw(cfg)
	if err != nil {
		return nil, err
	}
	return newConn(cfg, sock, first, func(ctx context.Context, update func(iface)) {
		poll(ctx, cfg.Interface, first, update)
	})
}

func poll(ctx context.Context, name string, last iface, update func(iface)) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := look(name)
		if now.index != last.index || now.link != last.link || !slices.Equal(now.addrs, last.addrs) {
			update(now)
			last = now
		}
	}
}

// look asks for the state of an interface. Its carrier is not known.
func look(name string) iface {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return iface{link: carp.LinkDown}
	}
	i := iface{index: nic.Index, link: carp.LinkDown}
	if nic.Flags&net.FlagUp != 0 {
		i.link = carp.LinkUnknown
	}
	list, _ := nic.Addrs() // none, if the interface has just gone
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				i.addrs = append(i.addrs, ip.Unmap())
			}
		}
	}
	return i
}
