package main

import (
	"context"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// watch looks at the interface from time to time.
func (w *wan) watch(ctx context.Context) {
	for {
		select {
		case <-time.After(wanLook):
		case <-ctx.Done():
			return
		}
		seen, err := w.port.look()
		w.send(ctx, wanMessage{seen: &seen, err: err})
	}
}

// saw takes in how the interface is: whether somebody else has put it up, and whether
// it works.
func (w *wan) saw(seen wanSeen, err error) {
	s := *w.now.Load()
	s.Carrier, s.Lease, s.Error = seen.running, seen.lease, ""
	if w.cfg.mac == (carp.HardwareAddr{}) && err == nil {
		s.LLAddr = seen.mac.String()
	}
	if err != nil {
		s.Error = err.Error()
	}
	w.now.Store(&s)
	if err == nil {
		w.enforce(seen.up)
	}
	by := 0
	if w.cfg.demote > 0 && w.health.step(time.Now(), w.m.state == wanUp, seen.running && seen.lease.IsValid()) {
		by = w.cfg.demote
	}
	w.h.self.Set(wanDemotion, by)
}

// enforce puts the interface back to what it should be, if somebody else has changed
// it. What was seen may be older than our own last change, so one look is not enough.
func (w *wan) enforce(isUp bool) {
	wantUp := w.m.state == wanUp
	if w.queued > 0 || wantUp == isUp || !wantUp && w.m.state != wanDown && w.m.state != wanAsking {
		w.strange = 0
		return
	}
	if w.strange++; w.strange < 2 {
		return
	}
	w.strange = 0
	effect, what := wanLowered, " was put up by somebody else, and goes down again"
	if wantUp {
		effect, what = wanRaised, " was put down by somebody else, and comes up again"
	}
	w.h.log.Error("firewall: wan: " + w.cfg.ifname + what)
	w.h.journal.add("note", w.cfg.ifname+what)
	w.queue(effect)
}
