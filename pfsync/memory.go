package pfsync

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// MaxStates is the most states that a [Memory] can hold.
const MaxStates = 1<<24 - 2

// DefaultStates is the limit of a [Memory] unless another one is set, pf's own.
const DefaultStates = 100000

// A MemoryConfig says how large a [Memory] may become and how long states live in
// it. Its zero value is OpenBSD's default but for the adaptive time-outs.
type MemoryConfig struct {
	// Dialect has the default time-outs, and decides when two keys collide.
	Dialect Dialect

	// Limit is how many states there may be, up to MaxStates: pf.conf's "set limit
	// states". 0 means DefaultStates.
	Limit int

	// Timeouts stand in place of the dialect's default for their classes.
	Timeouts Timeouts

	// AdaptiveStart and AdaptiveEnd are pf.conf's adaptive.start and adaptive.end:
	// with more than AdaptiveStart states, all time-outs are scaled down, by
	// (end - states) / (end - start). Both 0: never. pf has 60 % and 120 % of its
	// limit if told nothing.
	AdaptiveStart, AdaptiveEnd int
}

// Validate reports everything that is wrong with c.
func (c *MemoryConfig) Validate() error {
	errs := []error{c.Timeouts.Validate(c.Dialect)}
	if int(c.Dialect) >= len(dialects) {
		errs = append(errs, fmt.Errorf("pfsync: %v is not a dialect", c.Dialect))
	}
	if c.Limit < 0 || c.Limit > MaxStates {
		errs = append(errs, fmt.Errorf("pfsync: limit of %d states: want 1 to %d, or 0 for %d", c.Limit, MaxStates, DefaultStates))
	}
	if off := c.AdaptiveStart == 0 && c.AdaptiveEnd == 0; !off && (c.AdaptiveStart < 0 || c.AdaptiveStart >= c.AdaptiveEnd) {
		errs = append(errs, fmt.Errorf("pfsync: adaptive.start %d and adaptive.end %d: want the first below the second", c.AdaptiveStart, c.AdaptiveEnd))
	}
	return errors.Join(errs...)
}

// A Memory is a state table in memory: pf's, as far as pfsync needs one. It is a
// [Digester]. Make it with [NewMemory].
//
// It keeps all that a [State] says, and what many have in common only once. With
// hundreds of thousands, one of conntrack over IPv4 takes 80 octets, one of pf, which
// has sequence numbers, 140; counters take 32 more, and IPv6 70. Times are kept in
// steps of 20 ms: a state may look older by less than that, and be due as much earlier.
//
// The table grows in small pieces and does not shrink; once it has its size nothing
// allocates. When it is at its limit, or would have to hold more than 65535
// different interface names or tags, it refuses new states with ErrFull.
//
// Nothing goes by itself: somebody must call [Memory.Expire] about once a second.
// States that are due and still there are as good as others, as with pf: an update
// brings them back.
//
// All methods may be called from any goroutine. Those that change one state or look
// at it hold one lock of 256; Insert and Delete, since a new state may be in the way
// of any other, hold a second one that there is once. The functions given to methods
// may call the Memory, but for that of Update.
type Memory struct {
	limit       int
	lifetimes   lifetimes
	adaptive    adaptive
	oneKeySpace bool // wire keys collide with stack keys
	seed        maphash.Seed
	states      atomic.Int64

	// mu guards which states there are, and what of them never changes. Whoever
	// needs a shard as well locks mu first, and no more than one shard at a time.
	mu      sync.Mutex
	started bool
	epoch   time.Time      // of the first Insert; see since
	keys    [256]hashIndex // in parts, so that none takes long to grow
	names   pool[Name]
	tags    pool[Tag]
	bodies  pool[memBody]
	stats   MemoryStats
	resume  int    // the shard where Expire stopped
	peeked  uint16 // of no use but that the processor has to look it up; see hashIndex.peek

	shards [memShards]memShard
}

var _ Digester = (*Memory)(nil)

// NewMemory makes an empty table.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Memory{
		limit: c.Limit, lifetimes: c.Timeouts.lifetimes(c.Dialect), seed: maphash.MakeSeed(),
		adaptive: adaptive{c.AdaptiveStart, c.AdaptiveEnd}, oneKeySpace: c.Dialect == OpenBSD,
	}
	if m.limit == 0 {
		m.limit = DefaultStates
	}
	m.names.init(m.seed, 1)
	m.tags.init(m.seed, 1)
	m.bodies.init(m.seed, memShards)
	for i := range m.shards {
		m.shards[i].init(m.seed)
	}
	return m, nil
}

