package conntrack

import (
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// Packets make no events. That a connection is in use shows when its time-out is
// found to be later than it was in the dump before. All dumps are compared with what
// is noted, which also finds what was missed.

const (
	// slack is by how many seconds two reckonings of the same time may differ.
	slack = 2

	// wholeEvery is how many rounds there are, one every TableConfig.Refresh, from one
	// that looks at all connections to the next. The others leave TCP out, which is most
	// of a table: that makes events of all that shortens its life, and lives for
	// long else. So every minute is often enough:
	//
	//   - The peers keep one that is open for a day, and are told after a quarter of it.
	//     One that is half closed, and used, they keep for 15 minutes, and are told after
	//     four. All others live for two minutes at most, here as well, and what is
	//     noted of them is enough for keep.
	//   - A kernel that has an entry from a peer keeps it for as long as that does.
	//   - Of other protocols, packets may pass for ever without an event, and peers
	//     forget them after 20 s (ICMP) to 60: those are looked at in every round.
	//
	// What a look at TCP finds besides: that packets of it pass on this host now (after
	// a Commit that is soon to be known, so the next rounds are about everything), and
	// the end of what has run out while the kernel has not yet noticed, or was missed.
	wholeEvery = 4

	// wholeRounds is how many rounds are about everything once events were lost, or
	// traffic has moved.
	wholeRounds = 4

	// walkCost is how many entries cost as much as one walk of the kernel through its
	// table, and one protocol takes a walk for each family: 13 ms of CPU against
	// 3 to 5 us, with the 262144 buckets of a machine that has some memory.
	walkCost = 4096
)

// round begins a round, and returns the IP protocols to dump in it; 0 is everything.
func (t *Table) round() []uint8 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds++
	if t.whole > 0 || t.rounds == wholeEvery {
		t.whole = max(t.whole-1, 0)
		t.rounds = 0
		return []uint8{0}
	}
	var protos []uint8
	walks := 0
	for proto, n := range t.conns.protos {
		if n == 0 || proto == ProtoTCP {
			continue
		}
		protos = append(protos, uint8(proto))
		if walks++; !isICMP(uint8(proto)) {
			walks++
		}
	}
	if t.conns.protos[ProtoTCP] < walks*walkCost { // it is cheaper to be told of those, too
		return []uint8{0}
	}
	return protos
}

// lookAtAll has the next rounds be about everything.
func (t *Table) lookAtAll(rounds int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = max(t.whole, rounds)
}

// beginDump is called before the kernel is asked for a protocol, or for all with 0.
func (t *Table) beginDump(proto uint8) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen++
	t.dumping, t.proto = true, proto
	t.died = make(map[uint64]struct{})
	for i := range t.deletes {
		t.hasGone(t.deletes[i].hash)
	}
	for _, hash := range t.going {
		t.hasGone(hash)
	}
	t.stats.Dumps++
}

// hasGone takes note of an entry that was destroyed, or is about to be: a dump that has it
// all the same is no witness of a new connection.
func (t *Table) hasGone(hash uint64) {
	if t.dumping {
		t.died[hash] = struct{}{}
	}
}

// over reports whether an entry is one of those.
func (t *Table) over(k pfsync.Key) bool {
	if len(t.died) == 0 {
		return false
	}
	_, over := t.died[t.conns.lookup(&k).hash]
	return over
}

// dumped takes in an entry of a dump, and returns how much there is to tell.
func (t *Table) dumped(now time.Time, e *Entry) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.look(e)
	if !ok {
		return len(t.news)
	}
	if t.over(k) {
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
	if renewed || c.has(seen) && c.tcp != e.TCP.State {
		t.passed(now, k, c, e)
		return
	}
	c.tcp = e.TCP.State
	t.conns.set(k, c)
}

// endDump looks for what was not in the dump and should have been, unless there are gaps in
// that. What has ended unheard is told; what a peer has and the kernel lacks is put there.
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
		case t.proto != 0 && t.proto != k.Proto || c.latest == t.gen || c.has(dirty):
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

// keep is the end of a round. What is in use here is kept alive at the peers, and what is
// in use there in the kernel.
func (t *Table) keep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sec := t.seconds(now)
	soon := sec + 2*uint32(t.cfg.Refresh/time.Second) + slack
	for k, c := range t.conns.all(t.tellingPause) {
		switch {
		case c.unnamed():
		case c.has(seen):
			// Idle, but alive: the peers must not let it go before the kernel does. What is
			// left there, until the next round but one is over.
			if c.until+slack > sec && c.told+t.life(c.class) < soon {
				t.refresh(now, k, &c)
			}
		case !t.adopting && !c.has(written|dirty): // its end was heard of, and not believed
			t.mark(k, &c)
		}
	}
}

// tellingPause is a pause in which what there is to tell is told, at the pace of a dump.
func (t *Table) tellingPause() {
	n := len(t.news)
	if n < tellAt {
		t.pause()
		return
	}
	t.mu.Unlock()
	defer t.mu.Lock()
	t.tell()
	time.Sleep(time.Duration(n/tellAt) * tellPause)
}
