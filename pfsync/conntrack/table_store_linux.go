package conntrack

import (
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

var (
	_ pfsync.Digester = (*Table)(nil)
	_ pfsync.Recaller = (*Table)(nil)
	_ pfsync.Expirer  = (*Table)(nil)
)

// What only reads goes to the memory.

// Get implements [pfsync.Store].
func (t *Table) Get(now time.Time, id pfsync.StateID, st *pfsync.State) bool {
	return t.memory.Get(now, id, st)
}

// Scan implements [pfsync.Store].
func (t *Table) Scan(now time.Time, c pfsync.Cursor, buf []pfsync.State) (int, pfsync.Cursor) {
	return t.memory.Scan(now, c, buf)
}

// Len implements [pfsync.Store].
func (t *Table) Len() int { return t.memory.Len() }

// Digest implements [pfsync.Digester].
func (t *Table) Digest(buckets *[pfsync.DigestBuckets]uint64) { t.memory.Digest(buckets) }

// Bucket implements [pfsync.Digester].
func (t *Table) Bucket(now time.Time, bucket int, f func(pfsync.StateID, uint64, time.Duration)) {
	t.memory.Bucket(now, bucket, f)
}

// side is the place of a state among the two of its connection.
func side(st *pfsync.State) int { return int(st.Direction - pfsync.In) }

// Insert implements [pfsync.Store]. Of two names for a state of one connection, which
// two nodes gave it when they could not hear each other, or one node to two
// connections after each other, the later one counts, on all nodes: the other one
// is replaced, and the connection in the kernel goes on.
func (t *Table) Insert(now time.Time, st *pfsync.State, replaced func(pfsync.StateID)) error {
	k, err := Middle(st)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.stats.Unmapped++
		return t.memory.Insert(now, st, replaced)
	}
	if _, ok := t.gone.m[st.StateID]; ok {
		return pfsync.ErrExists // it did, a moment ago: the peer is about to hear of its end
	}
	c, _ := t.conns.get(k)
	old := c.ids[side(st)]
	if old != (pfsync.StateID{}) && later(st.StateID, old) && t.memory.Delete(old) {
		t.stats.Renamed++
		if replaced != nil {
			replaced(old)
		}
	}
	if err := t.memory.Insert(now, st, replaced); err != nil {
		return err
	}
	c.ids[side(st)] = st.StateID
	if st.Direction == pfsync.In {
		delete(t.orphans.m, k)
	}
	c.told = t.seconds(now)
	if c.has(spoke) {
		c.flags |= seen
	}
	c.flags &^= spoke | native
	if !c.has(seen) {
		c.class = st.Timeout
		if !t.adopting {
			t.mark(k, &c)
		}
	}
	t.conns.set(k, &c)
	return nil
}

// goneFor is for how many seconds what has ended here is not taken back: the message
// that says so may wait for one, and a comparison of tables take two. Later on a peer
// that still has what has expired here must have seen packets of it.
const goneFor = 5

// later says which of two names counts.
func later(a, b pfsync.StateID) bool {
	return a.ID > b.ID || a.ID == b.ID && a.CreatorID > b.CreatorID
}

// Update implements [pfsync.Store].
func (t *Table) Update(now time.Time, id pfsync.StateID, f func(*pfsync.State) pfsync.Keep) bool {
	return t.update(now, id, f, true)
}

// Recall implements [pfsync.Recaller]: a peer that tells all it has does not claim to
// have seen packets of it.
func (t *Table) Recall(now time.Time, id pfsync.StateID, f func(*pfsync.State) pfsync.Keep) bool {
	return t.update(now, id, f, false)
}

