// Package netfollow follows a network interface by its name: set up and down, its
// cable out and in, deleted and made again, renamed, replaced by another one of the
// same name. It is what carpnet's and pfsyncnet's sockets attach by.
package netfollow

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
)

// ErrNoInterface says that the interface does not exist, or not any more.
var ErrNoInterface = errors.New("no such network interface")

// A Link is what is known of the link of an interface.
type Link uint8

const (
	LinkDown    Link = iota // no carrier, set down, or gone
	LinkUnknown             // set up; the system does not say whether there is a carrier
	LinkUp
)

// An Interface is what is known of the interface at one moment. It does not change.
type Interface struct {
	Index int          // 0: there is none of that name, or it cannot be attached to
	Up    bool         // set up by somebody, be there a carrier or not
	MAC   [6]byte      // zero if it has none; Linux only
	Addrs []netip.Addr // the kernel's order, without zones
	Link  Link

	next chan struct{}
}

// Changed is closed when there is a newer Interface.
func (i *Interface) Changed() <-chan struct{} { return i.next }

// A Subject says whom a [Watcher] watches.
type Subject struct {
	Name   string       // of the interface
	Log    *slog.Logger // is told when the interface could not be followed
	Prefix string       // of what is logged: the package that follows
}

// A Follower knows the interface of now, and tells of its link as an L.
type Follower[L comparable] struct {
	subject Subject
	convert func(Link) L
	attach  func(*Interface) error

	current atomic.Pointer[Interface]
	link    L // the watching goroutine's
	links   chan L
	stop    func()
}

// Follow attaches to the interface that w has found and follows it from then on.
// attach is called, one at a time, when there is another interface of that name than
// the one before, which may be gone. Follow closes w if there is an error, which is
// attach's.
func Follow[L comparable](w *Watcher, convert func(Link) L, attach func(*Interface) error) (*Follower[L], error) {
	first := w.Interface()
	if err := attach(&first); err != nil {
		w.Close()
		return nil, err
	}
	f := &Follower[L]{subject: w.subject, convert: convert, attach: attach, link: convert(first.Link), links: make(chan L, 1)}
	first.next = make(chan struct{})
	f.current.Store(&first)
	f.links <- f.link

	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer w.Close()
		if err := w.run(ctx, f.update); ctx.Err() == nil {
			f.subject.Log.Error(f.subject.Prefix+": the interface is not followed any more", "interface", f.subject.Name, "err", err)
		}
	}()
	f.stop = func() {
		cancel()
		<-watched
	}
	return f, nil
}

// Now is the interface of now.
func (f *Follower[L]) Now() *Interface { return f.current.Load() }

// Links delivers the state of the link: first the one found, then changes. A slow
// reader misses intermediate states, never the latest one.
func (f *Follower[L]) Links() <-chan L { return f.links }

// Stop ends the following and closes the Watcher.
func (f *Follower[L]) Stop() { f.stop() }

// update publishes what the watcher sees. An interface that cannot be attached to is
// as good as none; the next thing that happens to it is the next try.
func (f *Follower[L]) update(now Interface) {
	old := f.current.Load()
	if now.Index != 0 && now.Index != old.Index {
		if err := f.attach(&now); err != nil {
			f.subject.Log.Error(f.subject.Prefix+": cannot use the interface", "interface", f.subject.Name, "index", now.Index, "err", err)
			now = Interface{}
		}
	}
	now.next = make(chan struct{})
	f.current.Store(&now)
	close(old.next)

	if link := f.convert(now.Link); link != f.link {
		f.link = link
		select {
		case <-f.links: // nobody saw that one
		default:
		}
		f.links <- link
	}
}
