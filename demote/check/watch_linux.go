package check

import (
	"context"
	"fmt"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// Watch is a feed for [Link]: whether the network interface of that name is up
// and has a carrier, now and at each change. An interface that does not exist is
// down. It ends with ctx, or with the error of done, when the feed is closed.
func Watch(ctx context.Context, name string) (up <-chan bool, done <-chan error, err error) {
	w, err := rtnl.Watch(false)
	if err != nil {
		return nil, nil, fmt.Errorf("check: watch %s: %w", name, err)
	}
	states, ended := make(chan bool), make(chan error, 1)
	go func() {
		defer close(states)
		defer w.Close()
		ended <- w.Run(ctx, func(ev rtnl.Event) {
			state, ours := linkState(ev, name)
			if !ours {
				return
			}
			select {
			case states <- state:
			case <-ctx.Done():
			}
		})
	}()
	return states, ended, nil
}

// linkState is what ev says of the interface, if it says anything.
func linkState(ev rtnl.Event, name string) (up, ours bool) {
	switch ev.Kind {
	case rtnl.Resync:
		for _, l := range ev.Links {
			if l.Name == name {
				return l.AdminUp && l.Running, true
			}
		}
		return false, true
	case rtnl.LinkSet:
		return ev.Link.AdminUp && ev.Link.Running, ev.Link.Name == name
	case rtnl.LinkGone:
		return false, ev.Link.Name == name
	}
	return false, false
}
