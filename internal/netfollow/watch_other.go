//go:build !linux

package netfollow

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// pollInterval is how often the interface is looked at.
const pollInterval = time.Second

// A Watcher looks at an interface again and again.
type Watcher struct {
	subject Subject
	last    Interface
}

// Watch takes the first look. The error is [ErrNoInterface].
func Watch(s Subject) (*Watcher, error) {
	first := look(s.Name)
	if first.Index == 0 {
		return nil, ErrNoInterface
	}
	return &Watcher{s, first}, nil
}

// Close does nothing: on other systems there is something to close.
func (w *Watcher) Close() {}

// Interface is what w has seen last.
func (w *Watcher) Interface() Interface { return w.last }

// run reports changes until ctx is done.
func (w *Watcher) run(ctx context.Context, update func(Interface)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, last := look(w.subject.Name), w.last
		if now.Index != last.Index || now.Link != last.Link || !slices.Equal(now.Addrs, last.Addrs) {
			w.last = now
			update(now)
		}
	}
}

// look asks for the state of an interface. Its carrier is not known.
func look(name string) Interface {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return Interface{}
	}
	i := Interface{Index: nic.Index}
	if nic.Flags&net.FlagUp != 0 {
		i.Up, i.Link = true, LinkUnknown
	}
	list, _ := nic.Addrs() // none, if the interface has just gone
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				i.Addrs = append(i.Addrs, ip.Unmap())
			}
		}
	}
	return i
}
