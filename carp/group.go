package carp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultOverlap is how long a former master keeps its addresses after its
// successor was heard, which is about when the neighbours hear of it too: what
// they have sent before is answered.
const DefaultOverlap = 50 * time.Millisecond

// A GroupConfig is a virtual host on a [Node]: the part of a redundancy group
// that lives on this machine.
type GroupConfig struct {
	HostConfig

	// Addrs puts the addresses on and takes them off. Nil leaves that to the
	// hooks.
	Addrs Addrs

	// Demote is the group's demotion counter. Nil makes it share one with the
	// other groups of the node that have none: they fail over together.
	Demote Demoter

	// Overlap is how long to keep the addresses when another master is heard.
	// 0 means [DefaultOverlap]; but if LinkSrc is set, the switch sends everything
	// to the new master then, and an answer of ours would turn it round: not at all,
	// unless Addrs is a [Silencer]. Negative means not at all; a minute is the most.
	Overlap time.Duration

	// Down keeps the group in INIT until [Node.Up].
	Down bool
}

// clone is c with slices of its own.
func (c *GroupConfig) clone() GroupConfig {
	d := *c
	d.HostConfig = c.HostConfig.clone()
	return d
}

const maxOverlap = time.Minute

// Validate reports everything that is wrong with c.
func (c *GroupConfig) Validate() error {
	err := c.HostConfig.Validate()
	if c.Overlap > maxOverlap {
		err = errors.Join(err, fmt.Errorf("carp: vhid %d: overlap %v: want at most %v", c.VHID, c.Overlap, maxOverlap))
	}
	return err
}

// overlap is how long to keep the addresses, if they may be kept.
func (c *GroupConfig) overlap() time.Duration {
	if c.Overlap == 0 {
		return DefaultOverlap
	}
	return c.Overlap
}

// A GroupStatus is what a group is at one moment.
type GroupStatus struct {
	VHID     uint8     `json:"vhid"`
	State    State     `json:"state"`
	Leaving  bool      `json:"leaving,omitempty"` // bowed out, waiting for a successor
	Since    time.Time `json:"since,omitzero"`    // the last change of state; zero: none yet
	Reason   Reason    `json:"reason"`            // of that change
	Seq      uint64    `json:"seq"`               // the number of changes
	AdvBase  uint8     `json:"advbase"`           // as configured
	AdvSkew  uint8     `json:"advskew"`           // as configured
	Demotion int       `json:"demotion"`          // the counter
	Held     bool      `json:"held"`              // the addresses are on this machine
	Heard    Heard     `json:"heard,omitzero"`    // the last advert that was taken
}

// Heard is an advert that another node sent.
type Heard struct {
	At      time.Time  `json:"at"`
	Src     netip.Addr `json:"src"`
	AdvBase uint8      `json:"advbase"`
	AdvSkew uint8      `json:"advskew"`
	Demote  uint8      `json:"demote"`
}

// A group is what a node knows of one virtual host. All but the status belongs
// to the node's goroutine.
type group struct {
	node  *Node
	cfg   GroupConfig
	vh    *VirtualHost
	log   *slog.Logger
	sends sendHealth

	demote  Demoter
	unwatch func()
	stale   atomic.Bool // demote's value may have changed
	faults  [faultKinds]fault

	deadline   time.Time // the machine's
	releaseAt  time.Time // when a former master gives its addresses up
	releaseErr error     // why it could not, last time
	retryAt    time.Time // when a failure to take them is forgotten
	pending    []Change  // changes to report when they are gone
	due        time.Time // the earliest of these times
	heapIndex  int

	status GroupStatus // being made

	mu        sync.Mutex
	published GroupStatus
	changed   chan struct{} // closed at the next change of state
}

// A fault is something that demotes the group while it lasts.
type fault struct {
	cause string
	on    bool
}

const (
	faultAddrs = iota // the addresses could not be taken
	faultSend         // adverts do not get out
	faultLink         // the interface is down
	faultAllow        // allow=0, where that is a fault
	faultKinds
)

