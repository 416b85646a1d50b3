package pfsyncnet

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"

	"github.com/gocarp/gocarp/pfsync"
)

// ErrNoInterface says that the interface does not exist, or not any more.
var ErrNoInterface = errors.New("no such network interface")

// An iface is what is known of the interface at one moment.
type iface struct {
	index int  // 0: there is none of that name
	up    bool // set up by somebody, be there a carrier or not
	link  pfsync.Link
}

// A watch looks at an interface. run reports changes until ctx is done and then
// closes it; close is for one that never ran.
type watch interface {
	run(ctx context.Context, update func(iface))
	close()
}

// A follower knows the interface of now.
type follower struct {
	name   string
	log    *slog.Logger
	attach func(index int) error // called when there is another interface of that name

	index atomic.Int64 // 0: none, or it cannot be attached to
	up    atomic.Bool
	link  pfsync.Link // the watching goroutine's
	links chan pfsync.Link
	stop  func()
}

// follow attaches to the first interface and starts to watch.
func follow(name string, log *slog.Logger, first iface, w watch, attach func(index int) error) (*follower, error) {
	if err := attach(first.index); err != nil {
		return nil, err
	}
	f := &follower{name: name, log: log, attach: attach, link: first.link, links: make(chan pfsync.Link, 1)}
	f.index.Store(int64(first.index))
	f.up.Store(first.up)
	f.links <- first.link

	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.run(ctx, f.update)
	}()
	f.stop = func() {
		cancel()
		<-watched
	}
	return f, nil
}

// sendIndex is the interface to send from. One that is down is none: the routing
// table has forgotten it, and would let IPv6 packets leave by another.
func (f *follower) sendIndex() (int, error) {
	index := int(f.index.Load())
	switch {
	case index == 0:
		return 0, ErrNoInterface
	case !f.up.Load():
		return 0, syscall.ENETDOWN
	}
	return index, nil
}

// update takes in what the watch sees. An interface that cannot be attached to is
// as good as none; the next thing that happens to it is the next try.
func (f *follower) update(now iface) {
	if now.index != 0 && int64(now.index) != f.index.Load() {
		if err := f.attach(now.index); err != nil {
			f.log.Error("pfsyncnet: cannot use the interface", "interface", f.name, "index", now.index, "err", err)
			now = iface{link: pfsync.LinkDown}
		}
	}
	f.index.Store(int64(now.index))
	f.up.Store(now.up)

	if now.link != f.link {
		f.link = now.link
		select {
		case <-f.links: // nobody saw that one
		default:
		}
		f.links <- now.link
	}
}
