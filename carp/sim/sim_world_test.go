package sim

import (
	"fmt"
	"io"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/simnet"
)

// advert is what travels: a header, and the key and addresses it was signed with.
type advert struct {
	header carp.Header
	key    int
}

// The segments of a world, one for each family, so that one can be cut.
const (
	seg4 simnet.SegmentID = iota
	seg6
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a segment with up to three machines on it.
type world struct {
	net    *simnet.Net[advert]
	nodes  []*node
	spare  [3]node
	delay  time.Duration // the longest of a packet
	even   bool          // each takes as long
	trace  io.Writer     // nil: none
	err    error         // the first invariant that broke
	healed time.Time     // since when all hear each other; zero: they may not
	change time.Time     // the last change of state
	start  int           // count.changes when the schedule began
	count  counts
}

// node is a machine and what its host keeps about it.
type node struct {
	w  *world
	id simnet.NodeID
	params
	m        carp.Machine
	families carp.Families
	key      int
	up       bool
	deaf     bool // allow=0 in the dialects that only ignore adverts
	deadline time.Time

	slowest time.Duration // the longest interval it ever had; old timers may run on
	longest time.Duration // and the longest master-down time, with the jitter
	since   time.Time     // master that has not bowed out, since then; else zero
}

func newWorld() *world {
	return &world{net: simnet.New[advert](epoch, 0)}
}

// reset empties the world for another schedule.
func (w *world) reset(seed uint64, trace io.Writer) {
	w.net.Reset(epoch, seed)
	w.nodes = w.nodes[:0]
	w.start = w.count.changes
	w.trace, w.err, w.healed, w.change = trace, nil, time.Time{}, epoch
}

// add adds a node that is in INIT.
func (w *world) add(c carp.Config, f carp.Families) *node {
	n := &w.spare[len(w.nodes)]
	*n = node{w: w, families: f}
	n.Config, n.order = c, len(w.nodes)
	n.id = w.net.AddNode(n, 1)
	w.nodes = append(w.nodes, n)
	n.boot()
	return n
}

// connect makes the segments.
func (w *world) connect(f simnet.Faults) {
	w.delay = f.MaxDelay
	ids := [...]simnet.NodeID{0, 1, 2}
	w.net.AddSegment(f, ids[:len(w.nodes)]...)
	w.net.AddSegment(f, ids[:len(w.nodes)]...)
}

func (w *world) logf(n *node, format string, args ...any) {
	if w.trace == nil {
		return
	}
	who := "-"
	if n != nil {
		who = fmt.Sprint(n.id)
	}
	fmt.Fprintf(w.trace, "%12.6f %s %s\n", w.net.Now().Sub(epoch).Seconds(), who, fmt.Sprintf(format, args...))
}

func (w *world) failf(n *node, format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: node %d: %s", w.net.Now().Sub(epoch), n.id, fmt.Sprintf(format, args...))
		w.logf(n, "FAILED: %v", w.err)
	}
}

// boot gives the node a machine that knows nothing.
func (n *node) boot() {
	n.m = *carp.NewMachine(n.Config, n.families)
	n.up, n.deaf, n.demotion, n.deadline, n.since = false, false, 0, time.Time{}, time.Time{}
	n.remember()
}

// remember is called when anything has changed that decides a timer.
func (n *node) remember() {
	n.slowest = max(n.slowest, n.interval())
	n.longest = max(n.longest, n.masterDown()+n.jitter())
}

// Timer implements [simnet.Handler].
func (n *node) Timer(int) { n.step(carp.Event{Kind: carp.EventTimer}) }

// Packet implements [simnet.Handler]. Which packets reach a machine at all is
// the business of carp.VirtualHost.
func (n *node) Packet(seg simnet.SegmentID, from simnet.NodeID, a advert) {
	f := carp.IPv4 << seg
	if n.deaf || a.key != n.key || n.families&f == 0 {
		return
	}
	n.step(carp.Event{Kind: carp.EventAdvert, Advert: a.header, Family: f, Lower: from < n.id})
}

// step steps the machine, holds its answer against what is always true, and acts
// on it.
func (n *node) step(ev carp.Event) {
	w, now, before := n.w, n.w.net.Now(), n.m
	if w.err != nil || w.storm() {
		return // what broke may well go on for ever
	}
	out := n.m.Step(now, ev)
	w.count.steps++
	n.checkTwin(now, ev, before, &out)
	n.checkOutput(now, ev, &before, &out)
	n.deadline = out.Deadline
	w.net.SetTimer(n.id, 0, out.Deadline)
	if out.Send {
		n.send(out.Advert)
	}
	n.note(now, &out)
}

