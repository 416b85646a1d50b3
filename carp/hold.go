package carp

import (
	"context"
	"time"
)

const (
	// forgiveAfter is how long addresses that could not be taken demote the
	// group. A demoted group may have no occasion to try again.
	forgiveAfter = 10 * time.Second

	// releaseAgain is the time between two tries to release the addresses, and
	// releaseTimeout what one of them may take.
	releaseAgain   = time.Second
	releaseTimeout = 5 * time.Second
)

// take acquires the addresses for out, the machine's step to MASTER, and returns
// what is to be done then, and when: that took time, and the next deadline counts
// from its end.
func (g *group) take(now time.Time, out Output) (time.Time, Output) {
	if g.cfg.Addrs == nil {
		g.status.Held = true
		return now, out
	}
	err := g.cfg.Addrs.Acquire(g.node.ctx)
	now = time.Now()
	if err == nil {
		g.status.Held = true
		g.forgive()
		out.Deadline = g.vh.Step(now, Event{Kind: EventTaken}).Deadline
		return now, out
	}
	g.log.Error("carp: cannot take the addresses", "err", err)
	g.node.stats.refused.Add(1)
	g.fault(faultAddrs, true)
	g.retryAt = now.Add(forgiveAfter)
	out = g.vh.Step(now, Event{Kind: EventRefused})
	out.From = out.To // it has never been master
	return now, out
}

// forgive takes the demotion for addresses that could not be taken back.
func (g *group) forgive() {
	g.retryAt = time.Time{}
	g.fault(faultAddrs, false)
}

// announce tells the neighbours.
func (g *group) announce() {
	if g.cfg.Addrs == nil {
		return
	}
	if err := g.cfg.Addrs.Announce(g.node.ctx); err != nil {
		g.log.Warn("carp: cannot announce the addresses", "err", err)
	}
}

// outlast tells the addresses that a successor has them, and reports whether they
// may be kept for the overlap.
func (g *group) outlast() bool {
	if g.cfg.Overlap < 0 {
		return false
	}
	if s, ok := g.cfg.Addrs.(Silencer); ok {
		err := s.Silence()
		if err != nil {
			g.log.Warn("carp: cannot keep the addresses for a moment", "err", err)
		}
		return err == nil
	}
	g.yield()
	return g.cfg.Overlap > 0 || g.cfg.LinkSrc == (HardwareAddr{})
}

// yield tells the addresses that a successor takes them.
func (g *group) yield() {
	if y, ok := g.cfg.Addrs.(Yielder); ok {
		y.Yield()
	}
}

// release gives the addresses up and reports the changes that waited for that. If
// it fails it is tried again, and they wait on.
func (g *group) release(now time.Time) {
	g.releaseAt = time.Time{}
	if g.status.Held && g.cfg.Addrs != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(g.node.ctx), releaseTimeout)
		defer cancel()
		if g.releaseErr = g.cfg.Addrs.Release(ctx); g.releaseErr != nil {
			g.log.Error("carp: cannot release the addresses", "err", g.releaseErr)
			g.releaseAt = now.Add(releaseAgain)
			return
		}
	}
	g.status.Held = false
	g.report()
}

// report tells the hook of the pending changes.
func (g *group) report() {
	g.publish()
	for _, c := range g.pending {
		if f := g.node.cfg.Hooks.StateChanged; f != nil {
			f(c)
		}
	}
	g.pending = g.pending[:0]
}
