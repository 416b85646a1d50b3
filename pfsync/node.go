package pfsync

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A NodeConfig is what a [Node] is made of.
type NodeConfig struct {
	// Session is how the node speaks. A HostID of 0 becomes a random one. Peers
	// becomes NodeConfig.Peers unless it is set or AnyPeer is: then packets from
	// whomever are taken in, as the kernels do.
	Session Config
	AnyPeer bool

	// Store is the state table. If it is an [Expirer], the node has it remove what
	// is due, every second, and tells the peers.
	Store Store

	// Transport carries the packets of the sync interface. Run closes it.
	Transport Transport

	// Peers are the syncpeers, to which everything is sent instead of to Group.
	Peers []netip.Addr

	// Group is the multicast group; the zero Addr is [Group4].
	Group netip.Addr

	// Side and Converge make the node agree on its table with others of this
	// library: see [Converger]. Without Side there is none of that. The Store
	// must be a [Digester]. HostID and Epoch of Converge are set by the node.
	Side     SideTransport
	Converge ConvergeConfig

	// Demote is the demotion counter that a bulk update and a lost link
	// contribute to. Nil for none.
	Demote Demoter

	// Links delivers the state of the sync interface whenever it changes, and at
	// the start. Nil means that it is up. Closing it changes nothing.
	Links <-chan Link

	// Release is called for states whose first packet was held back by Defer and
	// may go now, on the goroutine of Run.
	Release func(StateID)

	// Logger is nil for no logs.
	Logger *slog.Logger
}

// A Demoter is a demotion counter of package demote. Set makes n the contribution
// of cause, 0 to take it back.
type Demoter interface {
	Set(cause string, n int)
}

// An Expirer is a [Store] whose states have to be removed when they are due.
type Expirer interface {
	Expire(now time.Time, removed func(StateID)) int
}

// Validate reports everything that is wrong with c.
func (c *NodeConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("pfsync: no store"))
	}
	if c.Transport == nil {
		errs = append(errs, errors.New("pfsync: no transport"))
	}
	if _, ok := c.Store.(Digester); c.Side != nil && !ok {
		errs = append(errs, errors.New("pfsync: the store has no digests, which a side channel is for"))
	}
	if c.Side != nil {
		errs = append(errs, c.Converge.validate())
	}
	if g := c.Group; g.IsValid() && !g.IsMulticast() {
		errs = append(errs, fmt.Errorf("pfsync: group %v: want a multicast address", g))
	}
	for i, p := range c.Peers {
		if !p.IsValid() || p.IsUnspecified() || slices.Contains(c.Peers[:i], p) {
			errs = append(errs, fmt.Errorf("pfsync: syncpeer %v: invalid, or given twice", p))
		}
	}
	s := c.Session
	if s.HostID == 0 {
		s.HostID = 1
	}
	return errors.Join(append(errs, s.Validate())...)
}

// A Node keeps a state table the same as those of its peers. One goroutine, that
// of Run, owns its [Session]; the other methods may be called from any goroutine.
//
// The embedder changes his table himself and tells the node: [Node.Inserted],
// [Node.Updated], [Node.Deleted], [Node.Cleared]. Changes that come from the peers
// are made by the node; [Node.Watch] shows all of them.
type Node struct {
	cfg       NodeConfig
	log       *slog.Logger
	session   *Session
	converger *Converger // nil without a side channel
	dst       []netip.Addr

	// Of the goroutine of Run.
	scratch      State
	resend       []StateID
	repairAt     time.Time // not to repair before
	expired      []StateID
	demotion     int
	link         Link
	sessionTimer deadline
	sessionAt    time.Time
	stepped      time.Time // of this step of the session, or the last one
	sideTimer    deadline
	sideAt       time.Time
	repairTimer  deadline
	sendLogged   time.Time
	out6         uint64
	outErrors    uint64
	badSide      uint64

	started atomic.Bool
	ready   chan struct{} // closed when Run has begun
	done    chan struct{} // closed when it has ended
	calls   chan func()
	local   localQueue
	errs    chan error
	packets chan *batch
	free    chan *batch
	sides   chan *SidePacket
	freed   chan *SidePacket
	watched atomic.Bool

	mu       sync.Mutex // of watchers
	watchers []*Watcher
}

