package sim

import (
	"io"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/simnet"
)

// run plays the schedule of a seed: rounds of chaos, each followed by a quiet
// time in which the machines must come to terms. It returns what broke.
func (w *world) run(seed uint64, trace io.Writer) error {
	w.reset(seed, trace)
	w.build()
	w.count.schedules++
	for range 1 + w.intn(3) {
		w.count.rounds++
		w.chaos()
		w.heal()
		w.quiet()
		if w.storm() {
			w.count.storms++
			break
		}
		if w.err != nil {
			break
		}
	}
	return w.err
}

func (w *world) intn(n int) int { return w.net.Rand().IntN(n) }

// oneIn is true once in n times.
func (w *world) oneIn(n int) bool { return w.intn(n) == 0 }

// upTo is a random time from 0 to d.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.net.Rand().Uint64N(uint64(d) + 1))
}

func pick[T any](w *world, of ...T) T { return of[w.intn(len(of))] }

// build makes two or three nodes and the segment between them.
func (w *world) build() {
	dialects := [...]carp.Dialect{carp.OpenBSD, carp.FreeBSD, carp.FreeBSD12, carp.NetBSD, carp.UCarp}
	same, mixed := pick(w, dialects[:]...), w.oneIn(2)
	base, preempt := pick(w, 1, 1, 1, 2, 3, carp.SubSecond), w.intn(3)
	skew := w.skew()
	families := pick(w, carp.IPv4, carp.IPv6, carp.IPv4|carp.IPv6)
	for i := range 2 + w.intn(2) {
		c := carp.Config{VHID: 1, AdvBase: base, AdvSkew: skew, Dialect: same, Seed: w.net.Rand().Uint64()}
		if mixed {
			c.Dialect = pick(w, dialects[:]...)
		}
		if i > 0 && !w.oneIn(3) {
			c.AdvSkew = w.skew()
		}
		if w.oneIn(20) {
			c.AdvBase = pick(w, 1, 2, 5, 10)
		}
		c.Preempt = preempt == 0 || preempt == 1 && w.oneIn(2)
		w.vary(&c)
		w.add(c, families)
	}
	w.even = w.oneIn(3)
	w.connect(w.faults(w.delays()))
	w.logf(nil, "delay up to %v, always the same: %v", w.delay, w.even)
	for _, n := range w.nodes {
		w.logf(n, "%v advbase %d advskew %d preempt %v families %d", n.Dialect, n.base(), n.AdvSkew, n.Preempt, n.families)
	}
}

func (w *world) skew() uint8 {
	return pick(w, 0, 0, 1, 2, 10, 100, 128, 240, 254, uint8(w.intn(255)))
}

// vary adds what not every dialect knows, and takes away what it does not.
func (w *world) vary(c *carp.Config) {
	if c.AdvBase == carp.SubSecond && c.Dialect != carp.OpenBSD {
		c.AdvBase = 1
	}
	if c.Dialect == carp.UCarp {
		c.DeadRatio = pick(w, 0, 0, 0, 2, 5)
	}
	if w.oneIn(2) {
		c.Linger = w.upTo(time.Second)
	}
}

// delays is the longest time a packet takes. Half of the time it is so short that
// the jitter of every node can tell equal nodes apart.
func (w *world) delays() time.Duration {
	if w.oneIn(2) {
		return w.upTo(20 * time.Millisecond)
	}
	d := time.Second
	for _, n := range w.nodes {
		d = min(d, n.jitter()/8)
	}
	return d/4 + w.upTo(d*3/4)
}

// faults is a segment without any. If all packets take the same time nothing but
// the jitter can part two nodes in lockstep.
func (w *world) faults(delay time.Duration) simnet.Faults {
	if w.even {
		return simnet.Faults{MinDelay: delay, MaxDelay: delay}
	}
	return simnet.Faults{MinDelay: delay / 8, MaxDelay: delay}
}

// step is the time that one move of the election takes at most: a master-down
// time with its jitter, or the longest interval.
func (w *world) step() time.Duration {
	var d time.Duration
	for _, n := range w.nodes {
		d = max(d, n.longest, n.slowest)
	}
	return d + 2*w.delay
}