// storm reports whether the nodes have taken over from each other so often that
// this schedule is better given up.
func (w *world) storm() bool { return w.count.changes-w.start > 3_000 }

// checkTwin steps a copy of the machine as it was: it must do the same. Then it
// steps the copy with an early timer: nothing may happen.
func (n *node) checkTwin(now time.Time, ev carp.Event, twin carp.Machine, out *carp.Output) {
	if again := twin.Step(now, ev); again != *out || twin != n.m {
		n.w.failf(n, "a copy of the machine does something else: %+v, not %+v", again, *out)
	}
	if out.Deadline.IsZero() || out.Deadline.After(now) {
		early := twin.Step(now, carp.Event{Kind: carp.EventTimer})
		if want := (carp.Output{From: out.To, To: out.To, Deadline: out.Deadline}); early != want || twin != n.m {
			n.w.failf(n, "an early timer is not harmless: %+v", early)
		}
	}
}

func (n *node) checkOutput(now time.Time, ev carp.Event, before *carp.Machine, out *carp.Output) {
	late := ev.Kind != carp.EventTimer && !n.deadline.IsZero() && !n.deadline.After(now) // a timer is overdue, nobody stepped it
	switch {
	case out.From != before.State() || out.To != n.m.State():
		n.w.failf(n, "event %d: output says %v to %v, machine %v to %v", ev.Kind, out.From, out.To, before.State(), n.m.State())
	case out.Deadline.IsZero() != (out.To == carp.Init):
		n.w.failf(n, "event %d: %v with deadline %v", ev.Kind, out.To, out.Deadline)
	case !out.Deadline.IsZero() && !out.Deadline.After(now) && !late:
		n.w.failf(n, "event %d: %v with a deadline %v ago", ev.Kind, out.To, now.Sub(out.Deadline))
	case out.From != out.To && out.Reason == carp.ReasonNone:
		n.w.failf(n, "event %d: %v to %v without a reason", ev.Kind, out.From, out.To)
	case out.Send && out.From != carp.Master && out.To != carp.Master:
		n.w.failf(n, "event %d: an advert of a %v", ev.Kind, out.To)
	case (out.Announce || out.Reassert) && out.To != carp.Master:
		n.w.failf(n, "event %d: an announcement of a %v", ev.Kind, out.To)
	case out.From == carp.Backup && out.To == carp.Master && (!out.Send || !out.Announce):
		n.w.failf(n, "event %d: a silent takeover", ev.Kind)
	case before.Leaving() && out.Send && out.From == carp.Master && out.To == carp.Master:
		n.w.failf(n, "event %d: an advert after the bow-out", ev.Kind)
	}
}

func (n *node) send(h carp.Header) {
	a := advert{header: h, key: n.key}
	if n.families&carp.IPv4 != 0 {
		n.w.net.Broadcast(seg4, n.id, a)
	}
	if n.families&carp.IPv6 != 0 {
		n.w.net.Broadcast(seg6, n.id, a)
	}
}

// note keeps the books about masters.
func (n *node) note(now time.Time, out *carp.Output) {
	w := n.w
	if out.From != out.To {
		w.change = now
		w.count.changes++
		w.logf(n, "%v -> %v (%v)", out.From, out.To, out.Reason)
		switch out.Reason {
		case carp.ReasonEqualMaster:
			w.count.ties++
		case carp.ReasonPreempt:
			w.count.preemptions++
		case carp.ReasonMasterDemoted, carp.ReasonLessDemoted:
			w.count.demotions++
		case carp.ReasonMasterLeft, carp.ReasonHandedOver:
			w.count.bowOuts++
		}
	}
	switch speaking := out.To == carp.Master && !n.m.Leaving(); {
	case speaking && n.since.IsZero():
		n.since = now
	case !speaking && !n.since.IsZero():
		w.checkRivals(n, now)
		n.since = time.Time{}
	}
}

// checkRivals holds the time that n was master beside another one against what
// the timers allow: the one that must yield has to hear one advert of the other.
func (w *world) checkRivals(n *node, now time.Time) {
	if w.healed.IsZero() || n.wraps() {
		return
	}
	for _, r := range w.nodes {
		if r == n || r.since.IsZero() || r.wraps() {
			continue
		}
		start := n.since
		for _, t := range [...]time.Time{r.since, w.healed} {
			if t.After(start) {
				start = t
			}
		}
		limit := time.Duration(1<<63 - 1)
		if r.yields(&n.params) {
			limit = n.slowest
		}
		if n.yields(&r.params) {
			limit = min(limit, r.slowest)
		}
		if d := now.Sub(start); d > limit+w.delay {
			w.failf(n, "master for %v beside node %d, %v is the bound", d, r.id, limit+w.delay)
		}
	}
}
