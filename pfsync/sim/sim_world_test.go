package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A world is two nodes and the network between them, on a virtual clock.
type world struct {
	rand  *rand.Rand
	now   time.Time
	queue arrivals
	nodes []*node
	seq   int

	ids    []pfsync.StateID // all that were ever made
	faults faults
	cut    [2]bool // from 0 to 1, from 1 to 0
	err    error
}

// faults are what befalls each datagram.
type faults struct {
	loss, duplicate float64
	delay, jitter   time.Duration
}

// A node is what runs on one host.
type node struct {
	w         *world
	name      string
	addr      netip.Addr
	config    pfsync.Config
	limit     int
	epoch     uint64
	session   *pfsync.Session
	converger *pfsync.Converger // nil: pfsync alone
	store     *pfsync.Memory
	timer     time.Time // of the session
	side      time.Time // of the converger
	expire    time.Time
	serial    uint64
	deleted   map[pfsync.StateID]bool // by this node, for good
}

// An arrival is a datagram on its way.
type arrival struct {
	at   time.Time
	seq  int
	to   int
	side bool
	data []byte
}

type arrivals []arrival

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].seq < a[j].seq
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func newWorld(seed uint64, dialect pfsync.Dialect, converge bool) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1e9, 0)}
	w.faults.delay = time.Millisecond
	for i, name := range []string{"a", "b"} {
		n := &node{w: w, name: name, addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), limit: 1 << 20,
			config:  pfsync.Config{Dialect: dialect, HostID: uint32(i + 1), Bulk: pfsync.BulkConfig{Interval: -1}},
			deleted: make(map[pfsync.StateID]bool)}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		n.start(converge)
	}
	return w
}

// forever keeps states from expiring, which they would do on each node when its
// own clock says so.
var forever = func() pfsync.Timeouts {
	all := make(pfsync.Timeouts)
	for class := pfsync.TCPFirst; class <= pfsync.OtherMultiple; class++ {
		all[class] = 240 * time.Hour
	}
	return all
}()

// peer is the other one.
func (n *node) peer() *node {
	if n == n.w.nodes[0] {
		return n.w.nodes[1]
	}
	return n.w.nodes[0]
}

// start starts a node with an empty table.
func (n *node) start(converge bool) {
	var err error
	n.store, err = pfsync.NewMemory(pfsync.MemoryConfig{Dialect: n.config.Dialect, Limit: n.limit, Timeouts: forever})
	n.w.check(err)
	n.epoch++
	if converge {
		n.converger = pfsync.NewConverger(pfsync.ConvergeConfig{
			HostID: n.config.HostID, Epoch: n.epoch<<32 | n.w.rand.Uint64()>>32 | 1, Peers: []netip.Addr{n.peer().addr},
		}, n.store)
		n.config.Removed = n.converger.WasRemoved
	}
	n.config.Watch = func(c pfsync.Change) {
		if n.converger == nil {
			return
		}
		switch c.Op {
		case pfsync.ChangeDelete:
			n.converger.Removed(n.w.now, c.State.StateID, false)
		case pfsync.ChangeInsert:
			n.converger.Inserted(c.State.StateID)
		}
	}
	n.session, err = pfsync.NewSession(n.config, n.store)
	n.w.check(err)
	n.timer, n.side, n.expire = time.Time{}, n.w.now, n.w.now.Add(time.Second)
	n.step(pfsync.Event{Kind: pfsync.EventUp})
	n.step(pfsync.Event{Kind: pfsync.EventLinkUp})
}

func (w *world) check(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}

// step feeds an event to the session and sends what comes of it.
func (n *node) step(ev pfsync.Event) {
	out := n.session.Step(n.w.now, ev)
	for _, f := range out.Frames {
		f = slices.Clone(f)
		if n.converger != nil {
			n.converger.Sent(n.config.Dialect, f)
		}
		n.w.send(n, false, f)
	}
	if n.converger != nil {
		n.converger.Hold(!n.session.Synced() || n.session.Answering())
	}
	n.timer = out.Deadline
}

// converged does what the converger wants.
func (n *node) converged(out pfsync.ConvergeOutput) {
	for _, m := range out.Messages {
		n.w.send(n, true, m.Data)
	}
	for _, id := range slices.Clone(out.Resend) {
		n.step(pfsync.Event{Kind: pfsync.EventResend, ID: id})
	}
	if out.Resync {
		n.step(pfsync.Event{Kind: pfsync.EventResync})
	}
	if d := out.Deadline; !d.IsZero() && (!n.side.After(n.w.now) || d.Before(n.side)) {
		n.side = d
	}
}

