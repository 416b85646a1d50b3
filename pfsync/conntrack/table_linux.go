package conntrack

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A Policy says when the states of peers are put into the kernel.
type Policy uint8

// The policies.
const (
	// Inject puts them there at once, so that this host can forward at any moment.
	Inject Policy = iota

	// Hold keeps them in memory until [Table.Commit]. The kernel of a standby has
	// less to do, and a take-over takes longer.
	Hold
)

// String is "inject" or "hold".
func (p Policy) String() string { return name([]string{"inject", "hold"}, uint8(p)) }

// The defaults of a [TableConfig].
const (
	// DefaultRefresh: a state must be renewed at the peers before it is gone there.
	// The shortest life is that of ICMP, 20 s; 15 s leave 5 for a dump that is late,
	// and for the second that a message may wait for others.
	DefaultRefresh = 15 * time.Second

	// DefaultAdopt is several times what a bulk update between two of our kind takes.
	DefaultAdopt = 5 * time.Second
)

// A TableConfig says how a [Table] is kept. Memory and HostID must be given.
type TableConfig struct {
	// Memory is for the states. Their time-outs should be pf's.
	Memory pfsync.MemoryConfig

	// HostID is the creatorid of the states that are made here: that of the session.
	HostID uint32

	Policy Policy

	// Sloppy is that of the [Mapping].
	Sloppy bool

	// Refresh is the time between two looks at the kernel's table, in which the
	// connections are found that are still in use: those of UDP, ICMP and the like, and
	// at least every fourth time all. 0 means DefaultRefresh, which is the most.
	Refresh time.Duration

	// Adopt is how long entries that were there before are kept from the peers, so
	// that they can say under which names they know them. 0 means DefaultAdopt; see
	// [Table.Adopted].
	Adopt time.Duration

	// Local has connections mirrored that begin or end on this host, too. Addrs says
	// which addresses that are; it is asked before each dump.
	Local bool
	Addrs func() ([]netip.Addr, error)

	// SkipShort leaves UDP out until packets have gone back and forth for a while, so
	// that the likes of DNS make no states at the peers.
	SkipShort bool

	// Skip leaves out what it returns true for; nil: nothing.
	Skip func(*Entry) bool

	// ReadBuffer is that of the [ListenConfig]. The events of twice [Gather] should fit in.
	ReadBuffer int

	// Journal is that of [Sysctl.SetJournal]. Without one, the settings that Run
	// changes stay changed if it is killed, and whoever comes after it takes them for
	// the operator's.
	Journal string

	// Logger is nil for no logs.
	Logger *slog.Logger
}

// Validate reports everything that is wrong with c.
func (c *TableConfig) Validate() error {
	errs := []error{c.Memory.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("conntrack: "+format, args...)) }
	if c.HostID == 0 {
		bad("hostid 0: want that of the session")
	}
	if c.Policy > Hold {
		bad("policy %v: want inject or hold", c.Policy)
	}
	if c.Refresh < 0 || c.Refresh > DefaultRefresh {
		bad("refresh %v: want up to %v", c.Refresh, DefaultRefresh)
	}
	if c.Adopt < 0 {
		bad("adopt %v: want a positive time", c.Adopt)
	}
	return errors.Join(errs...)
}

// A Sink is told of what has changed in a [Table] through traffic on this host. A
// [pfsync.Node] is one. Flush is called where the order on the wire matters.
type Sink interface {
	Inserted(pfsync.StateID)
	Updated(id pfsync.StateID, proto uint8)
	Deleted(pfsync.StateID)
	Expired(pfsync.StateID)
	Flush(context.Context) error
}

var _ Sink = (*pfsync.Node)(nil)

