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
// It keeps all that a [State] says, in less than 400 octets if there are many. It
// grows in small pieces and does not shrink; once it has its size nothing
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
	names   interned[Name]
	tags    interned[Tag]
	stats   MemoryStats
	resume  int // the shard where Expire stopped

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
	s.States, s.Limit, s.Names, s.Tags = m.Len(), m.limit, len(m.names.numbers), len(m.tags.numbers)
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

func (m *Memory) shardOf(id StateID) (*memShard, uint32) {
	n := uint32(id.Bucket() % memShards)
	return &m.shards[n], n << 24
}

// at is the record of a state that is there.
func (m *Memory) at(r stateRef) (*memShard, *memRecord) {
	sh := &m.shards[r>>24]
	return sh, sh.record(uint32(r) & (1<<24 - 1))
}

// Get implements [Store].
func (m *Memory) Get(now time.Time, id StateID, st *State) bool {
	sh, _ := m.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.find(id, m.hashID(id))
	if n == 0 {
		return false
	}
	m.load(now, sh, n, st)
	return true
}

// errNames is the ErrFull of a table that has room, but not for more names.
var errNames = fmt.Errorf("%w: too many different interface names or tags", ErrFull)

// Insert implements [Store]. To OpenBSD a state has the same key if one of its
// two keys, wire or stack, is one of the other's; to FreeBSD if it is the same one.
func (m *Memory) Insert(now time.Time, st *State, replaced func(StateID)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	sh, base := m.shardOf(st.StateID)
	hash := m.hashID(st.StateID)
	ifname := bareName(st.IfName)
	places := m.keyPlaces(&st.Wire, &st.Stack, ifname)
	rival, over := m.rival(st, ifname, places)
	if rival != 0 && !over || sh.find(st.StateID, hash) != 0 {
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
	for ; rival != 0; rival, _ = m.rival(st, ifname, places) { // over, or was until just now
		_, rec := m.at(rival)
		id := rec.id
		m.removeAt(rival)
		m.stats.Replaced++
		if replaced != nil {
			replaced(id)
		}
	}
	if !m.started {
		m.started, m.epoch = true, now
	}

	sh.mu.Lock()
	n := sh.take()
	m.store(now, sh, n, st, names)
	sh.ids.add(hash, n)
	*sh.digest(st.StateID) ^= sh.record(n).digest
	sh.mu.Unlock()

	m.indexKeys(stateRef(base|n), places, (*hashIndex).add)
	m.states.Add(1)
	m.stats.Inserted++
	return nil
}

// Update implements [Store].
func (m *Memory) Update(now time.Time, id StateID, f func(st *State) Keep) bool {
	sh, _ := m.shardOf(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.find(id, m.hashID(id))
	if n == 0 {
		return false
	}
	m.load(now, sh, n, &sh.scratch)
	keep := f(&sh.scratch)
	if keep == KeepNothing {
		return true
	}
	at := m.since(now)
	c, i := sh.column(n)
	r := sh.record(n)
	r.src, r.dst, r.changed = sh.scratch.Src, sh.scratch.Dst, at
	if keep == KeepAll {
		c.class[i], c.active[i] = sh.scratch.Timeout, at
	}
	was := r.digest
	r.digest = digest(r.id, &r.wire, &r.stack, &r.src, &r.dst, r.direction, c.class[i])
	*sh.digest(id) ^= was ^ r.digest
	return true
}

// Delete implements [Store].
func (m *Memory) Delete(id StateID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	sh, base := m.shardOf(id)
	n := sh.find(id, m.hashID(id))
	if n == 0 {
		return false
	}
	m.removeAt(stateRef(base | n))
	m.stats.Deleted++
	return true
}

func (m *Memory) removeAt(r stateRef) {
	sh := &m.shards[r>>24]
	sh.mu.Lock()
	m.remove(r)
	sh.mu.Unlock()
}

// remove removes a state that is there. Both locks are held.
func (m *Memory) remove(r stateRef) {
	sh, rec := m.at(r)
	ifname := bareName(m.names.get(rec.names.ifname))
	m.indexKeys(r, m.keyPlaces(&rec.wire, &rec.stack, ifname), (*hashIndex).remove)
	n := uint32(r) & (1<<24 - 1)
	sh.ids.remove(m.hashID(rec.id), n)
	*sh.digest(rec.id) ^= rec.digest
	m.dropNames(rec.names)
	sh.vacate(n)
	m.states.Add(-1)
}
