package conntrack

import (
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// mark notes c and has it be written to the kernel, as it is when its turn comes: so what
// waits is never more than there is.
func (t *Table) mark(k pfsync.Key, c *conn) {
	waits := c.has(dirty) && !c.has(half) // one that was set aside may be whole now
	if !c.has(dirty) && len(t.dirty) > 2*t.conns.len()+maxBatch {
		t.tidy()
	}
	c.flags |= dirty
	t.conns.set(k, c)
	if !waits {
		t.dirty = append(t.dirty, c.ref)
	}
	if t.open {
		t.writeSoon()
	}
}

// rewrite has connections that peers use be written, those that which is true of.
func (t *Table) rewrite(which func(*conn) bool) {
	for k, c := range t.conns.all(nil) {
		if !c.unnamed() && !c.has(seen) && which(&c) {
			t.mark(k, &c)
		}
	}
}

// lacking has those be written that the kernel has dropped since the last dump, or is
// about to.
func (t *Table) lacking(now time.Time) {
	soon := t.seconds(now) + slack
	t.rewrite(func(c *conn) bool { return !c.has(written) || c.until <= soon })
}

// noMoreWaiting has those be written that were set aside.
func (t *Table) noMoreWaiting() {
	if len(t.halves) > 0 {
		t.dirty = append(t.dirty, t.halves...)
		t.halves = nil
		t.writeSoon()
	}
}

// tidy leaves each connection in the queue once, and those that are gone not at all:
// while states are held, nobody takes them out.
func (t *Table) tidy() {
	t.dirty = t.dirty[:0]
	for _, c := range t.conns.all(nil) {
		if c.has(dirty) {
			t.dirty = append(t.dirty, c.ref)
		}
	}
}

// idle reports whether nothing waits to be written.
func (t *Table) idle() bool { return len(t.dirty)+len(t.deletes) == 0 && !t.writing }

// A deletion is an entry that is to be removed.
type deletion struct {
	orig Tuple
	hash uint64 // of the connection in Table.conns
}

// A batch is what is written at once: first what goes, then what comes.
type batch struct {
	deletes []Tuple
	entries []Entry
	known   []bool // the entry is believed to be in the kernel
}

// take fills a batch, and reports whether there was anything to do. The batch before
// it is done then.
func (t *Table) take(now time.Time, b *batch) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.entries, b.known = b.entries[:0], b.known[:0]
	n := min(len(t.deletes), maxBatch)
	b.deletes, t.going = b.deletes[:0], t.going[:0]
	for i := range t.deletes[:n] {
		b.deletes = append(b.deletes, t.deletes[i].orig)
		t.going = append(t.going, t.deletes[i].hash)
	}
	if t.deletes = t.deletes[n:]; len(t.deletes) == 0 {
		t.deletes = nil
	}
	if t.open {
		n = 0
		for n < len(t.dirty) && len(b.entries)+len(b.deletes) < maxBatch {
			k, c, ok := t.conns.at(t.dirty[n])
			n++
			if !ok || !c.has(dirty) {
				continue
			}
			if c.shape == 0 && !c.has(half) && (c.ids[0] == pfsync.StateID{} || c.ids[1] == pfsync.StateID{}) {
				// The other state is in the next packet, mostly. Without it packets
				// would pass untranslated.
				c.flags |= half
				t.halves = append(t.halves, c.ref)
				t.conns.set(k, &c)
				continue
			}
			c.flags &^= dirty | half
			var e Entry
			if t.entry(now, &c, &e) {
				shape := t.shape(&e)
				b.entries, b.known = append(b.entries, e), append(b.known, c.has(written) && c.shape == shape)
				c.flags |= written | fresh
				c.until, c.tcp, c.shape = t.seconds(now)+e.Timeout, e.TCP.State, shape
			}
			t.conns.set(k, &c)
		}
		t.dirty = t.dirty[n:]
		if len(t.dirty) == 0 {
			t.dirty = nil // the next ones are not to be appended to an old end
		}
	}
	t.writing = len(b.deletes)+len(b.entries) > 0
	if t.idle() || !t.open && !t.writing {
		for _, done := range t.waiting {
			close(done)
		}
		t.waiting = nil
	}
	return t.writing
}

// entry makes what is to be in the kernel of a connection, if it can be there.
//
// It is to live there for as long as the state does, also where the kernel's own time-outs
// are shorter: UDP without an answer gets 60 s of pf and 30 s of nf_conntrack_udp_timeout.
// Packets show at the end of a round only, and then peers are told if a quarter of the life
// is over: one with a packet every 25 s is told of every 30 s. A standby that gave it
// 30 s would lose it every now and then, and one that is idle would be lost for good with
// its master. The first packet that passes here gives it this kernel's own time.
func (t *Table) entry(now time.Time, c *conn, e *Entry) bool {
	in, out := &t.in, &t.out
	if !t.memory.Get(now, c.ids[0], in) {
		in = nil
	}
	if !t.memory.Get(now, c.ids[1], out) {
		out = nil
	}
	if in == nil && out == nil {
		return false
	}
	if err := t.mapping.Import(in, out, e); err != nil {
		t.stats.Unmapped++
		return false
	}
	if e.TCP.State.before(c.tcp) {
		e.TCP.State = c.tcp
	}
	return e.Timeout > 0
}

// failed takes note that an entry could not be written. It is tried again at the end of each
// round, until a dump shows that it is there all the same.
func (t *Table) failed(op Op, e *Entry, err error) {
	t.log.Debug("conntrack: not written", "op", op, "entry", e.String(), "err", err)
	ks, kerr := t.mapping.keys(e)
	if kerr != nil || op == OpDelete {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.conns.get(ks.middle); ok {
		c.flags &^= written | fresh
		t.conns.set(ks.middle, &c)
	}
}