// batch is what was read at once.
type batch struct {
	packets []Packet
	n       int
}

const (
	batchLen = 64
	batches  = 4
	sideLen  = 64

	// sendFrames is after how many frames these are sent before a step ends.
	sendFrames = 64

	// expireInterval is how often the table is searched for what is due
	// (PFTM_INTERVAL is 10 s in pf, a tenth of the table each second).
	expireInterval = time.Second
	expireRounds   = 8 // of ExpireBatch each
)

// NewNode makes a node. It opens nothing and starts nothing.
func NewNode(c NodeConfig) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Session.HostID == 0 {
		c.Session.HostID = uint32(random())
	}
	if c.Session.Peers == nil && !c.AnyPeer && len(c.Peers) > 0 {
		c.Session.Peers = plainAddrs(c.Peers) // as those of packets are
	}
	n := &Node{
		cfg: c, log: c.Logger, dst: plainAddrs(c.Peers),
		ready: make(chan struct{}), done: make(chan struct{}), calls: make(chan func()),
		errs: make(chan error, 2), packets: make(chan *batch, batches), free: make(chan *batch, batches),
		sides: make(chan *SidePacket, sideLen), freed: make(chan *SidePacket, sideLen),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if len(n.dst) == 0 {
		n.dst = []netip.Addr{Group4}
		if c.Group.IsValid() {
			n.dst[0] = c.Group
		}
	}
	n.local.init()
	watch := c.Session.Watch
	c.Session.Watch = func(ch Change) {
		n.changed(ch)
		if watch != nil {
			watch(ch)
		}
	}
	if c.Side != nil {
		c.Converge.HostID, c.Converge.Epoch = c.Session.HostID, random()
		c.Converge.Peers = plainAddrs(c.Converge.Peers)
		n.converger = NewConverger(c.Converge, c.Store.(Digester))
	}
	if c.Session.Removed == nil {
		c.Session.Removed = func(id StateID) bool {
			return n.local.removing(id) || n.converger != nil && n.converger.WasRemoved(id)
		}
	}
	var err error
	if n.session, err = NewSession(c.Session, c.Store); err != nil {
		return nil, err
	}
	return n, nil
}

// plainAddrs are addresses without zones, and IPv4 ones as such.
func plainAddrs(addrs []netip.Addr) []netip.Addr {
	plain := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		plain[i] = a.Unmap().WithZone("")
	}
	return plain
}

// random is a random number whose lower half is not 0.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	r := binary.BigEndian.Uint64(b[:])
	if uint32(r) == 0 {
		r++
	}
	return r
}

// Run takes part until ctx is done, and returns nil then, else the error that
// ended it. It closes the transports, and leaves no demotion and no goroutine
// behind. What is queued is sent before it returns. It can be called once.
func (n *Node) Run(ctx context.Context) (err error) {
	if n.started.Swap(true) {
		return errors.New("pfsync: Run was called before")
	}
	for range batches {
		n.free <- &batch{packets: make([]Packet, batchLen)}
	}
	for range sideLen {
		n.freed <- new(SidePacket)
	}
	quit := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() { n.read(quit) })
	if n.cfg.Side != nil {
		readers.Go(func() { n.readSide(quit) })
	}
	defer func() {
		n.local.close()
		close(quit)
		err = errors.Join(err, n.close())
		readers.Wait()
		close(n.done)
		n.endWatchers()
	}()
	n.local.open()
	close(n.ready)
	return n.loop(ctx)
}