// update takes in what a peer says of a state: that it is in use there, or only how
// far it is.
func (t *Table) update(now time.Time, id pfsync.StateID, f func(*pfsync.State) pfsync.Keep, used bool) bool {
	var k pfsync.Key
	var class pfsync.Timeout
	active, moved := false, false
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.memory.Update(now, id, func(st *pfsync.State) pfsync.Keep {
		src, dst := st.Src.State, st.Dst.State
		was := st.Timeout
		keep := f(st)
		if keep == pfsync.KeepAll {
			var err error
			k, err = Middle(st)
			class, active = st.Timeout, err == nil
			moved = was != st.Timeout || src != st.Src.State || dst != st.Dst.State
		}
		return keep
	})
	if !active {
		return found
	}
	c, ok := t.conns.get(k)
	if !ok || !used && c.has(seen) {
		return found
	}
	// A peer sees packets of it. The kernel has to hear of it in good time: a peer tells
	// no more than twice in the life of UDP, and may be gone before the next time.
	c.told, c.class = t.seconds(now), class
	c.flags &^= seen
	life := t.life(class)
	if !t.adopting && (moved || c.until < c.told+life-life/4) {
		t.mark(k, &c)
	}
	t.conns.set(k, &c)
	return found
}

// life is how long states of a class live, in seconds.
func (t *Table) life(class pfsync.Timeout) uint32 {
	if d, ok := t.cfg.Memory.Timeouts[class]; ok {
		return uint32(d / time.Second)
	}
	return lifetime(class)
}

// Delete implements [pfsync.Store]. The entry goes with the last of its states.
func (t *Table) Delete(id pfsync.StateID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.memory.Get(time.Now(), id, &t.in) {
		return false
	}
	return t.remove(&t.in)
}

// remove removes a state that a peer does not have any more.
func (t *Table) remove(st *pfsync.State) bool {
	k, err := Middle(st)
	c, ok := t.conns.get(k)
	if err == nil && ok && c.ids[side(st)] == st.StateID {
		c.ids[side(st)] = pfsync.StateID{}
		t.unlink(k, &c, st)
	}
	return t.memory.Delete(st.StateID)
}

// unlink takes note that st, the state of c, is gone.
func (t *Table) unlink(k pfsync.Key, c *conn, st *pfsync.State) {
	from := k // what the entry goes by
	if st.Direction == pfsync.In {
		from = st.Wire
	}
	orig, err := tuple(from)
	if o, ok := t.orphans.m[k]; ok {
		orig = o
	}
	switch {
	case !c.unnamed():
		if st.Direction == pfsync.In && st.Wire != st.Stack && err == nil {
			t.orphans.put(k, orig)
		}
		t.conns.set(k, c)
		return
	case err == nil && c.has(written|dirty):
		hash := t.conns.lookup(&k).hash
		t.deletes = append(t.deletes, deletion{orig, hash})
		t.hasGone(hash)
		t.writeSoon()
	}
	delete(t.orphans.m, k)
	t.conns.delete(k)
}

// Clear implements [pfsync.Store].
func (t *Table) Clear(creator uint32, ifname pfsync.Name, deleted func(pfsync.StateID)) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, n := time.Now(), 0
	any := ifname == pfsync.Name{}
	for _, c := range t.conns.all(t.pause) {
		for _, id := range c.ids {
			if id.CreatorID != creator || !t.memory.Get(now, id, &t.in) || !any && t.in.IfName.String() != ifname.String() {
				continue
			}
			if t.remove(&t.in) {
				n++
				if deleted != nil {
					deleted(id)
				}
			}
		}
	}
	return n + t.memory.Clear(creator, ifname, deleted) // those without a connection
}

// dueBatch is how many states one Expire removes.
const dueBatch = 1 << 12

// Expire implements [pfsync.Expirer]. It removes what no packet was seen of, here or at
// a peer, for the time of its class, and reports none of it: who has seen the last
// packet tells the others. What passes here lives for as long as the kernel says.
func (t *Table) Expire(now time.Time, _ func(pfsync.StateID)) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.news) == 0 { // else it may not be told yet
		for id, at := range t.gone.m {
			if t.seconds(now)-at >= goneFor {
				delete(t.gone.m, id)
			}
		}
		t.gone.shrink()
	}
	t.orphans.shrink()
	n := 0
	for _, id := range t.due[:t.memory.Due(now, t.due)] {
		if !t.memory.Get(now, id, &t.in) {
			continue
		}
		if k, err := Middle(&t.in); err == nil {
			if c, ok := t.conns.get(k); ok && c.has(seen) && c.ids[side(&t.in)] == id {
				t.refresh(now, k, &c)
				continue
			}
		}
		if t.remove(&t.in) {
			n++
		}
	}
	return n
}