// newGroup makes the group of c, complete, in INIT.
func newGroup(n *Node, c GroupConfig) (*group, error) {
	c = c.clone()
	vh, err := NewVirtualHost(c.HostConfig)
	if err != nil {
		return nil, err
	}
	g := &group{
		node: n, cfg: c, vh: vh, demote: c.Demote, heapIndex: -1,
		log:     n.log.With("vhid", c.VHID, "interface", n.cfg.Interface),
		changed: make(chan struct{}),
	}
	if g.demote == nil {
		g.demote = n.shared
	}
	// The causes name the group, since several may share a counter.
	for i, what := range [faultKinds]string{"addresses", "send errors", "link", "allow"} {
		g.faults[i].cause = fmt.Sprintf("%s %d@%s", what, c.VHID, n.cfg.Interface)
	}
	g.status.VHID = c.VHID
	g.publish()
	return g, nil
}

// step feeds ev to the machine and does what it wants.
func (g *group) step(now time.Time, ev Event) { g.act(now, g.vh.Step(now, ev)) }

// act does what the machine wants, in the order that [Addrs] describes.
func (g *group) act(now time.Time, out Output) {
	if out.To == Master && out.From != Master {
		now, out = g.take(now, out)
	}
	// A master that repeats itself does so before its advert: a better one takes
	// over at the advert, and what was announced after that would undo it.
	repeat := out.Announce && out.From == Master
	if repeat || out.Reassert {
		g.announce()
	}
	if out.Send {
		if out.Advert.BowOut() {
			g.yield()
		}
		g.send(now, out.Advert, out.Advert.BowOut() || out.To != Master)
	}
	if out.Announce && !repeat {
		g.announce()
	}
	g.deadline = out.Deadline
	if out.From != out.To {
		g.enter(now, out)
	}
	g.schedule()
	g.publish()
}

// enter reports a change of state, and first releases the addresses if it is one
// from MASTER: at once, or in a moment if somebody else has them now.
func (g *group) enter(now time.Time, out Output) {
	g.status.Seq++
	g.status.Since, g.status.Reason = now, out.Reason
	g.pending = append(g.pending, Change{
		VHID: g.cfg.VHID, Interface: g.node.cfg.Interface,
		From: out.From, To: out.To, Reason: out.Reason, At: now, Seq: g.status.Seq,
	})
	g.log.Info("carp: "+out.From.String()+" -> "+out.To.String(), "reason", out.Reason.String())
	if out.To == Init {
		g.forgive() // it starts over
	}
	switch {
	case out.To == Master:
		g.node.stats.preempt.Add(1)
		g.releaseAt, g.releaseErr = time.Time{}, nil // if they were still there, they stay
		g.report()
	case out.From == Master && succeeded(out.Reason) && g.outlast():
		g.releaseAt = now.Add(g.cfg.overlap())
	case out.From == Master || g.releaseAt.IsZero():
		g.release(now)
	}
}

// succeeded reports whether a master that stopped for why has a successor.
func succeeded(why Reason) bool {
	switch why {
	case ReasonBetterMaster, ReasonEqualMaster, ReasonLessDemoted, ReasonHandedOver:
		return true
	}
	return false
}

// expire does what is due.
func (g *group) expire(now time.Time) {
	if passed(g.releaseAt, now) {
		g.release(now)
	}
	if passed(g.retryAt, now) {
		g.forgive()
	}
	g.step(now, Event{Kind: EventTimer})
}

