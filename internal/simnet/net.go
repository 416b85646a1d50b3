// Package simnet is a network that exists in memory only and runs on a clock of
// its own: nodes on segments that lose, delay, duplicate and cut, driven by one
// queue of events. There are no goroutines and no real time, so a run is as fast
// as the work of its nodes, and the same seed gives the same run.
//
// A [Net] carries values of any type: whole adverts for a simulation of millions
// of schedules, Ethernet frames behind a [Switch] for one that looks like a
// network. Nothing is allocated for a packet once the queue has grown.
package simnet

import (
	"math/rand/v2"
	"time"
)

// A NodeID names a node of a [Net], counting from 0 in the order they were added.
type NodeID int

// A Handler is what a node does. Its methods are called by [Net.RunUntil], one at a
// time, and may use the Net freely.
type Handler[P any] interface {
	// Packet is called for each packet that reaches the node.
	Packet(seg SegmentID, from NodeID, p P)
	// Timer is called when the timer with that number is due.
	Timer(timer int)
}

// A Net is a simulated network. It is not safe for concurrent use.
type Net[P any] struct {
	epoch time.Time
	now   time.Duration // since epoch
	pcg   *rand.PCG
	rand  *rand.Rand
	queue queue
	slots slots[P] // packets under way
	nodes []node[P]
	segs  []segment
}

// node is a node and what the network knows of it.
type node[P any] struct {
	handler Handler[P]
	timers  []timer
	paused  bool
	crashed bool
	held    []int32 // slots of the packets that wait for the thaw
}

// timer has at most one event of its own in the queue that counts: setting a
// timer later, as each advert does, leaves the queue alone.
type timer struct {
	due    time.Duration
	queued time.Duration
}

const never = time.Duration(-1)

// New makes an empty network whose clock shows epoch.
func New[P any](epoch time.Time, seed uint64) *Net[P] {
	n := &Net[P]{epoch: epoch, pcg: rand.NewPCG(seed, seed)}
	n.rand = rand.New(n.pcg)
	return n
}

// Reset makes n what [New] returns, but keeps its memory.
func (n *Net[P]) Reset(epoch time.Time, seed uint64) {
	n.epoch, n.now = epoch, 0
	n.pcg.Seed(seed, seed)
	n.queue.reset()
	n.slots.reset()
	n.nodes, n.segs = n.nodes[:0], n.segs[:0]
}

// Now is the time on the network's clock.
func (n *Net[P]) Now() time.Time { return n.epoch.Add(n.now) }

// Rand is the network's source of chance, for its user to draw from as well.
func (n *Net[P]) Rand() *rand.Rand { return n.rand }

// AddNode adds a node with as many timers as it needs, none of them set.
func (n *Net[P]) AddNode(h Handler[P], timers int) NodeID {
	id := len(n.nodes)
	if id < cap(n.nodes) {
		n.nodes = n.nodes[:id+1]
	} else {
		n.nodes = append(n.nodes, node[P]{})
	}
	nd := &n.nodes[id]
	nd.handler, nd.paused, nd.crashed, nd.held = h, false, false, nd.held[:0]
	nd.timers = nd.timers[:0]
	for range timers {
		nd.timers = append(nd.timers, timer{due: never, queued: never})
	}
	return NodeID(id)
}

// SetTimer sets one of a node's timers to at, or at once if that has passed. The
// zero time stops it.
func (n *Net[P]) SetTimer(id NodeID, number int, at time.Time) {
	t := &n.nodes[id].timers[number]
	if at.IsZero() {
		t.due = never
		return
	}
	t.due = max(at.Sub(n.epoch), n.now)
	if t.queued == never || t.due < t.queued {
		n.queueTimer(id, number, t.due)
	}
}

func (n *Net[P]) queueTimer(id NodeID, number int, at time.Duration) {
	n.nodes[id].timers[number].queued = at
	n.queue.push(event{at: at, node: int32(id), timer: int32(number), slot: noSlot})
}

// Pause stops a node: it hears nothing and its timers do not fire, but packets
// for it are kept.
func (n *Net[P]) Pause(id NodeID) { n.nodes[id].paused = true }

// Thaw ends a pause. The node gets the packets it missed and the timers that
// are overdue, in that order or, as chance decides, the other way round: on a
// real machine it depends on the scheduler.
func (n *Net[P]) Thaw(id NodeID) {
	nd := &n.nodes[id]
	if !nd.paused {
		return
	}
	nd.paused = false
	timersFirst := n.rand.Uint64()&1 == 0
	if timersFirst {
		n.wakeTimers(id)
	}
	for _, slot := range nd.held {
		n.queue.push(event{at: n.now, node: int32(id), slot: slot})
	}
	nd.held = nd.held[:0]
	if !timersFirst {
		n.wakeTimers(id)
	}
}

// wakeTimers queues the timers whose event came during a pause.
func (n *Net[P]) wakeTimers(id NodeID) {
	for i, t := range n.nodes[id].timers {
		if t.due != never && t.queued == never {
			n.queueTimer(id, i, max(t.due, n.now))
		}
	}
}

// Crash switches a node off: its timers are gone, and so is every packet that
// waits for it or reaches it.
func (n *Net[P]) Crash(id NodeID) {
	nd := &n.nodes[id]
	nd.crashed, nd.paused = true, false
	for _, slot := range nd.held {
		n.slots.free(slot)
	}
	nd.held = nd.held[:0]
	for i := range nd.timers {
		nd.timers[i].due = never
	}
}

// Restart switches a crashed node on again. It is for the node's owner to set
// its timers.
func (n *Net[P]) Restart(id NodeID) { n.nodes[id].crashed = false }

// Paused and Crashed report what a node is.
func (n *Net[P]) Paused(id NodeID) bool  { return n.nodes[id].paused }
func (n *Net[P]) Crashed(id NodeID) bool { return n.nodes[id].crashed }

// RunUntil handles everything that happens up to and at end, and sets the clock
// to it.
func (n *Net[P]) RunUntil(end time.Time) {
	limit := end.Sub(n.epoch)
	for n.queue.len() > 0 && n.queue.first().at <= limit {
		e := n.queue.pop()
		n.now = max(n.now, e.at)
		if e.slot == noSlot {
			n.fire(e)
		} else {
			n.arrive(e)
		}
	}
	n.now = max(n.now, limit)
}

// fire handles the event of a timer, which may have been stopped or set later.
func (n *Net[P]) fire(e event) {
	nd := &n.nodes[e.node]
	t := &nd.timers[e.timer]
	if t.queued != e.at {
		return // another event of this timer came before
	}
	t.queued = never
	switch {
	case t.due == never || nd.paused || nd.crashed:
	case t.due > e.at:
		n.queueTimer(NodeID(e.node), int(e.timer), t.due)
	default:
		t.due = never
		nd.handler.Timer(int(e.timer))
	}
}

// arrive hands a packet to its node.
func (n *Net[P]) arrive(e event) {
	nd := &n.nodes[e.node]
	switch {
	case nd.crashed: // even if it is paused as well
		n.slots.free(e.slot)
	case nd.paused:
		nd.held = append(nd.held, e.slot)
	default:
		p := n.slots.all[e.slot]
		n.slots.free(e.slot)
		nd.handler.Packet(p.seg, p.from, p.packet)
	}
}
