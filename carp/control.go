package carp

import (
	"context"
	"fmt"
	"time"
)

// do runs f on the node's goroutine. It waits for Run to begin.
func (n *Node) do(f func() error) error {
	select {
	case <-n.ready:
	case <-n.done:
		return ErrStopped
	}
	result := make(chan error, 1)
	select {
	case n.calls <- func() { result <- f() }:
		return <-result
	case <-n.done:
		return ErrStopped
	}
}

// with runs f for one group on the node's goroutine.
func (n *Node) with(vhid uint8, f func(now time.Time, g *group) error) error {
	return n.do(func() error {
		if g := n.groups[vhid]; g != nil {
			return f(time.Now(), g)
		}
		return fmt.Errorf("%w: %d@%s", ErrNotFound, vhid, n.cfg.Interface)
	})
}

// step feeds an event to one group.
func (n *Node) step(vhid uint8, ev Event) error {
	return n.with(vhid, func(now time.Time, g *group) error {
		if n.stopping {
			return ErrStopped
		}
		g.step(now, ev)
		return nil
	})
}

// Up makes a group take part: ifconfig's "up". Like all calls that change a
// node, it waits for Run to begin, and fails with [ErrStopped] after its end and
// with [ErrNotFound] if there is no such group.
func (n *Node) Up(vhid uint8) error { return n.step(vhid, Event{Kind: EventUp}) }

// Down makes a group leave: ifconfig's "down". A master bows out; the call does
// not wait for its successor.
func (n *Node) Down(vhid uint8) error { return n.step(vhid, Event{Kind: EventDown}) }

// Force is ifconfig's "state": it makes a backup master or a master backup, for
// as long as the rules of the election let it be. INIT changes nothing.
func (n *Node) Force(vhid uint8, s State) error {
	if s > Master {
		return fmt.Errorf("carp: state %v: want INIT, BACKUP or MASTER", s)
	}
	return n.step(vhid, Event{Kind: EventForce, Force: s})
}

// SetAllow is net.inet.carp.allow. Without it OpenBSD ignores adverts and goes on
// sending its own; FreeBSD goes to INIT and is demoted.
func (n *Node) SetAllow(allow bool) error {
	return n.do(func() error {
		now := time.Now()
		n.allow = allow
		for _, g := range n.groups {
			if g != nil {
				n.tell(now, g)
			}
		}
		return nil
	})
}

// Update changes a group while it runs: change gets its configuration to work
// on, on the node's goroutine, and must not call the node. VHID and Dialect cannot
// be changed; Addrs, Demote, Down and Counter stay as they are. Other intervals,
// passphrases and addresses do to the state what they do in the kernels: a new
// address restarts the election, an interval or a passphrase does not. If
// anything is wrong with the result, nothing has changed.
func (n *Node) Update(vhid uint8, change func(*GroupConfig)) error {
	return n.with(vhid, func(now time.Time, g *group) error {
		c := g.cfg.clone()
		change(&c)
		return g.reconfigure(now, c)
	})
}

// Add adds a group.
func (n *Node) Add(c GroupConfig) error {
	return n.do(func() error {
		switch {
		case n.stopping:
			return ErrStopped
		case n.groups[c.VHID] != nil:
			return fmt.Errorf("%w: %d@%s", ErrExists, c.VHID, n.cfg.Interface)
		}
		n.complete(&c)
		g, err := newGroup(n, c)
		if err != nil {
			return err
		}
		n.groups[c.VHID] = g
		n.publish()
		n.start(time.Now(), g)
		return nil
	})
}

// Remove removes a group: ifconfig's "destroy". A master bows out, and leaves at
// once; take it Down before and wait for BACKUP elsewhere if that matters.
func (n *Node) Remove(vhid uint8) error {
	return n.with(vhid, func(_ time.Time, g *group) error {
		err := n.remove(g)
		n.publish()
		g.retire()
		return err
	})
}

// A Status is what a node is at one moment.
type Status struct {
	Interface string        `json:"interface"`
	Groups    []GroupStatus `json:"groups"` // by VHID
	Stats     Stats         `json:"stats"`
}

// Status is a copy that the caller may keep. It never waits for the node.
func (n *Node) Status() Status {
	s := Status{Interface: n.cfg.Interface, Stats: n.stats.load()}
	for _, g := range n.roster.Load() {
		if g != nil {
			gs, _ := g.snapshot()
			s.Groups = append(s.Groups, gs)
		}
	}
	return s
}

// Follow runs a service where its address is: it calls serve when the group is
// MASTER and cancels serve's context when it is not any more, again and again,
// until ctx is done or the node has stopped, when it returns nil. It waits for
// serve each time. If serve returns an error before its context is cancelled,
// Follow returns it.
func (n *Node) Follow(ctx context.Context, vhid uint8, serve func(context.Context) error) error {
	for {
		g := n.roster.Load()[vhid]
		if g == nil {
			return fmt.Errorf("%w: %d@%s", ErrNotFound, vhid, n.cfg.Interface)
		}
		s, changed := g.snapshot()
		if s.State == Master {
			if err := n.serve(ctx, changed, serve); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-n.done:
			return nil
		}
	}
}

// serve runs serve until it returns or the state changes.
func (n *Node) serve(ctx context.Context, changed <-chan struct{}, serve func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- serve(ctx) }()
	select {
	case err := <-result:
		return err
	case <-changed:
	case <-ctx.Done():
	case <-n.done:
	}
	cancel()
	<-result
	return nil
}