// chaos does a few things to the nodes and the network.
func (w *world) chaos() {
	w.healed = time.Time{}
	f := w.faults(w.delay)
	if w.oneIn(2) {
		f.Loss, f.Duplicate = pick(w, 0, 0.01, 0.1, 0.5, 0.9), pick(w, 0, 0.01, 0.3)
		w.net.SetFaults(seg4, f)
		w.net.SetFaults(seg6, f)
		w.logf(nil, "loss %v, duplicates %v", f.Loss, f.Duplicate)
	}
	for range w.intn(10) {
		w.wait(w.upTo(w.step() / 2))
		w.mischief(w.nodes[w.intn(len(w.nodes))])
	}
	w.wait(w.upTo(w.step() / 4))
}

func (w *world) wait(d time.Duration) { w.net.RunUntil(w.net.Now().Add(d)) }

// mischief is one thing that happens to n.
func (w *world) mischief(n *node) {
	other := w.nodes[(int(n.id)+1)%len(w.nodes)]
	switch w.intn(20) {
	case 0, 1:
		w.logf(n, "cut off from %d", other.id)
		w.net.Cut(seg4, n.id, other.id)
		w.net.Cut(seg6, n.id, other.id)
	case 2:
		w.logf(n, "partitioned away")
		w.net.Split(seg4, n.id)
		w.net.Split(seg6, n.id)
	case 3:
		w.logf(n, "one family cut off")
		w.net.Split(seg4+simnet.SegmentID(w.intn(2)), n.id)
	case 4:
		w.logf(nil, "segment heals")
		w.net.Heal(seg4)
		w.net.Heal(seg6)
	case 5:
		w.logf(n, "paused")
		w.net.Pause(n.id)
	case 6:
		w.logf(n, "thaws")
		w.net.Thaw(n.id)
		if w.oneIn(2) {
			n.tell(carp.Event{Kind: carp.EventStall})
		}
	case 7:
		w.logf(n, "crashes")
		w.net.Crash(n.id)
		n.boot()
	case 8, 9:
		n.raise()
	case 10:
		n.lower()
	case 11:
		n.tell(carp.Event{Kind: carp.EventLink, Link: pick(w, carp.LinkUp, carp.LinkUnknown, carp.LinkDown)})
	case 12:
		n.allow(w.oneIn(2))
	case 13, 14:
		n.demote(pick(w, 0, 0, 1, 1, 10, 32, 128, 240, 300, -10))
	case 15:
		n.tell(carp.Event{Kind: carp.EventForce, Force: pick(w, carp.Init, carp.Backup, carp.Master)})
	case 16:
		n.reconfigure()
	case 17:
		n.key = w.intn(3)
		n.tell(carp.Event{Kind: carp.EventKey})
	case 18:
		n.address(pick(w, carp.IPv4, carp.IPv6, carp.IPv4|carp.IPv6), w.oneIn(2))
	case 19:
		n.tell(carp.Event{Kind: carp.EventRefused})
	}
}

// awake reports whether somebody at the console of n would get an answer.
func (n *node) awake() bool { return !n.w.net.Crashed(n.id) && !n.w.net.Paused(n.id) }

// tell steps n with a command, if it is awake.
func (n *node) tell(ev carp.Event) {
	if !n.awake() {
		return
	}
	n.w.logf(n, "told event %d: demote %d, force %v, link %v, allow %v, families %d",
		ev.Kind, ev.Demote, ev.Force, ev.Link, ev.Allow, ev.Families)
	n.step(ev)
}

// raise boots n if it crashed, and takes it up.
func (n *node) raise() {
	if n.w.net.Crashed(n.id) {
		n.w.logf(n, "restarts")
		n.w.net.Restart(n.id)
	}
	if n.awake() {
		n.up = true
		n.tell(carp.Event{Kind: carp.EventUp})
	}
}

func (n *node) lower() {
	if n.awake() {
		n.up = false
		n.tell(carp.Event{Kind: carp.EventDown})
	}
}

func (n *node) allow(yes bool) {
	if n.awake() {
		n.deaf = !yes && (n.Dialect == carp.OpenBSD || n.Dialect == carp.NetBSD || n.Dialect == carp.UCarp)
		n.tell(carp.Event{Kind: carp.EventAllow, Allow: yes})
	}
}