// A Table is the state table of a firewall: a [pfsync.Digester] for a node, and a
// mirror of the kernel's table. What a peer says is put into the kernel; what
// traffic changes there is told to the sink.
//
// All states are in memory, also those that conntrack has no words for. Beside each
// connection the Table notes, in some fifty octets, what its two states are called,
// when the kernel lets it go, and when the peers have last heard of it. Who is right
// about a connection is who has last seen a packet of it: its end here is told to the
// peers only if there was traffic here since a peer has spoken of it.
//
// What traffic changes is taken in with what else changes within [Gather], and told then.
//
// Its methods may be called from any goroutine. Only Commit waits for the kernel.
type Table struct {
	cfg     TableConfig
	mapping Mapping
	memory  *pfsync.Memory
	log     *slog.Logger
	start   time.Time
	seed    maphash.Seed
	wake    chan struct{} // the writer
	redump  chan struct{}

	kernel kernel

	hearing sync.Mutex // held by who reads events
	telling sync.Mutex // held by who tells the sink, so that the order stays

	mu       sync.Mutex // guards what follows
	conns    connTable
	orphans  burst[pfsync.Key, Tuple]      // Orig of connections whose In state is gone before the Out state
	gone     burst[pfsync.StateID, uint32] // when states have ended here, lately
	nextID   uint64
	adopting bool
	yielding bool
	open     bool // states of peers go into the kernel
	local    map[netip.Addr]struct{}
	sink     Sink
	news     []news
	spare    []news // to be used for news again

	rounds int   // since one that was about everything
	whole  int   // rounds to come that are
	gen    uint8 // of the dump
	proto  uint8 // that it is about; 0: everything

	dumping bool
	died    map[uint64]struct{} // what has gone since it began, or was about to: by the hash of conns

	// What waits for the writer. Where a connection was that is over there may be another
	// one meanwhile: what is not dirty is not meant.
	dirty   []connRef // to be written, as they are then
	halves  []connRef // to be written a little later, with the state that is missing
	deletes []deletion
	going   []uint64 // hashes of the deletions that are being written
	writing bool
	waiting []chan struct{} // for all that to be done

	in, out pfsync.State // scratch
	due     []pfsync.StateID
	stats   TableStats
}

// A conn is what is noted of a connection, by its middle.
type conn struct {
	ref    connRef           // where it is in Table.conns; 0: nowhere yet
	ids    [2]pfsync.StateID // In and Out; zero: there is none
	until  uint32            // when the kernel lets it go, as of the last look; see seconds
	told   uint32            // when the peers, or we, have last heard that it is in use
	shape  uint32            // hash of what is translated; 0: not known
	class  pfsync.Timeout
	tcp    TCPState // in the kernel, as far as we know
	flags  connFlags
	latest uint8 // the last dump that it was in
}

type connFlags uint8

const (
	seen    connFlags = 1 << iota // a packet has passed here since a peer spoke of it
	dirty                         // it is among Table.dirty
	fresh                         // written since the last dump: a later time-out is no sign of packets
	written                       // it is in the kernel, by our doing or seen there
	spoke                         // of one without states: packets have passed
	native                        // of one without states: it was not put there by a peer of ours
	half                          // it was to be written, but one of its states was missing
)

func (c *conn) has(f connFlags) bool { return c.flags&f != 0 }

// unnamed reports whether no peer knows of it.
func (c *conn) unnamed() bool { return c.ids == [2]pfsync.StateID{} }

// A news is something to tell the sink.
type news struct {
	kind  newsKind
	proto uint8
	again bool // newsInsert: in place of one that is deleted in front of it
	id    pfsync.StateID
}

type newsKind uint8

const (
	newsInsert newsKind = iota
	newsUpdate
	newsDelete
	newsExpire
)

// TableStats count what a [Table] has done.
type TableStats struct {
	Connections int `json:"connections"` // that are mirrored
	Unnamed     int `json:"unnamed"`     // entries that no peer is told of yet
	Queued      int `json:"queued"`      // to be written

	Announced  uint64 `json:"announced"`  // connections that began here
	Refreshed  uint64 `json:"refreshed"`  // times that peers were told that one is in use
	Ended      uint64 `json:"ended"`      // connections that ended here
	Withheld   uint64 `json:"withheld"`   // ends that peers were not told of
	Unmapped   uint64 `json:"unmapped"`   // states and entries without a counterpart
	Collisions uint64 `json:"collisions"` // entries whose key another state has
	Full       uint64 `json:"full"`       // entries that found the table of states full
	Renamed    uint64 `json:"renamed"`    // states that another node has named better
	Reissued   uint64 `json:"reissued"`   // connections taken over from a pf that were told anew
	Overruns   uint64 `json:"overruns"`   // times that events were lost
	Dumps      uint64 `json:"dumps"`

	Writer Stats `json:"writer"`
}

// newMirror makes a table without a kernel.
func newMirror(c TableConfig, start time.Time) (*Table, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Refresh == 0 {
		c.Refresh = DefaultRefresh
	}
	if c.Adopt == 0 {
		c.Adopt = DefaultAdopt
	}
	memory, err := pfsync.NewMemory(c.Memory)
	if err != nil {
		return nil, err
	}
	t := &Table{
		cfg: c, mapping: Mapping{Dialect: c.Memory.Dialect, Sloppy: c.Sloppy}, memory: memory, log: c.Logger,
		start: start.Add(-48 * time.Hour), // there are times before the first: see announce
		seed:  maphash.MakeSeed(),
		wake:  make(chan struct{}, 1), redump: make(chan struct{}, 1),
		conns: connTable{seed: maphash.MakeSeed()}, local: make(map[netip.Addr]struct{}),
		// Later names are greater, on all hosts that have a clock: see Insert.
		nextID:   uint64(start.Unix()) << 32,
		adopting: true, open: c.Policy == Inject, whole: wholeRounds, due: make([]pfsync.StateID, dueBatch),
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	return t, nil
}

// seconds is a time as conns have it.
func (t *Table) seconds(now time.Time) uint32 { return uint32(max(now.Sub(t.start)/time.Second, 1)) }

// SetSink says who is told from now on; nil: nobody.
func (t *Table) SetSink(s Sink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sink = s
}

// Adopted says that the peers have told all they know: what is in the kernel and was
// not spoken of is told them now. It does nothing once Adopt is over.
func (t *Table) Adopted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.adopted()
}

