package carp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/demote"
)

// A NodeConfig is what a [Node] is made of.
type NodeConfig struct {
	// Interface is the name of the interface, for hooks, logs and the causes of
	// demotions.
	Interface string

	// Transport carries the packets of the interface. Run closes it.
	Transport Transport

	// IfIndex, if not 0, is the interface that packets must arrive on.
	IfIndex int

	// Groups are the virtual hosts to begin with; [Node.Add] adds more.
	Groups []GroupConfig

	// Hooks observe the node.
	Hooks Hooks

	// Links delivers the state of the interface whenever it changes, and at the
	// start if it is not up. Nil means that it is up. Closing it changes nothing.
	Links <-chan Link

	// Suspended is the time that the host has spent suspended, by which the node
	// notices that it was. Nil means that it does not look.
	Suspended func() time.Duration

	// Logger is nil for no logs. Changes of state are logged at Info, dropped
	// packets at Debug.
	Logger *slog.Logger
}

// Validate reports everything that is wrong with c.
func (c *NodeConfig) Validate() error {
	var errs []error
	if c.Transport == nil {
		errs = append(errs, errors.New("carp: no transport"))
	}
	seen := make(map[uint8]bool)
	for i := range c.Groups {
		g := &c.Groups[i]
		errs = append(errs, g.Validate())
		if seen[g.VHID] {
			errs = append(errs, fmt.Errorf("carp: vhid %d: given twice", g.VHID))
		}
		seen[g.VHID] = true
	}
	return errors.Join(errs...)
}

// A Node runs the virtual hosts of one interface. One goroutine, that of Run,
// owns all of them; the other methods may be called from any goroutine but from
// within the hooks and Addrs, which run on Run's.
type Node struct {
	cfg    NodeConfig
	log    *slog.Logger
	shared Demoter // of the groups that have none of their own

	ctx      context.Context // Run's
	groups   [256]*group
	timers   timerHeap
	link     Link
	allow    bool
	stopping bool
	outgoing []Packet
	slept    time.Duration
	settled  time.Time // when the node had last done all its work

	stats   counters
	roster  atomic.Pointer[[256]*group] // groups, for Status
	started atomic.Bool
	ready   chan struct{}  // closed when Run has begun
	done    chan struct{}  // closed when it has ended
	calls   chan func()    // to be run on its goroutine
	wake    chan struct{}  // a demotion has changed
	free    chan *received // buffers for the reader
	packets chan *received // and what it has read
	readErr chan error
}

// received is a packet on its way from the reader to the node.
type received struct{ packet Packet }

// queueLen is the number of packets that may wait for the node. More wait in the
// transport.
const queueLen = 64

// drainLimit bounds what a node reads before it declares a master dead, so that
// a flood cannot keep it from doing so.
const drainLimit = 1024

// NewNode makes a node. It opens nothing and starts nothing.
func NewNode(c NodeConfig) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: c, log: c.Logger, shared: new(demote.Counter), allow: true,
		ready: make(chan struct{}), done: make(chan struct{}),
		calls: make(chan func()), wake: make(chan struct{}, 1),
		free: make(chan *received, queueLen), packets: make(chan *received, queueLen),
		readErr: make(chan error, 1),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	for _, gc := range c.Groups {
		n.complete(&gc)
		g, err := newGroup(n, gc)
		if err != nil {
			return nil, err
		}
		n.groups[gc.VHID] = g
	}
	n.cfg.Groups = nil
	n.publish()
	return n, nil
}

// complete sets what a node chooses where c leaves it open.
func (n *Node) complete(c *GroupConfig) {
	if c.Linger == 0 {
		c.Linger = DefaultLinger
		if c.AdvBase == SubSecond {
			c.Linger += c.MasterDown()
		}
	}
	if c.Counter == 0 {
		c.Counter = random()
	}
	if c.Seed == 0 {
		c.Seed = random()
	}
}

// random is a random number other than 0.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

// Run runs the node until ctx is done. It then takes all groups down: masters
// bow out and, if they linger, go on until a successor is there. Run returns nil
// then, else the error that ended it. It closes the transport, and leaves no
// address, demotion or goroutine behind. It can be called once.
func (n *Node) Run(ctx context.Context) (err error) {
	if n.started.Swap(true) {
		return errors.New("carp: Run was called before")
	}
	n.ctx = ctx
	quit := make(chan struct{})
	reader := make(chan struct{})
	for range queueLen {
		n.free <- new(received)
	}
	go n.read(quit, reader)
	defer func() {
		close(quit)
		err = errors.Join(err, n.close())
		<-reader
		close(n.done)
	}()

	now := time.Now()
	n.slept = n.suspended()
	for _, g := range n.groups {
		if g != nil {
			n.start(now, g)
		}
	}
	close(n.ready)
	return n.loop(ctx)
}

