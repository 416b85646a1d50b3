package pfsync

import (
	"iter"
	"math"
	"time"
)

// walkBatch is how many states a walk that calls back takes at a time, holding
// locks.
const walkBatch = 64

// ExpireBatch is how many states one call of [Memory.Expire] removes at most.
const ExpireBatch = 1 << 14

// Scan implements [Store]. It fills buf unless that is the end.
func (m *Memory) Scan(now time.Time, c Cursor, buf []State) (int, Cursor) {
	filled, slot := 0, uint32(c)
	for shard := c >> 32; shard < memShards; shard++ {
		sh := &m.shards[shard]
		sh.mu.Lock()
		for ; slot < sh.used && filled < len(buf); slot++ {
			if !sh.record(slot).vacant() {
				m.load(m.since(now), sh, slot, &buf[filled])
				filled++
			}
		}
		rest := slot < sh.used
		sh.mu.Unlock()
		if rest {
			return filled, shard<<32 | Cursor(slot)
		}
		slot = 0
	}
	return filled, 0
}

// States returns all states, in no particular order, as [Memory.Scan] does. What
// the pointers point to is valid until the next one comes.
func (m *Memory) States(now time.Time) iter.Seq[*State] {
	return func(yield func(*State) bool) {
		buf := make([]State, walkBatch)
		for c, more := Cursor(0), true; more; more = c != 0 {
			var n int
			n, c = m.Scan(now, c, buf)
			for i := range buf[:n] {
				if !yield(&buf[i]) {
					return
				}
			}
		}
	}
}

// Clear implements [Store].
func (m *Memory) Clear(creator uint32, ifname Name, deleted func(StateID)) int {
	ifname = bareName(ifname)
	match := func(sh *memShard, n uint32) uint32 {
		for ; n < sh.used; n++ {
			r := sh.record(n)
			if r.vacant() {
				continue
			}
			if b := m.bodies.at(r.body); b.creator == creator &&
				(ifname == Name{} || bareName(nameAt(&m.names, b.names.ifname)) == ifname) {
				break
			}
		}
		return n
	}
	n, _ := m.sweep(0, math.MaxInt, match, &m.stats.Cleared, deleted)
	return n
}

// Expire removes states that are due, reports each to expired unless that is nil,
// and returns how many. To find them it looks at a few octets of every state there
// is, once; pf_purge_expired_states does the same, in the course of ten seconds.
// It removes no more than ExpireBatch: if it returns that, call it again soon.
func (m *Memory) Expire(now time.Time, expired func(StateID)) int {
	m.mu.Lock()
	at, first, started := m.since(now), m.resume, m.started
	m.mu.Unlock()
	if !started {
		return 0
	}
	var d dues
	d.fill(at, m)
	match := func(sh *memShard, n uint32) uint32 {
		if m.adaptive.end > 0 { // they live the longer the fewer there are
			d.scale(at, m)
		}
		return sh.due(&d, n)
	}
	n, last := m.sweep(first, ExpireBatch, match, &m.stats.Expired, expired)
	m.mu.Lock()
	m.resume = last
	m.mu.Unlock()
	return n
}

// dues say, by class, for which last activity, in ticks, and all before it a state is due.
type dues [len(lifetimes{})]int64

// fill makes them those of a time.
func (d *dues) fill(at time.Duration, m *Memory) {
	for class, life := range m.lifetimes {
		d[class] = ticks(at - life)
	}
	d.scale(at, m)
}

// scale makes them those of so many states as there are now.
func (d *dues) scale(at time.Duration, m *Memory) {
	states := m.Len()
	for class := range defaultTimeouts {
		d[class] = ticks(at - m.adaptive.scale(m.lifetimes[class], states))
	}
}

// due returns the next slot from n on whose state is due, or sh.used.
func (sh *memShard) due(d *dues, n uint32) uint32 {
	for n < sh.used {
		c, from := sh.lives[n/livesLen], n%livesLen
		rest := c[from:min(from+sh.used-n, livesLen)]
		for i := range rest {
			if l := &rest[i]; l.active.ticks() <= d[l.class] {
				return n + uint32(i)
			}
		}
		n += uint32(len(rest))
	}
	return n
}

// sweep removes up to limit states that match, in one round from the shard first
// on, counts them, and reports them to removed, which may be nil. It returns how
// many, and the shard where it stopped. match returns the next slot from n on that
// matches, or sh.used.
func (m *Memory) sweep(first, limit int, match func(sh *memShard, n uint32) uint32, count *uint64, removed func(StateID)) (total, last int) {
	var ids [walkBatch]StateID
	for i := range memShards {
		last = (first + i) % memShards
		sh := &m.shards[last]
		for n, more := uint32(0), true; more; {
			if total == limit {
				return total, last
			}
			batch := ids[:0]
			m.mu.Lock()
			sh.mu.Lock()
			for n = match(sh, n); n < sh.used && len(batch) < min(walkBatch, limit-total); n = match(sh, n+1) {
				id := m.id(sh.record(n))
				batch = append(batch, id)
				p := m.idPlace(id)
				m.remove(&p, id, n)
			}
			more = n < sh.used
			*count += uint64(len(batch))
			sh.mu.Unlock()
			m.mu.Unlock()
			total += len(batch)
			if removed != nil {
				for _, id := range batch {
					removed(id)
				}
			}
		}
	}
	return total, last
}

// Digest implements [Digester].
func (m *Memory) Digest(buckets *[DigestBuckets]uint64) {
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for j, d := range sh.digests {
			buckets[j*memShards+i] = d
		}
		sh.mu.Unlock()
	}
}

// Bucket implements [Digester]. There is nothing in a bucket that does not exist.
func (m *Memory) Bucket(now time.Time, bucket int, f func(id StateID, digest uint64, idle time.Duration)) {
	if bucket < 0 || bucket >= DigestBuckets {
		return
	}
	var batch [walkBatch]struct {
		id     StateID
		digest uint64
		idle   time.Duration
	}
	sh := &m.shards[bucket%memShards]
	for n, more := uint32(0), true; more; {
		found := batch[:0]
		sh.mu.Lock()
		for ; n < sh.used && len(found) < walkBatch; n++ {
			r := sh.record(n)
			if r.vacant() {
				continue
			}
			if id := m.id(r); id.Bucket() == bucket {
				found = append(found, struct {
					id     StateID
					digest uint64
					idle   time.Duration
				}{id, m.digest(sh, n), max(m.since(now)-sh.age(n).changed.since(), 0)})
			}
		}
		more = n < sh.used
		sh.mu.Unlock()
		for _, s := range found {
			f(s.id, s.digest, s.idle)
		}
	}
}
