package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/demote/check"
)

// A runningCheck is a check of firewall.toml at work. It is the check.Demoter of
// itself.
type runningCheck struct {
	checkSettings
	h      *host
	member *demote.Member // of a group of its own choice; nil: see Set
	by     atomic.Int32   // what it contributes
	result atomic.Pointer[error]
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
}

// cause is the name of the demotion.
func (c *checkSettings) cause() string { return "check " + c.name }

// Set implements check.Demoter. A carp interface may be destroyed and made again: it
// is looked up each time, and a check repeats its result at each interval.
func (c *runningCheck) Set(cause string, n int) {
	c.by.Store(int32(n))
	member := c.member
	switch {
	case c.iface != "":
		member = c.h.view().members[c.iface]
	case c.group == "":
		member = c.h.self
	}
	if member != nil {
		member.Set(cause, n)
	}
}

// startCheck starts a check, which demotes until it has proven good if start says
// so. It goes on where old, if not nil, has left off. The caller holds changing.
func (h *host) startCheck(s checkSettings, start check.Start, old *runningCheck) error {
	c := &runningCheck{checkSettings: s, h: h, done: make(chan struct{})}
	switch {
	case old != nil && old.member != nil:
		c.member = old.member
	case s.group != "":
		var err error
		if c.member, err = h.groups.Join(selfName+"/"+s.name, s.group); err != nil {
			return err
		}
	}
	if start == check.StartDemoted {
		c.Set(s.cause(), s.demote) // before the goroutine does: nobody may take over meanwhile
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	// EndKeep: a program that ends does not look well meanwhile. See remove.
	config := check.Config{
		Demoter: c, Cause: s.cause(), By: s.demote, Start: start, End: check.EndKeep, OnChange: c.changed,
	}
	go func() {
		defer close(c.done)
		if s.kind == "link" {
			c.watchLink(ctx, config)
			return
		}
		run := check.Check{Config: config, Probe: s.probe(), Interval: s.interval, Timeout: s.timeout, Fall: s.fall, Rise: s.rise}
		if err := run.Run(ctx); err != nil {
			h.fail(fmt.Errorf("firewall: %w", err))
		}
	}()
	h.set(func(n *running) { n.checks = append(slices.Clip(n.checks), c) })
	return nil
}

// startChecks starts those that the host begins with: it does not take over on trust.
func (h *host) startChecks(all []checkSettings) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	for _, s := range all {
		if err := h.startCheck(s, check.StartDemoted, nil); err != nil {
			return err
		}
	}
	return nil
}

// probe is what looks once.
func (c *checkSettings) probe() check.Probe {
	switch c.kind {
	case "file":
		return check.WhileExists(c.words[0])
	case "ping":
		return check.Command("ping", "-n", "-c", "1", c.words[0])
	case "tcp":
		return func(ctx context.Context) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", c.words[0])
			if err == nil {
				conn.Close()
			}
			return err
		}
	}
	return check.Command(c.words[0], c.words[1:]...)
}

// watchLink is a check of a link, for as long as ctx. When its feed ends, nobody
// knows about the link: that demotes, until there is another feed. rise and fall are
// the same as to a probe: the n-th result is n-1 intervals after the first.
func (c *runningCheck) watchLink(ctx context.Context, config check.Config) {
	config.Hold = time.Duration(c.rise-1) * c.interval
	for ctx.Err() == nil {
		up, _, err := check.Watch(ctx, c.words[0])
		if err == nil {
			l := check.Link{Config: config, Up: up, Debounce: time.Duration(c.fall-1) * c.interval}
			err = l.Run(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		c.Set(c.cause(), c.demote)
		c.changed(err)
		config.Start = check.StartDemoted
		select {
		case <-time.After(c.interval):
		case <-ctx.Done():
		}
	}
}

// changed is told when the check has another result.
func (c *runningCheck) changed(err error) {
	c.result.Store(&err)
	if err == nil {
		c.h.journal.add("check", c.name+" is well")
		c.h.log.Info("firewall: check is well", "check", c.name)
		return
	}
	c.h.journal.add("check", fmt.Sprintf("%s failed: %v", c.name, err))
	c.h.log.Warn("firewall: check failed", "check", c.name, "what", c.String(), "err", err)
}

// failure is what is wrong, nil if it is well.
func (c *runningCheck) failure() error {
	if err := c.result.Load(); err != nil {
		return *err
	}
	return errors.New("there is no result yet")
}

// changeChecks makes the checks what to asks for, and returns what was different, a
// line each: those that stay as they are do not notice, one that is changed goes on
// with the result that it had, and one that is new proves bad before it demotes. The
// caller holds changing.
func (h *host) changeChecks(to []checkSettings) ([]string, error) {
	var said []string
	var errs []error
	before := h.view().checks
	kept := slices.DeleteFunc(slices.Clone(before), func(c *runningCheck) bool { return !slices.ContainsFunc(to, c.same) })
	h.set(func(n *running) { n.checks = kept })
	for _, c := range before {
		n := slices.IndexFunc(to, func(s checkSettings) bool { return s.name == c.name })
		switch {
		case slices.Contains(kept, c):
			continue
		case n < 0:
			said = append(said, c.cause()+": removed")
			c.remove()
			continue
		}
		said = append(said, c.cause()+": changed")
		start := check.StartClear
		if c.by.Load() > 0 {
			start = check.StartDemoted
		}
		old := c
		if c.group != to[n].group || c.iface != to[n].iface {
			c.remove()
			old = nil
		} else {
			endChecks(c)
		}
		errs = append(errs, h.startCheck(to[n], start, old))
	}
	for _, s := range to {
		if !slices.ContainsFunc(before, func(c *runningCheck) bool { return c.name == s.name }) {
			said = append(said, s.cause()+": added")
			errs = append(errs, h.startCheck(s, check.StartClear, nil))
		}
	}
	return said, errors.Join(errs...)
}

// remove ends the check and takes its demotion back.
func (c *runningCheck) remove() {
	endChecks(c)
	c.Set(c.cause(), 0)
	if c.member != nil {
		c.member.Close()
	}
}

// checkEnd is how long the end of a check may take: the program that it runs is
// killed. Whoever hangs in the kernel is left there, and has no say any more.
const checkEnd = time.Second

// endChecks ends checks, all at once. Their demotions stay.
func endChecks(checks ...*runningCheck) {
	for _, c := range checks {
		c.cancel()
	}
	late := time.After(checkEnd)
	for _, c := range checks {
		select {
		case <-c.done:
		case <-late:
			return
		}
	}
}