// close releases whatever is still held and closes the transport.
func (n *Node) close() error {
	var errs []error
	for _, g := range n.groups {
		if g != nil {
			errs = append(errs, n.remove(g))
		}
	}
	if err := n.cfg.Transport.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		errs = append(errs, fmt.Errorf("carp: close: %w", err))
	}
	return errors.Join(errs...)
}

// read moves packets from the transport to the node, which checks them.
func (n *Node) read(quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	for {
		var r *received
		select {
		case r = <-n.free:
		case <-quit:
			return
		}
		if err := n.cfg.Transport.ReadPacket(&r.packet); err != nil {
			n.readErr <- err
			return
		}
		select {
		case n.packets <- r:
		case <-quit:
			return
		}
	}
}

// loop is where everything happens.
func (n *Node) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	cancelled, links := ctx.Done(), n.cfg.Links
	for {
		// What is due comes first, so that a flood of packets delays nothing.
		n.expire()
		if n.stopping && n.idle() {
			return nil
		}
		if g := n.timers.first(); g != nil {
			timer.Reset(time.Until(g.due))
		} else {
			timer.Stop()
		}
		n.settled = time.Now()
		select {
		case r := <-n.packets:
			n.awake()
			n.receive(time.Now(), r)
		case f := <-n.calls:
			n.awake()
			f()
		case <-n.wake:
			n.awake()
			n.refresh()
		case l, ok := <-links:
			if !ok {
				links = nil
				continue
			}
			n.awake()
			n.setLink(time.Now(), l)
		case <-timer.C:
			n.awake()
		case err := <-n.readErr:
			return fmt.Errorf("carp: read: %w", err)
		case <-cancelled:
			cancelled = nil
			n.stop(time.Now())
		}
	}
}

// awake looks whether this host stood still while the node waited, before it does
// anything else: a master that may have been replaced must not speak.
func (n *Node) awake() {
	s, now := n.suspended(), time.Now()
	if s-n.slept > minStall {
		n.slept = s
		n.log.Warn("carp: this host was suspended")
		for _, g := range n.groups {
			if g != nil && g.vh.machine.state != Init {
				n.stall(now, g)
			}
		}
	}
	if g := n.timers.first(); g == nil || now.Sub(g.due) <= minStall {
		return
	}
	for _, g := range n.groups {
		if g != nil && g.vh.machine.state == Master && g.late(now, n.settled) {
			n.stall(now, g)
		}
	}
}

// expire does all that is due. A master is declared dead only after everything
// that has arrived was looked at, and so is a master that is late, were it by our
// own work; a backup that found nothing and stood still listens anew.
func (n *Node) expire() {
	woke := time.Now()
	for drained := false; ; {
		g, now := n.timers.first(), time.Now()
		switch {
		case g == nil || now.Before(g.due):
			return
		case !drained && (g.vh.machine.state == Backup || g.late(now, time.Time{})):
			n.drain() // it may not be due any more
			drained = true
		case g.vh.machine.state == Backup && g.late(woke, n.settled):
			n.stall(now, g)
		default:
			g.expire(now)
		}
	}
}

// stall tells a group that this host stood still.
func (n *Node) stall(now time.Time, g *group) {
	n.stats.stalls.Add(1)
	g.log.Warn("carp: stood still, listening again", "late", now.Sub(g.deadline))
	g.step(now, Event{Kind: EventStall})
}

func (n *Node) suspended() time.Duration {
	if n.cfg.Suspended == nil {
		return 0
	}
	return n.cfg.Suspended()
}

// drain takes in all packets that have arrived, within reason.
func (n *Node) drain() {
	left := drainLimit
	for queued := true; queued && left > 0; left-- {
		select {
		case r := <-n.packets:
			n.receive(time.Now(), r)
		default:
			queued = false
		}
	}
	d, ok := n.cfg.Transport.(Drainer)
	if !ok {
		return
	}
	var r received
	for ; left > 0; left-- {
		if ok, err := d.TryReadPacket(&r.packet); !ok || err != nil {
			return // the reader meets the error too
		}
		n.take(time.Now(), &r.packet)
	}
}

