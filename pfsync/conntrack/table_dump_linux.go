package conntrack

import (
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// Packets make no events. That a connection is in use shows when its time-out is
// found to be later than it was in the dump before. All dumps are compared with what
// is noted, which also finds what was missed.

// slack is by how many seconds two reckonings of the same time may differ.
const slack = 2

// beginDump is called before the kernel is asked.
func (t *Table) beginDump() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen++
	t.dumping = true
	t.died = make(map[uint64]struct{})
	t.stats.Dumps++
}

// hasDied reports whether an entry was destroyed since the dump began, which may have
// it all the same.
func (t *Table) hasDied(k pfsync.Key) bool {
	if len(t.died) == 0 {
		return false
	}
	_, died := t.died[t.conns.lookup(&k).hash]
	return died
}

// dumped takes in an entry of a dump, and returns how much there is to tell.
func (t *Table) dumped(now time.Time, e *Entry) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.look(e)
	if !ok {
		return len(t.news)
	}
	if t.hasDied(k) {
		return len(t.news)
	}
	c, known := t.conns.get(k)
	c = t.reused(now, k, c, e, false)
	sec := t.seconds(now)
	until := sec + e.Timeout
	renewed := c.until != 0 && !c.has(fresh) && until > c.until+slack
	switch {
	case c.until == 0 || renewed:
		c.until = until
	case c.has(fresh):
		c.until = max(c.until, until)
	default: // not later, or many dumps could each find it just not late enough
		c.until = min(c.until, until)
	}
	c.flags = c.flags&^fresh | written
	switch {
	case !c.unnamed():
		t.judge(now, k, &c, e, renewed)
	case t.adopting || known && !renewed && !c.has(spoke|native):
		// Who it belongs to shows later: a peer names it, or packets pass. One that was
		// put here in a former life may be over where it lived.
		if e.Orig.Proto == ProtoTCP && e.TCP.Flags[DirOrig]&e.TCP.Flags[DirReply]&TCPLiberal == 0 {
			c.flags |= native
		}
		if renewed {
			c.flags |= spoke
		}
		c.tcp = e.TCP.State
		t.conns.set(k, &c)
	default:
		t.announce(now, k, &c, e, false)
	}
	return len(t.news)
}

// judge compares an entry with what is noted of it.
func (t *Table) judge(now time.Time, k pfsync.Key, c *conn, e *Entry, renewed bool) {
	sec := t.seconds(now)
	if renewed || c.has(seen) && c.tcp != e.TCP.State {
		t.passed(now, k, c, e)
		return
	}
	// Idle, but alive: the peers must not let it go before the kernel does. What is
	// left there, until the next dump but one is over.
	if c.has(seen) && c.told+t.life(c.class) < sec+2*uint32(t.cfg.Refresh/time.Second)+slack {
		t.refresh(now, k, c)
	}
	c.tcp = e.TCP.State
	t.conns.set(k, c)
}

// endDump looks for what was not in the dump, unless that was not whole. What has
// ended unheard is told; what a peer has and the kernel lacks is put there.
func (t *Table) endDump(now time.Time, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dumping, t.died = false, nil
	if !whole {
		return
	}
	sec := t.seconds(now)
	for k, c := range t.conns.all(t.pause) {
		switch {
		case c.latest == t.gen || c.has(dirty):
		case c.has(fresh): // perhaps the dump was there before it
			c.flags &^= fresh
			t.conns.set(k, &c)
		case c.unnamed():
			t.conns.delete(k)
		case c.has(seen) && !t.yielding:
			kind := newsDelete
			if c.until <= sec+slack {
				kind = newsExpire
			}
			t.end(now, k, &c, kind)
		case !t.adopting:
			c.flags &^= seen | written
			t.mark(k, &c)
		}
	}
}
