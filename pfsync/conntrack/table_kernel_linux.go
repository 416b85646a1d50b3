package conntrack

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// wanted reports whether an entry is to be mirrored: not before somebody has
// answered, where that is to be expected, and not what stays on this host.
func (t *Table) wanted(e *Entry) bool {
	o, last := &e.Orig, e.Reply.Src
	switch {
	case e.Status&(StatusDying|StatusTemplate|StatusUntracked) != 0 || e.Zone != 0 || !mappable(o.Proto):
		return false
	case o.Proto == ProtoTCP && e.TCP.State.before(TCPSynRecv):
		return false
	case isICMP(o.Proto) && e.Status&StatusSeenReply == 0:
		return false
	case o.Src.IsLoopback() || o.Src.IsUnspecified() || o.Src.IsLinkLocalUnicast() ||
		last.IsLoopback() || last.IsMulticast() || last.IsLinkLocalUnicast() || last == broadcast:
		return false
	case o.Proto == ProtoUDP && t.cfg.SkipShort && e.Status&StatusAssured == 0:
		return false
	}
	if !t.cfg.Local {
		for _, a := range [...]netip.Addr{o.Src, last} {
			if _, ours := t.local[a]; ours {
				return false
			}
		}
	}
	return t.cfg.Skip == nil || !t.cfg.Skip(e)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// shape is a hash of what an entry translates, never 0. Together with its middle
// that is all of it.
func (t *Table) shape(e *Entry) uint32 {
	return uint32(maphash.Comparable(t.seed, struct {
		to, as         netip.Addr
		port, id, icmp uint16
	}{e.Orig.Dst, e.Reply.Dst, e.Orig.DstPort, e.Reply.DstPort, e.Reply.ICMPID})) | 1
}

// changed takes in an event: packets have passed here.
func (t *Table) changed(now time.Time, e *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.look(e)
	if !ok {
		return
	}
	if len(t.died) > 0 {
		delete(t.died, t.conns.lookup(&k).hash)
	}
	c, _ := t.conns.get(k)
	c = t.reused(now, k, c, e, true)
	c.until = t.seconds(now) + e.Timeout
	c.flags &^= fresh
	switch {
	case t.adopting && c.unnamed():
		c.flags |= spoke | written
		c.tcp = e.TCP.State
		t.conns.set(k, &c)
	case c.unnamed():
		t.announce(now, k, &c, e, false)
	default:
		t.passed(now, k, &c, e)
	}
}

// look returns the key of an entry, if it is to be mirrored.
func (t *Table) look(e *Entry) (pfsync.Key, bool) {
	if !t.wanted(e) {
		return pfsync.Key{}, false
	}
	ks, err := t.mapping.keys(e)
	if err != nil {
		t.stats.Unmapped++
		return pfsync.Key{}, false
	}
	return ks.middle, true
}

// reused makes c a new connection if e is another one than it was: the end of that
// was missed, or is not heard of yet. Of what a peer uses, a dump is no witness: there
// may be an old entry in it, which is about to be replaced.
func (t *Table) reused(now time.Time, k pfsync.Key, c conn, e *Entry, packets bool) conn {
	shape := t.shape(e)
	differs := c.shape != 0 && c.shape != shape && !c.unnamed()
	c.latest = t.gen
	if differs && (c.has(dirty|fresh) || !packets && !c.has(seen)) {
		if !c.has(dirty | fresh) {
			c.shape = 0 // so that it is replaced, not updated
			t.mark(k, &c)
		}
		return c
	}
	again := e.TCP.State == TCPSynRecv && !c.tcp.before(TCPFinWait) && !c.unnamed()
	if differs || again {
		t.end(now, k, &c, newsDelete)
		c = conn{latest: t.gen}
	}
	c.shape = shape
	return c
}

// announce gives a connection names and tells the peers.
func (t *Table) announce(now time.Time, k pfsync.Key, c *conn, e *Entry, again bool) {
	if err := t.mapping.Export(e, now.UnixNano(), &t.in, &t.out); err != nil {
		t.stats.Unmapped++
		return
	}
	for i, st := range [...]*pfsync.State{&t.in, &t.out} {
		t.nextID++
		st.StateID = pfsync.StateID{ID: t.nextID, CreatorID: t.cfg.HostID}
		err := t.memory.Insert(now, st, t.overtaken)
		if err == nil {
			c.ids[i] = st.StateID
			t.news = append(t.news, news{kind: newsInsert, id: st.StateID, again: again})
			continue
		}
		if errors.Is(err, pfsync.ErrFull) {
			t.stats.Full++
		} else {
			t.stats.Collisions++
		}
	}
	if c.unnamed() {
		return
	}
	c.flags = c.flags&dirty | seen | written
	c.class, c.tcp = t.in.Timeout, e.TCP.State
	// The peers are told how much of its time is left: as of a time when all of it was.
	sec, life := t.seconds(now), t.life(c.class)
	if c.told = sec; t.in.Expire > 0 && t.in.Expire < life {
		c.told = max(sec+t.in.Expire, life) - life
	}
	t.conns.set(k, c)
	t.stats.Announced++
}

// overtaken takes note that a state in memory has made room for another one.
func (t *Table) overtaken(id pfsync.StateID) {
	t.news = append(t.news, news{kind: newsDelete, id: id})
}

// passed takes note that packets of a connection pass here.
func (t *Table) passed(now time.Time, k pfsync.Key, c *conn, e *Entry) {
	sec := t.seconds(now)
	moved := c.tcp != e.TCP.State && e.TCP.State != TCPNone
	first := !c.has(seen)
	c.flags |= seen | written
	if moved {
		c.tcp = e.TCP.State
	}
	foreign := false
	tell := first || sec-c.told > t.life(c.class)/4
	for _, id := range c.ids {
		t.memory.Update(now, id, func(st *pfsync.State) pfsync.Keep {
			foreign = foreign || first && ownNumbers(st)
			tell = t.mapping.renew(e, st) || tell
			e.count(st) // which peers are not told for its own sake
			c.class = st.Timeout
			return pfsync.KeepAll
		})
	}
	t.conns.set(k, c)
	switch {
	case foreign:
		t.reissue(now, k, c, e)
	case tell:
		t.refresh(now, k, c)
	}
}

// refresh has the peers hear that a connection is in use.
func (t *Table) refresh(now time.Time, k pfsync.Key, c *conn) {
	c.told = t.seconds(now)
	t.conns.set(k, c)
	for _, id := range c.ids {
		if t.memory.Update(now, id, inUse) {
			t.news = append(t.news, news{kind: newsUpdate, id: id, proto: k.Proto})
		}
	}
	t.stats.Refreshed++
}

// inUse begins the time of a state anew.
func inUse(*pfsync.State) pfsync.Keep { return pfsync.KeepAll }

// ownNumbers reports whether a state has the sequence numbers of a pf that has carried
// a connection that is not over. Those who carry it on without that pf make them
// wrong, and it would not believe in the connection when it gets it back.
func ownNumbers(st *pfsync.State) bool {
	return st.Proto == ProtoTCP && st.Flags&pfsync.FlagSloppy == 0 &&
		(st.Src.SeqLo != 0 || st.Dst.SeqLo != 0) && max(st.Src.State, st.Dst.State) < pfsync.TCPClosing
}

// reissue has the peers forget a connection, and learn it anew with what they need to
// carry it on from any packet.
func (t *Table) reissue(now time.Time, k pfsync.Key, c *conn, e *Entry) {
	for i, id := range c.ids {
		if t.memory.Delete(id) {
			t.news = append(t.news, news{kind: newsDelete, id: id})
			t.gone.put(id, t.seconds(now))
		}
		c.ids[i] = pfsync.StateID{}
	}
	t.stats.Reissued++
	t.announce(now, k, c, e, true)
}

// destroyed takes in the end of an entry. If it was a packet of somebody else's that
// was seen last, it is not over: the end of the round puts it back.
func (t *Table) destroyed(now time.Time, e *Entry) {
	ks, err := t.mapping.keys(e)
	if err != nil {
		return
	}
	k := ks.middle
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hasGone(t.conns.lookup(&k).hash)
	c, known := t.conns.get(k)
	if !known || c.shape != 0 && c.shape != t.shape(e) {
		return
	}
	if c.unnamed() {
		t.conns.delete(k)
		return
	}
	c.flags &^= written | fresh
	if t.yielding || !c.has(seen) {
		c.flags &^= seen
		t.conns.set(k, &c)
		t.stats.Withheld++
		return
	}
	kind := newsDelete
	if e.Timeout == 0 {
		kind = newsExpire
	}
	t.end(now, k, &c, kind)
}

// end removes a connection that is over, and tells the peers.
func (t *Table) end(now time.Time, k pfsync.Key, c *conn, kind newsKind) {
	for _, id := range c.ids {
		if t.memory.Delete(id) {
			t.news = append(t.news, news{kind: kind, id: id})
			t.gone.put(id, t.seconds(now))
		}
	}
	delete(t.orphans.m, k)
	t.conns.delete(k)
	t.stats.Ended++
}