// receive takes a packet in and gives its buffer back.
func (n *Node) receive(now time.Time, r *received) {
	n.take(now, &r.packet)
	n.free <- r
}

// take hands a packet to its group, or counts why not.
func (n *Node) take(now time.Time, p *Packet) {
	if p.family() == IPv6 {
		n.stats.in6.Add(1)
	} else {
		n.stats.in.Add(1)
	}
	if err := n.dispatch(now, p); err != nil {
		n.stats.drop(err).Add(1)
		if n.log.Enabled(n.ctx, slog.LevelDebug) { // there may be many
			n.log.Debug("carp: packet dropped", "interface", n.cfg.Interface, "src", p.Src, "err", err)
		}
		if f := n.cfg.Hooks.PacketDropped; f != nil {
			f(*p, err)
		}
	}
}

func (n *Node) dispatch(now time.Time, p *Packet) error {
	switch {
	case !n.allow:
		return ErrIgnored
	case n.cfg.IfIndex != 0 && p.IfIndex != 0 && p.IfIndex != n.cfg.IfIndex:
		return ErrInterface
	}
	var g *group
	if len(p.Data) > 1 {
		g = n.groups[p.Data[1]]
	}
	h, err := inspect(p, g != nil && g.vh.anyTTL())
	switch {
	case err != nil:
		return err
	case g == nil:
		return ErrVHID
	}
	out, err := g.vh.receive(now, p, &h)
	if err != nil {
		return err
	}
	g.status.Heard = Heard{At: now, Src: p.Src, AdvBase: h.AdvBase, AdvSkew: h.AdvSkew, Demote: h.Demote}
	g.act(now, out)
	return nil
}

// start brings a group up to what the node knows.
func (n *Node) start(now time.Time, g *group) {
	g.unwatch = g.demote.Watch(func() {
		g.stale.Store(true)
		select {
		case n.wake <- struct{}{}:
		default:
		}
	})
	g.stale.Store(true)
	g.refresh(now)
	n.tell(now, g)
	if !g.cfg.Down {
		g.step(now, Event{Kind: EventUp})
	}
}

// tell passes the state of the interface and allow on to a group.
func (n *Node) tell(now time.Time, g *group) {
	g.step(now, Event{Kind: EventLink, Link: n.link})
	g.step(now, Event{Kind: EventAllow, Allow: n.allow})
	rules := g.vh.machine.rules
	g.fault(faultLink, n.link == LinkDown || n.link == LinkUnknown && !rules.unknownIsUp)
	g.fault(faultAllow, !n.allow && rules.allowStops)
}

// setLink takes the state of the interface in.
func (n *Node) setLink(now time.Time, l Link) {
	if l == n.link {
		return
	}
	n.log.Info("carp: link "+l.String(), "interface", n.cfg.Interface)
	n.link = l
	for _, g := range n.groups {
		if g != nil {
			n.tell(now, g)
		}
	}
}

// refresh tells the groups of changed demotions.
func (n *Node) refresh() {
	now := time.Now()
	for _, g := range n.groups {
		if g != nil {
			g.refresh(now)
		}
	}
}

// stop takes all groups down for good.
func (n *Node) stop(now time.Time) {
	n.stopping = true
	for _, g := range n.groups {
		if g != nil {
			g.step(now, Event{Kind: EventDown})
		}
	}
}

// idle reports whether all groups are in INIT and hold nothing, or cannot let go of
// it.
func (n *Node) idle() bool {
	for _, g := range n.groups {
		if g != nil && (g.vh.machine.state != Init || g.status.Held && g.releaseErr == nil) {
			return false
		}
	}
	return true
}

// remove lets go of all that a group holds, at once. It fails if the addresses
// could not be released.
func (n *Node) remove(g *group) error {
	now := time.Now()
	g.vh.machine.cfg.Linger = 0
	g.step(now, Event{Kind: EventDown})
	if g.vh.machine.Leaving() {
		g.step(now, Event{Kind: EventStall}) // wait no longer
	}
	if !g.releaseAt.IsZero() {
		g.release(now)
	}
	g.report()
	for kind := range g.faults {
		g.fault(kind, false)
	}
	if g.unwatch != nil {
		g.unwatch()
	}
	n.timers.set(g, time.Time{})
	n.groups[g.cfg.VHID] = nil
	return g.releaseErr
}

// publish makes the groups known to Status.
func (n *Node) publish() {
	groups := n.groups
	n.roster.Store(&groups)
}
