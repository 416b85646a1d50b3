package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// A wan brings the one WAN interface up on the host that is master, and keeps it down
// on the other: a wanMachine, and what it takes to do what it says.
//
// One goroutine owns the machine. Another one does what it decides, in order, and a
// third one looks at the interface, so that nothing that hangs keeps us from answering
// the peer: it would take us for dead.
//
// What is excluded: both up while the two can speak, whatever CARP says; both up after
// the death of a daemon, by its guard; a new master that is up before the old one is
// down in a planned move.
//
// What cannot be: a host without a way to its peer, neither LAN nor sync link, cannot
// know whether that is dead. It comes up, and both may be; with without-peer =
// "stay-down" it does not, and nobody is up if the peer is dead indeed. With the sync
// link cut alone CARP decides on the LAN, and the new master waits for as long as the
// old one may take to go down. A host that stands still for longer than all of this
// and wakes up is up until it notices.
type wan struct {
	h       *host
	cfg     *wanSettings
	port    wanPort
	m       *wanMachine
	health  wanHealth
	heard   time.Time // the last advert of another host that we know of
	queued  int       // effects that are not done
	strange int       // how often in a row the interface was not what it should be
	events  chan wanMessage
	poke    chan struct{} // CARP has changed
	effects chan wanEventKind
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	ended   chan struct{} // closed when the machine is not asked any more
	now     atomic.Pointer[wanStatus]
	trouble atomic.Pointer[string] // with the peer, the last time; nil: none
}

// A wanPort is the interface. Its methods are called one at a time, but for look.
type wanPort interface {
	raise() error
	lower() error // also if it is down, or gone
	look() (wanSeen, error)
	close() error // lowers, and leaves everything as it was
}

// wanSeen is what the kernel says of the interface.
type wanSeen struct {
	up, running bool
	mac         carp.HardwareAddr
	lease       netip.Prefix // the first address with more than the scope of the link, but for those that routers gave
}

// A wanMessage is an event for the machine, with where its answer goes, if there is
// one, or what was seen of the interface.
type wanMessage struct {
	wanEvent
	reply chan wanAnswer
	seen  *wanSeen
	err   error // instead of seen
}

const (
	// wanLook is how often we look at what nobody tells us of.
	wanLook = 250 * time.Millisecond

	// wanEndTimeout is how long the end waits for the interface to be down, and
	// wanSuccessor for the new master to ask for it.
	wanEndTimeout = 10 * time.Second
	wanSuccessor  = time.Second

	// wanDemotion is why a host is demoted whose WAN does not work.
	wanDemotion = "wan"
)

// openWAN puts the interface down, if there is one, before anything else happens, and
// follows CARP from then on.
func (h *host) openWAN() error {
	cfg := &h.settings.wan
	if cfg.ifname == "" {
		return nil
	}
	port, err := openWANPort(cfg, h.log)
	if err != nil {
		return fmt.Errorf("wan: %w", err)
	}
	w := &wan{
		h: h, cfg: cfg, port: port, m: newWANMachine(cfg.policy, h.hostID, time.Now()),
		events: make(chan wanMessage), poke: make(chan struct{}, 1), effects: make(chan wanEventKind, 8), ended: make(chan struct{}),
	}
	s := wanStatus{
		Interface: cfg.ifname, State: w.m.state.String(), Since: w.m.since, Why: w.m.why,
		Follow: cfg.follow, Address: cfg.address,
	}
	if cfg.mac != (carp.HardwareAddr{}) {
		s.LLAddr = cfg.mac.String()
	}
	w.now.Store(&s)
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.wg.Go(func() { w.work(ctx) })
	w.wg.Go(func() { w.watch(ctx) })
	w.wg.Go(func() { w.run(ctx) })
	h.wan.Store(w)
	return nil
}