func (t *Table) adopted() {
	if t.adopting {
		t.adopting = false
		t.rewrite(func(*conn) bool { return true }) // what is there may be old, and translated otherwise
		t.dumpSoon()
	}
}

// Commit has all that peers have told be in the kernel, and waits for that: what
// comes before the addresses of a new master. From then on it is put there at once
// also with Hold, until [Table.Yield].
func (t *Table) Commit(ctx context.Context) error {
	t.mu.Lock()
	t.adopted()
	t.lacking(time.Now())
	t.noMoreWaiting()
	t.open, t.yielding = true, false
	if t.idle() {
		t.mu.Unlock()
		t.dumpSoon() // for a new idea of what is in use
		return nil
	}
	done := make(chan struct{})
	t.waiting = append(t.waiting, done)
	t.mu.Unlock()
	t.writeSoon()
	defer t.dumpSoon()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("conntrack: commit: %w", ctx.Err())
	}
}

// Yield says that this host gives up being master (true), and that it has done so
// (false). In between the end of a connection is not told to the peers: entries go
// with the addresses they are about, and must not go at the successor. What the kernel has
// said of that is heard within [Gather]: false comes later.
func (t *Table) Yield(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.yielding == on {
		return
	}
	t.yielding = on
	if on {
		return
	}
	for k, c := range t.conns.all(t.pause) {
		// What has passed until now is no sign of what passes from now on.
		if c.flags &^= seen; c.has(written) {
			c.flags |= fresh
		}
		t.conns.set(k, &c)
	}
	t.open = t.cfg.Policy == Inject
	t.dumpSoon()
}

// Stats returns the counters.
func (t *Table) Stats() TableStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	for _, c := range t.conns.all(t.pause) {
		if c.unnamed() {
			s.Unnamed++
		} else {
			s.Connections++
		}
	}
	s.Queued = len(t.dirty) + len(t.deletes)
	if t.kernel.writer != nil {
		s.Writer = t.kernel.writer.Stats()
	}
	return s
}

// pause lets others go first, every now and then in a walk over the connections. They
// change what they want: what is between two of them is not one piece of work.
func (t *Table) pause() {
	t.mu.Unlock()
	runtime.Gosched()
	t.mu.Lock()
}

// signal wakes who waits for c, if it is not awake.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *Table) dumpSoon()  { signal(t.redump) }
func (t *Table) writeSoon() { signal(t.wake) }

// flushTimeout bounds the wait for the sink's messages to be sent.
const flushTimeout = time.Second

// tell tells the sink what there is to tell. It may wait for the sink, which may wait
// for the Table: nobody does this who holds mu, nor the goroutine of the node.
func (t *Table) tell() {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.mu.Lock()
	sink, all := t.sink, t.news
	t.news, t.spare = t.spare, nil
	t.mu.Unlock()
	if sink == nil {
		return // they will ask
	}
	defer t.told(all)
	again := false
	for _, n := range all {
		switch {
		case n.again:
			again = true
		case n.kind == newsInsert:
			sink.Inserted(n.id)
		case n.kind == newsUpdate:
			sink.Updated(n.id, n.proto)
		case n.kind == newsDelete:
			sink.Deleted(n.id)
		case n.kind == newsExpire:
			sink.Expired(n.id)
		}
	}
	if !again {
		return
	}
	// FreeBSD's frames have what is new in front of what is deleted, and pf refuses
	// a state as long as another one has its key.
	t.flush(sink)
	for _, n := range all {
		if n.again {
			sink.Inserted(n.id)
		}
	}
	t.flush(sink)
}

// told takes note that the sink knows of what is gone: its peers are about to.
func (t *Table) told(all []news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sec := t.seconds(time.Now())
	for _, n := range all {
		if _, gone := t.gone.m[n.id]; gone {
			t.gone.put(n.id, sec)
		}
	}
	if cap(all) <= smallBurst {
		t.spare = all[:0]
	}
}

func (t *Table) flush(sink Sink) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := sink.Flush(ctx); err != nil {
		t.log.Warn("conntrack: states that a pf must forget and learn anew may come in one packet", "err", err)
	}
}