// passed reports whether t is set and has come.
func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// schedule sets the group's place among the timers.
func (g *group) schedule() {
	due := g.deadline
	for _, t := range [...]time.Time{g.releaseAt, g.retryAt} {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	if due != g.due {
		g.node.timers.set(g, due)
	}
}

// send signs h and transmits it for each family. An advert is sent if one of its
// destinations could be: a peer that cannot be reached is no fault of ours. The
// last one of a master leaves from the interface's own MAC: a successor may have
// moved the switch already, which would turn round.
func (g *group) send(now time.Time, h Header, last bool) {
	n := g.node
	n.outgoing = g.vh.AppendPackets(n.outgoing[:0], now, h)
	var sent, failed Families
	for _, p := range n.outgoing {
		if last {
			p.LinkSrc = HardwareAddr{}
		}
		if err := g.write(p); err != nil {
			g.log.Warn("carp: cannot send an advert", "dst", p.Dst, "err", err)
			failed |= p.family()
		} else {
			sent |= p.family()
		}
	}
	for _, f := range [...]Families{IPv4, IPv6} {
		if (sent|failed)&f != 0 {
			g.fault(faultSend, g.sends.sent(sent&f != 0, g.vh.machine.rules.forgive))
		}
	}
}

// write transmits p and counts it.
func (g *group) write(p Packet) error {
	stats := &g.node.stats
	if p.family() == IPv4 {
		stats.out.Add(1)
	} else {
		stats.out6.Add(1)
	}
	err := g.node.cfg.Transport.WritePacket(p)
	switch {
	case err == nil:
	case errors.Is(err, syscall.EHOSTDOWN) && !p.Dst.IsMulticast():
		return nil // a peer that is off, by carp_send_ad
	case errors.Is(err, syscall.ENOBUFS):
		stats.outNoMem.Add(1)
		fallthrough
	default:
		stats.outErrors.Add(1)
	}
	return err
}

// fault puts the demotion for a fault on or takes it off.
func (g *group) fault(kind int, on bool) {
	f := &g.faults[kind]
	if f.on == on {
		return
	}
	f.on = on
	n := 0
	if on {
		n = g.vh.machine.rules.fault
	}
	g.demote.Set(f.cause, n)
}

// refresh tells the machine of its demotion counter if that is another one.
func (g *group) refresh(now time.Time) {
	if g.stale.Swap(false) {
		if v := g.demote.Value(); v != g.vh.machine.demotion {
			g.log.Info("carp: demotion", "from", g.vh.machine.demotion, "to", v)
			g.step(now, Event{Kind: EventDemote, Demote: v})
		}
	}
}

// publish makes the status what the machine is.
func (g *group) publish() {
	m, s := g.vh.machine, &g.status
	moved := s.State != m.state
	s.State, s.Leaving, s.Demotion = m.state, m.Leaving(), m.demotion
	s.AdvBase, s.AdvSkew = uint8(m.cfg.advBase()), m.cfg.AdvSkew

	g.mu.Lock()
	defer g.mu.Unlock()
	g.published = *s
	if moved {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

// snapshot is the status, and a channel that is closed when the state changes.
func (g *group) snapshot() (GroupStatus, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.published, g.changed
}

// retire tells those who wait for a change that there will be none: the group is
// no longer one of the node's.
func (g *group) retire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.changed)
}

// late reports whether now is so long after since, or the deadline if that came
// later, that peers have sent, or missed, adverts in the meantime.
func (g *group) late(now, since time.Time) bool {
	m := g.vh.machine
	if m.state == Init || m.Leaving() || g.deadline.IsZero() {
		return false
	}
	limit := m.interval() // an advert can have been lost
	if m.state == Master {
		limit = m.cfg.MasterDown() - limit // a peer can have taken over
	}
	if g.deadline.After(since) {
		since = g.deadline
	}
	return now.Sub(since) > max(limit, minStall)
}

// minStall is the lateness that a busy machine may have without being suspected
// of standing still.
const minStall = 50 * time.Millisecond

// reconfigure changes the group to c, but for what stays as it is.
func (g *group) reconfigure(now time.Time, c GroupConfig) error {
	c.Addrs, c.Demote, c.Down, c.Counter = g.cfg.Addrs, g.cfg.Demote, g.cfg.Down, g.cfg.Counter
	g.node.complete(&c)
	if err := errors.Join(c.Validate(), g.cfg.compatible(&c.HostConfig)); err != nil {
		return err
	}
	if g.cfg.Addrs != nil && !slices.Equal(c.Addresses, g.cfg.Addresses) {
		setter, ok := g.cfg.Addrs.(AddrSetter)
		if !ok {
			return fmt.Errorf("carp: vhid %d: its Addrs cannot change addresses", c.VHID)
		}
		if err := setter.SetAddresses(g.node.ctx, c.Addresses); err != nil {
			return err
		}
		g.forgive() // others may do
	}
	if err := g.vh.Reconfigure(now, c.HostConfig, func(out Output) { g.act(now, out) }); err != nil {
		return err
	}
	g.cfg = c
	g.publish()
	return nil
}
