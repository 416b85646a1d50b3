package rtnl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// An EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events.
const (
	// Resync: forget what you knew, Links and Addrs are everything there is. It
	// is the first event, and comes again whenever the kernel had to drop
	// events because the watcher did not read fast enough.
	Resync   EventKind = iota
	LinkSet            // Link is new or something about it changed
	LinkGone           // Link was deleted
	AddrSet            // Addr is new or something about it changed
	AddrGone           // Addr was deleted
)

// An Event is a change of the links or addresses of a namespace.
type Event struct {
	Kind  EventKind
	Link  Link   // LinkSet, LinkGone
	Addr  Addr   // AddrSet, AddrGone
	Links []Link // Resync
	Addrs []Addr // Resync, if the watcher was asked for addresses
}

// A Watcher reports changes of the links, and if asked of the addresses, of
// one namespace.
type Watcher struct {
	events *netlink.Conn
	dumps  *Conn
	addrs  bool
}

// Watch opens a Watcher in the network namespace of the calling thread. It
// misses nothing from here on, even if Run is called later.
func Watch(addrs bool) (*Watcher, error) {
	dumps, err := Dial()
	if err != nil {
		return nil, err
	}
	w := &Watcher{dumps: dumps, addrs: addrs}
	if w.events, err = dial(0); err != nil {
		dumps.Close()
		return nil, err
	}
	groups := []uint32{unix.RTNLGRP_LINK}
	if addrs {
		groups = append(groups, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	}
	for _, g := range groups {
		if err := w.events.JoinGroup(g); err != nil {
			w.Close()
			return nil, fmt.Errorf("rtnl: watch: %w", kernelError(err))
		}
	}
	return w, nil
}

// Close releases the sockets of the Watcher. Call it when Run is not running.
func (w *Watcher) Close() error {
	return errors.Join(w.events.Close(), w.dumps.Close())
}

// Run calls fn with a [Resync] and then with every change, in order, from the
// calling goroutine, until ctx is done, whose error it returns. A slow fn delays
// later events and may cause a Resync, nothing worse. Call Run once.
func (w *Watcher) Run(ctx context.Context, fn func(Event)) error {
	stop := context.AfterFunc(ctx, func() {
		w.events.SetReadDeadline(time.Unix(1, 0)) // wakes Receive
	})
	defer stop()
	if err := w.resync(fn); err != nil {
		return err
	}
	for {
		msgs, err := w.events.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			if err := w.resync(fn); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("rtnl: watch: %w", err)
		}
		for _, m := range msgs {
			ev, ok, err := parseEvent(m)
			if err != nil {
				return fmt.Errorf("rtnl: watch: %w", err)
			}
			if ok {
				fn(ev)
			}
		}
	}
}

// resync drops what is queued and reports everything there is. What was queued
// is older than the dump but would be reported after it, and the event that
// takes it back may be among the lost ones.
func (w *Watcher) resync(fn func(Event)) error {
	if err := w.drain(); err != nil {
		return fmt.Errorf("rtnl: watch: %w", err)
	}
	ev := Event{Kind: Resync}
	var err error
	if ev.Links, err = w.dumps.Links(); err != nil {
		return err
	}
	if w.addrs {
		if ev.Addrs, err = w.dumps.Addrs(0); err != nil {
			return err
		}
	}
	fn(ev)
	return nil
}

func (w *Watcher) drain() error {
	rc, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = rc.Control(func(fd uintptr) {
		var b [1]byte // the rest of each datagram is cut off
		for failed == nil || failed == unix.ENOBUFS || failed == unix.EINTR {
			_, _, failed = unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
		}
	})
	if failed != unix.EAGAIN {
		return errors.Join(err, failed)
	}
	return err
}

// parseEvent decodes a notification. It reports false for those that are not
// about a link or an address as such.
func parseEvent(m netlink.Message) (Event, bool, error) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A bridge tells about its ports with the same messages: RTM_DELLINK of
		// family AF_BRIDGE says that a link left the bridge, not that it is gone.
		if len(m.Data) == 0 || m.Data[0] != unix.AF_UNSPEC {
			return Event{}, false, nil
		}
		l, err := parseLink(m.Data)
		kind := LinkSet
		if m.Header.Type == unix.RTM_DELLINK {
			kind = LinkGone
		}
		return Event{Kind: kind, Link: l}, true, err
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, err := parseAddr(m.Data)
		kind := AddrSet
		if m.Header.Type == unix.RTM_DELADDR {
			kind = AddrGone
		}
		return Event{Kind: kind, Addr: a}, a.Prefix.IsValid(), err
	}
	return Event{}, false, nil
}