// send puts a datagram on the wire.
func (w *world) send(from *node, side bool, data []byte) {
	to := 1
	if from == w.nodes[1] {
		to = 0
	}
	copies := 1
	if w.rand.Float64() < w.faults.duplicate {
		copies = 2
	}
	for range copies {
		if w.cut[1-to] || w.rand.Float64() < w.faults.loss {
			continue
		}
		at := w.now.Add(w.faults.delay)
		if w.faults.jitter > 0 {
			at = at.Add(time.Duration(w.rand.Int64N(int64(w.faults.jitter))))
		}
		w.seq++
		heap.Push(&w.queue, arrival{at, w.seq, to, side, data})
	}
}

// run lets d go by.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.err == nil; {
		next := end
		if len(w.queue) > 0 && w.queue[0].at.Before(next) {
			next = w.queue[0].at
		}
		for _, n := range w.nodes {
			for _, t := range []time.Time{n.timer, n.expire, n.side} {
				if !t.IsZero() && t.Before(next) && (n.converger != nil || t != n.side) {
					next = t
				}
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		if !w.now.Before(end) {
			return
		}
		w.turn()
	}
}

// turn does everything that is due now.
func (w *world) turn() {
	for len(w.queue) > 0 && !w.queue[0].at.After(w.now) {
		a := heap.Pop(&w.queue).(arrival)
		w.nodes[a.to].arrive(a)
	}
	for _, n := range w.nodes {
		if !n.timer.IsZero() && !n.timer.After(w.now) {
			n.step(pfsync.Event{Kind: pfsync.EventTimer})
		}
		if n.converger != nil && !n.side.After(w.now) {
			n.converged(n.converger.Timer(w.now))
		}
		if !n.expire.After(w.now) {
			n.expire = w.now.Add(time.Second)
			var gone []pfsync.StateID
			n.store.Expire(w.now, func(id pfsync.StateID) { gone = append(gone, id) })
			for _, id := range gone {
				n.step(pfsync.Event{Kind: pfsync.EventDelete, ID: id})
			}
		}
	}
}

// arrive takes a datagram in.
func (n *node) arrive(a arrival) {
	if a.side {
		if n.converger == nil {
			return
		}
		out, err := n.converger.Message(n.w.now, n.peer().addr, a.data)
		_ = err // from a former life
		n.converged(out)
		return
	}
	if n.converger != nil {
		n.converged(n.converger.Received(n.w.now, [16]byte(a.data[4:])))
	}
	n.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{
		Data: a.data, Src: n.peer().addr, Dst: pfsync.Group4, TTL: 255}})
}

// removed tells the session of a state that is gone.
func (n *node) removed(id pfsync.StateID) {
	if n.converger != nil {
		n.converger.Removed(n.w.now, id, true)
	}
	n.step(pfsync.Event{Kind: pfsync.EventDelete, ID: id})
}

// carried is what of a state the protocol carries in all its formats, and what
// therefore must be the same on both nodes. The rest is the business of each node.
type carried struct {
	Wire, Stack pfsync.Key
	Src, Dst    pfsync.Peer
	Direction   pfsync.Direction
	Timeout     pfsync.Timeout
	IfName      pfsync.Name
}

// table is what is in a node.
func (n *node) table() map[pfsync.StateID]carried {
	all := make(map[pfsync.StateID]carried)
	for st := range n.store.States(n.w.now) {
		all[st.StateID] = carried{st.Wire, st.Stack, st.Src, st.Dst, st.Direction, st.Timeout, st.IfName}
	}
	return all
}

// differ describes the first differences of the two tables.
func (w *world) differ() string {
	a, b := w.nodes[0].table(), w.nodes[1].table()
	var text string
	count := 0
	note := func(format string, args ...any) {
		if count++; count <= 5 {
			text += fmt.Sprintf("\n\t"+format, args...)
		}
	}
	for id, sa := range a {
		if sb, ok := b[id]; !ok {
			note("%v only on a", id)
		} else if sa != sb {
			note("%v: %s", id, cmp.Diff(sa, sb))
		}
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			note("%v only on b", id)
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d and %d states differ:%s", count, len(a), len(b), text)
}