// MemoryStats say what is in a [Memory] and what became of the rest.
type MemoryStats struct {
	States int `json:"states"`
	Limit  int `json:"limit"`
	Names  int `json:"names"` // different interface names
	Tags   int `json:"tags"`  // different tags

	Inserted uint64 `json:"inserted"`
	Deleted  uint64 `json:"deleted"`  // by Delete
	Cleared  uint64 `json:"cleared"`  // by Clear
	Expired  uint64 `json:"expired"`  // by Expire
	Replaced uint64 `json:"replaced"` // by a new state with the same key
	Exists   uint64 `json:"exists"`   // refused: identity or key is taken
	Full     uint64 `json:"full"`     // refused: no room for states or for names
}

// Stats returns the counters.
func (m *Memory) Stats() MemoryStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.States, s.Limit, s.Names, s.Tags = m.Len(), m.limit, m.names.n, m.tags.n
	return s
}

// Len implements [Store]. It never waits.
func (m *Memory) Len() int { return int(m.states.Load()) }

// since is a time as all records have it. The epoch never changes once there was a
// state: whoever has found one may read it, with any lock. Times more than 50
// years away from it are taken for that.
func (m *Memory) since(now time.Time) time.Duration {
	const horizon = 50 * 365 * 24 * time.Hour
	return min(max(now.Sub(m.epoch), -horizon), horizon)
}

// life is how long states of a class live, being as many as they are.
func (m *Memory) life(class Timeout) time.Duration {
	return m.adaptive.scale(m.lifetimes[class], m.Len())
}

// A stateRef is a place in a Memory: the shard in the upper 8 bits, the slot below.
type stateRef uint32

func (r stateRef) slot() uint32 { return uint32(r) & (1<<24 - 1) }

// at is the record of a state that is there.
func (m *Memory) at(r stateRef) (*memShard, *memRecord) {
	sh := &m.shards[r>>24]
	return sh, sh.record(r.slot())
}

// An idPlace is where an identity belongs: a shard, one of its buckets, and a place
// in its index.
type idPlace struct {
	sh     *memShard
	number uint32 // of the shard
	bucket int
	tag    uint16
}

func (m *Memory) idPlace(id StateID) idPlace {
	bucket := id.Bucket()
	n := bucket % memShards
	h := maphash.Comparable(m.seed, [2]uint64{id.ID, uint64(id.CreatorID)})
	return idPlace{&m.shards[n], uint32(n), bucket / memShards, uint16(h)}
}

func (p *idPlace) ref(slot uint32) stateRef { return stateRef(p.number<<24 | slot) }

// id is the identity of a state that is there.
func (m *Memory) id(r *memRecord) StateID { return StateID{r.id, m.bodies.at(r.body).creator} }

// find returns the slot of a state, 0 if there is none.
func (m *Memory) find(p *idPlace, id StateID) uint32 {
	for n, next := p.sh.ids.seek(p.tag, 0); n != 0; n, next = p.sh.ids.seek(p.tag, next) {
		if r := p.sh.record(n); r.id == id.ID && m.bodies.at(r.body).creator == id.CreatorID {
			return n
		}
	}
	return 0
}

// Get implements [Store].
func (m *Memory) Get(now time.Time, id StateID, st *State) bool {
	p := m.idPlace(id)
	p.sh.mu.Lock()
	defer p.sh.mu.Unlock()
	n := m.find(&p, id)
	if n == 0 {
		return false
	}
	m.load(m.since(now), p.sh, n, st)
	return true
}

// errNames is the ErrFull of a table that has room, but not for more names.
var errNames = fmt.Errorf("%w: too many different interface names or tags", ErrFull)

