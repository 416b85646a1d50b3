//go:build !linux

package check

import (
	"context"
	"net"
	"time"
)

// watchInterval is how often an interface is looked at.
const watchInterval = time.Second

// Watch is a feed for [Link]: whether the network interface of that name is up
// and running, now and each second. An interface that does not exist is down. It
// ends with ctx, when the feed is closed.
func Watch(ctx context.Context, name string) (up <-chan bool, done <-chan error, err error) {
	states, ended := make(chan bool), make(chan error, 1)
	go func() {
		defer close(states)
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		for {
			const want = net.FlagUp | net.FlagRunning
			ifi, err := net.InterfaceByName(name)
			select {
			case states <- err == nil && ifi.Flags&want == want:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	return states, ended, nil
}