// closeWAN puts the interface down for good. If it has just lost its master, the
// successor gets a moment to ask about it: it would have to wait if nobody answered.
func (h *host) closeWAN() error {
	w := h.wan.Load()
	if w == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), wanEndTimeout)
	defer cancel()
	w.send(ctx, wanMessage{wanEvent: wanEvent{kind: wanStop}})
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		s := w.now.Load()
		if s.State == wanDown.String() && (h.peer == nil || s.granted || time.Since(s.Since) > wanSuccessor) {
			break
		}
	}
	w.cancel()
	w.wg.Wait()
	w.h.self.Set(wanDemotion, 0)
	if err := w.port.close(); err != nil {
		return fmt.Errorf("wan: %w", err)
	}
	return nil
}

// run owns the machine, until ctx is done.
func (w *wan) run(ctx context.Context) {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var msg wanMessage
		select {
		case msg = <-w.events:
		case <-timer.C:
		case <-w.poke:
			msg.wanEvent = w.role()
		case <-ctx.Done():
			return
		}
		switch {
		case msg.seen != nil:
			w.saw(*msg.seen, msg.err)
			msg.wanEvent = w.role()
		case msg.kind == wanRaised || msg.kind == wanLowered:
			w.queued--
		}
		if msg.kind == wanAsked {
			w.step(ctx, wanMessage{wanEvent: w.role()}) // we may have been told late that there is a better master
		}
		timer.Stop()
		if deadline := w.step(ctx, msg); !deadline.IsZero() {
			timer.Reset(time.Until(deadline))
		}
	}
}

// step has the machine take in an event, does what it says, and returns when it wants
// to be called again.
func (w *wan) step(ctx context.Context, msg wanMessage) (deadline time.Time) {
	was := w.m.state
	out := w.m.step(time.Now(), msg.wanEvent)
	w.note(was, out)
	if msg.reply != nil {
		msg.reply <- out.answer
	}
	if out.raise {
		w.queue(wanRaised)
	}
	if out.lower {
		w.queue(wanLowered)
	}
	if out.ask != 0 {
		up := w.m.state == wanUp
		w.wg.Go(func() {
			w.send(ctx, wanMessage{wanEvent: wanEvent{kind: wanAnswered, seq: out.ask, answer: w.ask(ctx, up)}})
		})
	}
	return out.deadline
}

// queue has an effect done. The machine waits for the end of each, and has two open at
// most: there is always room.
func (w *wan) queue(effect wanEventKind) {
	w.queued++
	w.effects <- effect
}

// work does the effects, one by one.
func (w *wan) work(ctx context.Context) {
	for {
		var kind wanEventKind
		select {
		case kind = <-w.effects:
		case <-ctx.Done():
			return
		}
		var err error
		if kind == wanRaised {
			err = w.port.raise()
		} else {
			err = w.port.lower()
		}
		if err != nil {
			w.h.log.Error("firewall: wan", "interface", w.cfg.ifname, "err", err)
			w.h.journal.add("note", fmt.Sprintf("%s: %v", w.cfg.ifname, err))
		}
		w.send(ctx, wanMessage{wanEvent: wanEvent{kind: kind, failed: err != nil}})
	}
}

// send has run take in msg, unless ctx ends before.
func (w *wan) send(ctx context.Context, msg wanMessage) {
	select {
	case w.events <- msg:
	case <-ctx.Done():
	}
}

// role is what CARP makes of this host now.
func (w *wan) role() wanEvent {
	ev := wanEvent{kind: wanRoleIs}
	v := w.h.view().vhosts[w.cfg.follow]
	if v == nil {
		return ev
	}
	s := v.status()
	switch {
	case s.State == carp.Master && s.Held && !s.Leaving:
		ev.role = wanMaster
	case s.Held && s.Leaving:
		ev.role = wanLeaving
	}
	ev.unplanned = s.Reason == carp.ReasonMasterTimeout
	ev.heard = s.Heard.At.After(w.heard)
	w.heard = s.Heard.At
	return ev
}

// wanLooks has the WAN interface follow at once.
func (h *host) wanLooks() {
	w := h.wan.Load()
	if w == nil {
		return
	}
	select {
	case w.poke <- struct{}{}:
	default: // it is about to
	}
}