// close closes the transports.
func (n *Node) close() error {
	errs := []error{n.cfg.Transport.Close()}
	if n.cfg.Side != nil {
		errs = append(errs, n.cfg.Side.Close())
	}
	for i, err := range errs {
		if errors.Is(err, net.ErrClosed) {
			errs[i] = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pfsync: close: %w", err)
	}
	return nil
}

// read moves packets from the transport to the node.
func (n *Node) read(quit <-chan struct{}) {
	for {
		var b *batch
		select {
		case b = <-n.free:
		case <-quit:
			return
		}
		var err error
		if b.n, err = n.cfg.Transport.ReadPackets(b.packets); err != nil {
			n.errs <- fmt.Errorf("pfsync: read: %w", err)
			return
		}
		select {
		case n.packets <- b:
		case <-quit:
			return
		}
	}
}

// readSide moves packets from the side channel to the node.
func (n *Node) readSide(quit <-chan struct{}) {
	for {
		var p *SidePacket
		select {
		case p = <-n.freed:
		case <-quit:
			return
		}
		if err := n.cfg.Side.ReadPacket(p); err != nil {
			n.errs <- fmt.Errorf("pfsync: read side channel: %w", err)
			return
		}
		select {
		case n.sides <- p:
		case <-quit:
			return
		}
	}
}

// loop is where everything happens.
func (n *Node) loop(ctx context.Context) error {
	n.sessionTimer, n.sideTimer, n.repairTimer = newDeadline(), newDeadline(), newDeadline()
	expire := time.NewTicker(expireInterval)
	defer func() {
		n.sessionTimer.Stop()
		n.sideTimer.Stop()
		n.repairTimer.Stop()
		expire.Stop()
	}()
	links := n.cfg.Links
	n.converge()
	n.greeted(ctx)
	n.step(Event{Kind: EventUp})
	if links == nil {
		n.step(Event{Kind: EventLinkUp})
	}
	for {
		select {
		case b := <-n.packets:
			n.receive(b)
		case p := <-n.sides:
			n.receiveSide(p)
		case <-n.local.wake:
			n.takeLocal()
		case f := <-n.calls:
			f()
		case l, ok := <-links:
			if !ok {
				links = nil
				continue
			}
			n.setLink(l)
		case <-n.sessionTimer.C:
			n.sessionTimer.came()
			n.step(Event{Kind: EventTimer})
		case <-n.sideTimer.C:
			n.sideTimer.came()
			n.converge()
		case <-n.repairTimer.C:
			n.repairTimer.came()
			n.repair()
		case <-expire.C:
			n.expire()
		case err := <-n.errs:
			n.end()
			return err
		case <-ctx.Done():
			n.end()
			return nil
		}
	}
}

// end sends what is queued, lets go of packets that are held back, and takes the
// demotion back.
func (n *Node) end() {
	n.takeLocal()
	n.step(Event{Kind: EventFlush})
	n.step(Event{Kind: EventDown})
}

// greetTime is how long a node waits at its start for others of this library to
// answer. Those can pace their bulk updates then.
const greetTime = 200 * time.Millisecond

// greeted waits until a peer was met on the side channel, for a moment.
func (n *Node) greeted(ctx context.Context) {
	if n.converger == nil {
		return
	}
	n.demote(n.cfg.Session.withDefaults().Demote, "waiting for peers")
	late := time.NewTimer(greetTime)
	defer late.Stop()
	for !n.converger.Met() {
		select {
		case p := <-n.sides:
			n.receiveSide(p)
		case <-n.sideTimer.C:
			n.sideTimer.came()
			n.converge()
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// setLink takes the state of the sync interface in.
func (n *Node) setLink(l Link) {
	if l != n.link {
		n.log.Info("pfsync: link " + l.String())
	}
	n.link = l
	if l == LinkUp {
		n.step(Event{Kind: EventLinkUp})
	} else {
		n.step(Event{Kind: EventLinkDown})
	}
}
