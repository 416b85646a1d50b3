//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A play is one run of a scenario. After something has failed, its methods do nothing:
// a scenario reads like a list, and err is looked at in the end.
type play struct {
	*bench
	ctx   context.Context
	begun time.Time
	marks []mark
	downs []down
	err   error
}

// A mark is when somebody did something.
type mark struct {
	At   time.Time `json:"time"`
	Node string    `json:"node,omitempty"`
	Text string    `json:"text"`
}

// A down is a time in which nothing ran on a firewall, and why.
type down struct {
	node string
	span
	state string
}

// What a firewall is while it cannot be master or backup.
const (
	stateOff    = "OFF"
	stateFrozen = "FROZEN"
)

// do does something to a firewall, or to the network (nil).
func (p *play) do(n *node, text string, f func() error) {
	if p.err != nil {
		return
	}
	m := mark{At: time.Now(), Text: text}
	if n != nil {
		m.Node = n.Name
	}
	p.marks = append(p.marks, m)
	if err := f(); err != nil {
		p.err = fmt.Errorf("%s: %w", strings.TrimSpace(m.Node+" "+text), err)
	}
}

// begin notes that nothing runs on a firewall from now on, and end that it does again.
func (p *play) begin(n *node, state string) {
	p.downs = append(p.downs, down{n.Name, span{from: time.Now()}, state})
}

func (p *play) end(n *node) {
	for i := range p.downs {
		if d := &p.downs[i]; d.node == n.Name && d.to.IsZero() {
			d.to = time.Now()
		}
	}
}

// stop and start are what an operator does.
func (p *play) stop(n *node) {
	p.do(n, "stop", n.stop)
	p.begin(n, stateOff)
}

func (p *play) start(n *node) {
	p.end(n)
	p.do(n, "start", func() error { return p.bench.start(n) })
}

// crash kills the programs (SIGKILL); the host goes on.
func (p *play) crash(n *node) {
	p.do(n, "kill -9", n.crash)
	p.begin(n, stateOff)
}

// powerOff makes a host silent on all of its cables, and everything on it ends.
func (p *play) powerOff(n *node) {
	p.do(n, "power off", func() error { return p.cut(n, segments...) })
	p.begin(n, stateOff)
	p.silently(n.crash)
}

// powerOn is a boot: the kernel knows nothing any more.
func (p *play) powerOn(n *node) {
	p.silently(func() error { return n.forget(p.shape == twoAddresses) })
	p.do(n, "power on", func() error { return p.mend(n, segments...) })
	p.start(n)
}

// silently does what is not worth a mark.
func (p *play) silently(f func() error) {
	if p.err == nil {
		p.err = f()
	}
}

// cable plugs a cable of a firewall out or in.
func (p *play) cable(n *node, segment string, in bool) {
	text := strings.ToUpper(segment) + " cable out"
	if in {
		text = strings.ToUpper(segment) + " cable in"
	}
	p.do(n, text, func() error { return p.Carrier(segment, n.Name, in) })
}

// pause waits.
func (p *play) pause(d time.Duration) {
	if p.err == nil {
		p.err = sleep(p.ctx, d)
	}
}

// aloneTimeout is how long a successor may share the addresses with a predecessor that
// could not take them off before it is taken to be for ever.
const aloneTimeout = 4 * time.Second

// takenOver waits until n has both addresses, alone if possible, and probes are
// answered.
func (p *play) takenOver(n *node) {
	p.until(n.Name+" has taken over", func() error { return p.has(n) })
	if p.err == nil && await(p.ctx, aloneTimeout, "alone", func() error { return p.owned(n) }) != nil {
		p.err = p.ctx.Err() // that it is not alone is in the record
	}
	p.answered()
}

// settled waits until the pair is as it was at first, and a moment longer.
func (p *play) settled(n *node) {
	if p.err == nil {
		p.err = p.settle(p.ctx, n)
	}
	p.answered()
	p.pause(300 * time.Millisecond)
}

// answered waits until a probe that is sent from now on is answered.
func (p *play) answered() {
	if p.err != nil {
		return
	}
	from := p.probe.count()
	p.until("probes are answered", func() error {
		if !p.probe.answered(from) {
			return fmt.Errorf("no answer to %d probes", p.probe.count()-from)
		}
		return nil
	})
}

// until waits until ok has no complaint.
func (p *play) until(what string, ok func() error) {
	if p.err == nil {
		p.err = await(p.ctx, settleTimeout, what, ok)
	}
}

// recoverTimeout is how long a session may be silent. TCP waits longer and longer
// before it tries again: after an outage of 3.2 s, up to as long again.
const recoverTimeout = 10 * time.Second

// recovered waits until each session goes on, or is given up.
func (p *play) recovered() {
	since := time.Now()
	for _, s := range p.sessions {
		for p.err == nil && s.failed() == nil && !s.alive(since) {
			if time.Since(since) > recoverTimeout {
				s.end(fmt.Errorf("silent for more than %v", recoverTimeout))
			}
			p.pause(5 * time.Millisecond)
		}
	}
}

// phase waits for some part of an interval, so that the next thing happens at any time
// of it.
func (p *play) phase() {
	p.pause(300*time.Millisecond + rand.N(max(p.timers.interval(), 100*time.Millisecond)))
}

// run is one run of a scenario, from a pair that is settled to one that is again.
func (b *bench) run(ctx context.Context, s *scenario, number int) (*record, error) {
	if err := b.settle(ctx, b.fw1); err != nil {
		return nil, err
	}
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	p := &play{bench: b, ctx: ctx}
	p.answered()
	p.recovered()
	first := b.probe.count()
	p.begun = time.Now()
	p.pause(200 * time.Millisecond)
	s.steps(p)
	p.recovered()
	p.pause(200 * time.Millisecond)
	if p.err != nil {
		return nil, fmt.Errorf("%s, run %d: %w", s.name, number, p.err)
	}
	return newRecord(p, s, number, first, b.probe.count()), nil
}