func (n *node) demote(to int) {
	if n.awake() {
		n.demotion = to
		n.remember()
		n.tell(carp.Event{Kind: carp.EventDemote, Demote: to})
	}
}

func (n *node) reconfigure() {
	if !n.awake() {
		return
	}
	c := n.Config
	c.AdvSkew, c.Preempt = n.w.skew(), n.w.oneIn(2)
	n.w.vary(&c)
	n.Config = c
	n.remember()
	n.w.logf(n, "advskew %d, preempt %v", c.AdvSkew, c.Preempt)
	n.tell(carp.Event{Kind: carp.EventConfig, Config: c})
}

func (n *node) address(f carp.Families, added bool) {
	if n.awake() {
		n.families = f
		n.tell(carp.Event{Kind: carp.EventAddrs, Families: f, Added: added})
	}
}

// heal mends the network and the hosts. Configurations, demotions and who is
// taking part stay as chaos left them, but at least one node does.
func (w *world) heal() {
	w.logf(nil, "all is well again")
	for _, seg := range [...]simnet.SegmentID{seg4, seg6} {
		w.net.Heal(seg)
		w.net.SetFaults(seg, w.faults(w.delay))
	}
	someone := w.intn(len(w.nodes))
	families := w.nodes[0].families
	for i, n := range w.nodes {
		w.net.Thaw(n.id)
		if i == someone || w.net.Crashed(n.id) || !w.oneIn(4) {
			n.raise()
		}
		n.tell(carp.Event{Kind: carp.EventLink, Link: carp.LinkUp})
		n.allow(true)
		if n.key != 0 {
			n.key = 0
			n.tell(carp.Event{Kind: carp.EventKey})
		}
		if n.families != families {
			n.address(families, true)
		}
	}
	w.healed, w.change = w.net.Now(), w.net.Now()
}

// present are the nodes that take part.
func (w *world) present() []*params {
	var in []*params
	for _, n := range w.nodes {
		if n.up {
			in = append(in, &n.params)
		}
	}
	return in
}

// The bounds of quiet, in steps. A strict order of n nodes is settled after one
// step until somebody is master, and one for each takeover up the order, of
// which there are at most n. In a chase each round takes a step and is decided
// with a probability that depends on the delay and the skews of the nodes.
func stepsAllowed(v verdict, nodes int) int {
	if v == chase {
		return 60
	}
	return nodes + 1
}

// quiet waits until nothing has changed for so long that every timer had its
// turn, and looks who is master.
func (w *world) quiet() {
	in, step := w.present(), w.step()
	v := judge(in, w.delay)
	if v == flaps || w.storm() {
		w.count.flapping++
		w.wait(3 * step)
		for _, n := range w.nodes {
			if !n.since.IsZero() && !w.storm() {
				w.checkRivals(n, w.net.Now())
			}
		}
		return
	}
	bound := time.Duration(stepsAllowed(v, len(in)))*step + time.Second // the linger of one that leaves
	for w.net.Now().Sub(w.change) <= step {
		w.wait(step / 4)
		if took := w.change.Sub(w.healed); took > bound || w.storm() || w.err != nil {
			w.failf(w.nodes[0], "no peace %v after all is well, %v is the bound", took, bound)
			return
		}
	}
	took := w.change.Sub(w.healed)
	if v == chase {
		w.count.chases++
		w.count.longestChase = max(w.count.longestChase, int(took/step)+1)
	} else {
		w.count.strict++
		w.count.worst = max(w.count.worst, float64(took)/float64(bound))
	}
	w.checkMaster(in)
}

// checkMaster wants exactly one master, and the right one.
func (w *world) checkMaster(in []*params) {
	var master *node
	for _, n := range w.nodes {
		switch {
		case n.up == (n.m.State() == carp.Init):
			w.failf(n, "%v, up is %v", n.m.State(), n.up)
		case n.m.State() != carp.Master:
		case master != nil:
			w.failf(n, "a second master beside node %d", master.id)
		default:
			master = n
		}
	}
	switch {
	case master == nil:
		w.failf(w.nodes[0], "no master")
	case !settled(in, &master.params, w.delay):
		w.failf(master, "master, though another must take over")
	}
}