// Insert implements [Store]. To OpenBSD a state has the same key if one of its
// two keys, wire or stack, is one of the other's; to FreeBSD if it is the same one.
func (m *Memory) Insert(now time.Time, st *State, replaced func(StateID)) error {
	p, digest := m.idPlace(st.StateID), st.Digest()
	ifname := bareName(st.IfName)
	places, same := m.keyPlaces(&st.Wire, &st.Stack, &ifname)

	m.mu.Lock()
	defer m.mu.Unlock()
	m.peeked = p.sh.ids.peek(p.tag) ^ places[0].x.peek(places[0].tag) ^ places[1].x.peek(places[1].tag)
	rival, over := m.rival(st, &ifname, &places, same)
	if rival != 0 && !over || m.find(&p, st.StateID) != 0 {
		m.stats.Exists++
		return ErrExists
	}
	if rival == 0 && m.Len() >= m.limit {
		m.stats.Full++
		return ErrFull
	}
	names, ok := m.holdNames(st)
	if !ok {
		m.stats.Full++
		return errNames
	}
	for ; rival != 0; rival, _ = m.rival(st, &ifname, &places, same) { // over, or was until just now
		_, rec := m.at(rival)
		id := m.id(rec)
		gone := m.idPlace(id)
		m.removeAt(&gone, id, rival.slot())
		m.stats.Replaced++
		if replaced != nil {
			replaced(id)
		}
	}
	if !m.started {
		m.started, m.epoch = true, now
	}

	p.sh.mu.Lock()
	n := p.sh.take()
	m.store(m.since(now), p.sh, n, st, names)
	p.sh.ids.add(p.tag, n)
	p.sh.digests[p.bucket] ^= digest
	p.sh.mu.Unlock()

	places[0].x.add(places[0].tag, uint32(p.ref(n)))
	if !same {
		places[1].x.add(places[1].tag, uint32(p.ref(n)))
	}
	m.states.Add(1)
	m.stats.Inserted++
	return nil
}

// Update implements [Store].
func (m *Memory) Update(now time.Time, id StateID, f func(st *State) Keep) bool {
	p := m.idPlace(id)
	sh := p.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := m.find(&p, id)
	if n == 0 {
		return false
	}
	at, st := m.since(now), &sh.scratch
	m.load(at, sh, n, st)
	keep := f(st)
	if keep == KeepNothing {
		return true
	}
	r, life := sh.record(n), sh.life(n)
	class := life.class
	was, is := *sh.peers.at(r.peers), memPeers{st.Src, st.Dst}
	sh.age(n).changed = memTimeOf(at)
	if keep == KeepAll {
		*life = memLife{memTimeOf(at), st.Timeout}
		sh.count(n, &st.Packets, &st.Bytes)
	}
	if was != is || class != life.class {
		var wire, stack Key
		b := m.bodies.at(r.body)
		sh.keys(r, b, &wire, &stack)
		sh.digests[p.bucket] ^= digest(id, &wire, &stack, &was.src, &was.dst, b.direction, class) ^
			digest(id, &wire, &stack, &is.src, &is.dst, b.direction, life.class)
		r.peers = sh.setPeers(r.peers, &is)
	}
	return true
}

// Delete implements [Store].
func (m *Memory) Delete(id StateID) bool {
	p := m.idPlace(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(&p, id)
	if n == 0 {
		return false
	}
	m.removeAt(&p, id, n)
	m.stats.Deleted++
	return true
}

func (m *Memory) removeAt(p *idPlace, id StateID, n uint32) {
	p.sh.mu.Lock()
	m.remove(p, id, n)
	p.sh.mu.Unlock()
}

// remove removes the state in a slot. Both locks are held.
func (m *Memory) remove(p *idPlace, id StateID, n uint32) {
	sh := p.sh
	rec := sh.record(n)
	b, peers := m.bodies.at(rec.body), sh.peers.at(rec.peers)
	var wire, stack Key
	sh.keys(rec, b, &wire, &stack)
	sh.digests[p.bucket] ^= digest(id, &wire, &stack, &peers.src, &peers.dst, b.direction, sh.life(n).class)
	sh.ids.remove(p.tag, n)
	ifname := bareName(nameAt(&m.names, b.names.ifname))
	places, same := m.keyPlaces(&wire, &stack, &ifname)
	m.peeked = places[0].x.peek(places[0].tag) ^ places[1].x.peek(places[1].tag)
	places[0].x.remove(places[0].tag, uint32(p.ref(n)))
	if !same {
		places[1].x.remove(places[1].tag, uint32(p.ref(n)))
	}
	if b.wide {
		sh.wide.drop(rec.addrs[0])
	}
	m.dropNames(b.names)
	m.bodies.drop(rec.body)
	sh.peers.drop(rec.peers)
	sh.vacate(n)
	m.states.Add(-1)
}

// digest is the digest of the state in a slot.
func (m *Memory) digest(sh *memShard, n uint32) uint64 {
	r := sh.record(n)
	b, peers := m.bodies.at(r.body), sh.peers.at(r.peers)
	var wire, stack Key
	sh.keys(r, b, &wire, &stack)
	return digest(StateID{r.id, b.creator}, &wire, &stack, &peers.src, &peers.dst, b.direction, sh.life(n).class)
}
