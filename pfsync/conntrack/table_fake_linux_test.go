package conntrack

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A recorder is a sink that writes down what it is told.
type recorder struct{ said []string }

func (r *recorder) Inserted(id pfsync.StateID) { r.add("insert", id) }
func (r *recorder) Deleted(id pfsync.StateID)  { r.add("delete", id) }
func (r *recorder) Expired(id pfsync.StateID)  { r.add("expire", id) }
func (r *recorder) Updated(id pfsync.StateID, proto uint8) {
	r.add(fmt.Sprintf("update %d", proto), id)
}
func (r *recorder) Flush(context.Context) error { r.said = append(r.said, "flush"); return nil }

func (r *recorder) add(what string, id pfsync.StateID) {
	who := "theirs"
	if id.CreatorID == us {
		who = "ours"
	}
	r.said = append(r.said, what+" "+who)
}

const us = 0xa1

// A bench is a table without a kernel, and a clock.
type mirrorTest struct {
	*Table
	t   *testing.T
	now time.Time
	rec recorder
}

func newMirrorTest(t *testing.T, c TableConfig) *mirrorTest {
	t.Helper()
	c.HostID = us
	start := time.Unix(1_700_000_000, 0)
	table, err := newMirror(c, start)
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrorTest{Table: table, t: t, now: start}
	m.SetSink(&m.rec)
	m.Adopted()
	return m
}

// said is what the sink was told since the last call.
func (m *mirrorTest) said() []string {
	m.rec.said = nil
	m.tell()
	return m.rec.said
}

func (m *mirrorTest) wantSaid(when string, want ...string) {
	m.t.Helper()
	if got := m.said(); !slices.Equal(got, want) {
		m.t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

// dump has the kernel's table be all, and is a round that looks at all of it.
func (m *mirrorTest) dump(all ...Entry) {
	m.lookAtAll(1)
	m.roundOf(all...)
}

// roundOf is a round that looks at as much of the kernel's table as the Table wants.
func (m *mirrorTest) roundOf(all ...Entry) (protos []uint8) {
	protos = m.round()
	for _, proto := range protos {
		m.beginDump(proto)
		for i := range all {
			if proto == 0 || all[i].Orig.Proto == proto {
				m.dumped(m.now, &all[i])
			}
		}
		m.endDump(m.now, true)
	}
	m.keep(m.now)
	return protos
}

// written is what would be put into the kernel, and taken out.
func (m *mirrorTest) written() (put []Entry, gone []Tuple) {
	var b batch
	for m.take(m.now, &b) {
		put, gone = append(put, b.entries...), append(gone, b.deletes...)
	}
	return put, gone
}

// peerSays inserts the states of an entry, as a peer made them.
func (m *mirrorTest) peerSays(e *Entry, change func(*pfsync.State)) (in, out pfsync.State) {
	m.t.Helper()
	if err := m.mapping.Export(e, 0, &in, &out); err != nil {
		m.t.Fatal(err)
	}
	for i, st := range []*pfsync.State{&in, &out} {
		st.StateID = pfsync.StateID{ID: uint64(1 + i), CreatorID: 0xb2}
		if change != nil {
			change(st)
		}
		if err := m.Insert(m.now, st, nil); err != nil {
			m.t.Fatal(err)
		}
	}
	return in, out
}

// TestReissue: a connection that a pf has made, and that is carried on here, is told
// anew, so that the pf can carry it on when it gets it back: what is old goes first.
func TestReissue(t *testing.T) {
	m := newMirrorTest(t, TableConfig{Memory: pfsync.MemoryConfig{Dialect: pfsync.FreeBSD15}})
	e := snat4(1000)
	m.peerSays(&e, func(st *pfsync.State) {
		st.Src = pfsync.Peer{State: 4, SeqLo: 1000, SeqHi: 2000, MaxWin: 100, WScale: 0x87}
		st.Dst = pfsync.Peer{State: 4, SeqLo: 3000, SeqHi: 4000, MaxWin: 100, WScale: 0x89}
	})
	put, _ := m.written()
	if len(put) != 1 || put[0].TCP.State != TCPEstablished || put[0].TCP.WScale != [2]uint8{7, 9} || put[0].Reply != e.Reply {
		t.Fatalf("written: %v", put)
	}
	e.Timeout = put[0].Timeout
	m.dump(e)
	m.wantSaid("idle")
	m.now = m.now.Add(15 * time.Second)
	e.Timeout = 432000 // packets pass
	m.dump(e)
	m.wantSaid("taken over", "delete theirs", "delete theirs", "flush", "insert ours", "insert ours", "flush")
	var st pfsync.State
	for i, c := range m.conns.all(nil) {
		if !m.Get(m.now, c.ids[0], &st) || st.Src.State != 0 || st.Src.SeqHi != 1 || st.Src.SeqLo != 0 || st.Src.WScale != 0x87 {
			t.Errorf("%v: told as %+v", i, st.Src)
		}
	}
	if m.Len() != 2 {
		t.Errorf("%d states", m.Len())
	}
	m.now = m.now.Add(15 * time.Second)
	m.dump(e)
	m.wantSaid("once is enough")
}

// TestRefresh: what is in use is told in time, what is idle before it is gone at the
// peers, and what others use not at all.
func TestRefresh(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := udp("192.0.2.100", 1, "198.51.100.1", 2, "198.51.100.1", 2, "192.0.2.100", 1)
	e.Status |= StatusAssured
	const life, refresh = 60, 15 // of udp.multiple; of ours
	e.Timeout = 120
	m.changed(m.now, &e)
	m.wantSaid("new", "insert ours", "insert ours")
	told, left := 0, 120
	for left > 0 { // it was used just once
		m.now = m.now.Add(refresh * time.Second)
		told, left = told+refresh, left-refresh
		e.Timeout = uint32(left)
		m.dump(e)
		m.Expire(m.now, nil)
		if len(m.said()) == 2 {
			told = 0
		}
		if told+refresh >= life && left > 0 {
			t.Fatalf("with %d s left here, the peers have not heard of it for %d s, and it lives for %d", left, told, life)
		}
	}
	if m.Len() != 2 {
		t.Fatalf("it is gone before the kernel says so")
	}
	e.Timeout = 0
	m.destroyed(m.now, &e)
	m.wantSaid("the end", "expire ours", "expire ours")
	if m.Len() != 0 || m.conns.len() != 0 {
		t.Errorf("%d states, %d connections are left", m.Len(), m.conns.len())
	}
}

// TestStandby: what a peer uses is not ended nor kept alive by a standby.
func TestStandby(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := udp("192.0.2.100", 1, "198.51.100.1", 2, "198.51.100.1", 2, "192.0.2.100", 1)
	in, _ := m.peerSays(&e, nil)
	put, _ := m.written()
	if len(put) != 1 || put[0].Timeout != 20 {
		t.Fatalf("written: %v", put)
	}
	e = put[0]
	for range 2 {
		m.now = m.now.Add(5 * time.Second)
		e.Timeout -= 5
		m.dump(e)
		m.wantSaid("idle here")
	}
	m.Update(m.now, in.StateID, func(*pfsync.State) pfsync.Keep { return pfsync.KeepAll })
	if put, _ = m.written(); len(put) != 1 || put[0].Timeout != 30 {
		t.Errorf("in use at the peer, the kernel is told %v", put)
	}
	e.Timeout = 0
	m.destroyed(m.now, &e)
	m.wantSaid("it ends here, and lives elsewhere")
	m.dump()
	if put, _ = m.written(); len(put) != 1 {
		t.Errorf("missing, and not put back: %v", put)
	}
	m.now = m.now.Add(60 * time.Second)
	if n := m.Expire(m.now, nil); n != 2 || m.Len() != 0 {
		t.Errorf("%d have expired, %d are left", n, m.Len())
	}
	m.wantSaid("expired")
	if _, gone := m.written(); len(gone) != 1 || gone[0] != e.Orig {
		t.Errorf("taken out of the kernel: %v", gone)
	}
}

// TestYield: what ends while the addresses go does not end at the successor.
func TestYield(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := snat4(1000)
	m.changed(m.now, &e)
	m.wantSaid("new", "insert ours", "insert ours")
	m.Yield(true)
	m.destroyed(m.now, &e)
	m.wantSaid("yielding")
	m.Yield(false)
	m.dump()
	m.wantSaid("yielded")
	if put, _ := m.written(); len(put) != 1 || put[0].Orig != e.Orig {
		t.Errorf("not put back: %v", put)
	}
}

// TestNames: the later of two names counts, whichever comes first.
func TestNames(t *testing.T) {
	for _, later := range []bool{true, false} {
		m := newMirrorTest(t, TableConfig{})
		e := snat4(1000)
		m.changed(m.now, &e)
		var in, out pfsync.State
		m.mapping.Export(&e, 0, &in, &out)
		in.StateID = pfsync.StateID{ID: 1, CreatorID: 0xb2}
		if later {
			in.ID = 1 << 63
		}
		var replaced []pfsync.StateID
		err := m.Insert(m.now, &in, func(id pfsync.StateID) { replaced = append(replaced, id) })
		if (err == nil) != later || (len(replaced) == 1) != later || m.Len() != 2 {
			t.Errorf("later %t: %v, replaced %v, %d states", later, err, replaced, m.Len())
		}
		if put, gone := m.written(); len(put)+len(gone) != 0 {
			t.Errorf("later %t: the kernel is told %v, %v", later, put, gone)
		}
	}
}

// TestDeletes: an entry goes with the last of its states, by the tuple that it has,
// whatever is translated and whichever state goes first.
func TestDeletes(t *testing.T) {
	dnat := snat4(1000)
	dnat.Reply.Src, dnat.Reply.SrcPort = ip("203.0.113.9"), 8443
	for _, first := range []int{0, 1} {
		m := newMirrorTest(t, TableConfig{})
		in, out := m.peerSays(&dnat, nil)
		m.written()
		ids := []pfsync.StateID{in.StateID, out.StateID}
		m.Delete(ids[first])
		if _, gone := m.written(); len(gone) != 0 {
			t.Errorf("%d first: gone with the first: %v", first, gone)
		}
		m.Delete(ids[1-first])
		if _, gone := m.written(); !cmp.Equal(gone, []Tuple{dnat.Orig}, cmp.Comparer(func(a, b Tuple) bool { return a == b })) {
			t.Errorf("%d first: gone: %v", first, gone)
		}
		if m.conns.len()+len(m.orphans.m) != 0 {
			t.Errorf("%d first: %d connections and %d tuples are left", first, m.conns.len(), len(m.orphans.m))
		}
	}
}

// TestClear removes what one node has made.
func TestClear(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e, other := snat4(1000), snat4(2000)
	m.peerSays(&e, nil)
	m.changed(m.now, &other)
	m.written()
	var told int
	if n := m.Clear(0xb2, pfsync.Name{}, func(pfsync.StateID) { told++ }); n != 2 || told != 2 || m.Len() != 2 {
		t.Errorf("%d cleared, %d told, %d left", n, told, m.Len())
	}
	if _, gone := m.written(); len(gone) != 1 || gone[0] != e.Orig {
		t.Errorf("taken out of the kernel: %v", gone)
	}
}

// TestHeld: while states are held, what waits stays as small as the table.
func TestHeld(t *testing.T) {
	m := newMirrorTest(t, TableConfig{Policy: Hold})
	e := snat4(1000)
	for range 10000 {
		in, out := m.peerSays(&e, nil)
		m.Delete(in.StateID)
		m.Delete(out.StateID)
	}
	if len(m.Table.dirty) > 1000 {
		t.Errorf("%d wait, of no connections", len(m.Table.dirty))
	}
	if put, _ := m.written(); len(put) != 0 {
		t.Errorf("written: %v", put)
	}
}

// TestQueueReused: where a connection was that is over before it was written there is
// another one, that nobody wants written.
func TestQueueReused(t *testing.T) {
	const n = maxBatch / 2
	m := newMirrorTest(t, TableConfig{})
	for port := range uint16(n) {
		e := snat4(port)
		in, out := m.peerSays(&e, nil)
		m.Delete(in.StateID)
		m.Delete(out.StateID)
	}
	for port := range uint16(n) {
		e := snat4(n + port)
		m.changed(m.now, &e)
	}
	if len(m.Table.dirty) < n {
		t.Fatalf("%d wait, so nothing is tested", len(m.Table.dirty))
	}
	if put, gone := m.written(); len(put) != 0 || len(gone) != n {
		t.Errorf("%d written, %d taken out", len(put), len(gone))
	}
}

// TestBurst: what many connections took that ended at once is given back, though some
// always end.
func TestBurst(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	const n = 4 * smallBurst
	end := func(port uint16) {
		e := snat4(port)
		m.changed(m.now, &e)
		m.destroyed(m.now, &e)
	}
	for port := range uint16(n) {
		end(port)
	}
	if m.said(); m.gone.most != 2*n || cap(m.spare) > smallBurst {
		t.Fatalf("%d have ended, room for %d is kept", m.gone.most, cap(m.spare))
	}
	m.now = time.Now() // that is when the sink was told
	end(1)
	m.said()
	m.now = m.now.Add(goneFor * time.Second)
	end(2)
	m.said()
	m.Expire(m.now, nil)
	if len(m.gone.m) > 4 || m.gone.most > 4 {
		t.Errorf("%d ended just now, and room is kept for %d", len(m.gone.m), m.gone.most)
	}
}

// TestGhost: a dump that has an entry which is being removed does not bring its connection
// back, wherever the removal is.
func TestGhost(t *testing.T) {
	e := snat4(1000)
	for name, dump := range map[string]func(m *mirrorTest, remove func()){
		"removed in its course": func(m *mirrorTest, remove func()) { m.beginDump(0); remove() },
		"removed before it":     func(m *mirrorTest, remove func()) { remove(); m.beginDump(0) },
		"being written":         func(m *mirrorTest, remove func()) { remove(); m.take(m.now, new(batch)); m.beginDump(0) },
	} {
		m := newMirrorTest(t, TableConfig{})
		in, out := m.peerSays(&e, nil)
		m.written()
		m.dump(e)
		dump(m, func() { m.Delete(in.StateID); m.Delete(out.StateID) })
		m.dumped(m.now, &e)
		m.endDump(m.now, true)
		m.wantSaid(name, []string(nil)...)
		m.written()
		m.dump(e)
		m.wantSaid(name+", and there again", "insert ours", "insert ours")
	}
}

// TestReused: a new connection with the ports of an old one, whose end was missed, is
// a new one to the peers.
func TestReused(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := snat4(1000)
	m.changed(m.now, &e)
	m.said()
	e.Reply.DstPort++
	m.changed(m.now, &e)
	m.wantSaid("translated to another port", "delete ours", "delete ours", "insert ours", "insert ours")
}

// TestWanted goes through what is left out.
func TestWanted(t *testing.T) {
	m := newMirrorTest(t, TableConfig{SkipShort: true, Skip: func(e *Entry) bool { return e.Mark == 7 }})
	m.local[ip("192.0.2.1")] = struct{}{}
	change := func(f func(*Entry)) Entry { e := tcp4(1); f(&e); return e }
	for name, e := range map[string]Entry{
		"half open":   change(func(e *Entry) { e.TCP.State = TCPSynSent }),
		"from here":   change(func(e *Entry) { e.Orig.Src = ip("192.0.2.1") }),
		"to here":     change(func(e *Entry) { e.Reply.Src = ip("192.0.2.1") }),
		"loopback":    change(func(e *Entry) { e.Orig.Src = ip("127.0.0.1") }),
		"multicast":   change(func(e *Entry) { e.Reply.Src = ip("224.0.0.5") }),
		"link-local":  change(func(e *Entry) { e.Orig.Src = ip("fe80::1") }),
		"a zone":      change(func(e *Entry) { e.Zone = 1 }),
		"by the hook": change(func(e *Entry) { e.Mark = 7 }),
		"short UDP":   udp("192.0.2.100", 1, "198.51.100.1", 53, "198.51.100.1", 53, "192.0.2.100", 1),
		"unanswered":  {Orig: Tuple{Src: ip("192.0.2.100"), Dst: ip("198.51.100.1"), Proto: ProtoICMP, ICMPType: 8}},
	} {
		m.changed(m.now, &e)
		if got := m.said(); got != nil {
			t.Errorf("%s: told %q", name, got)
		}
	}
	e := tcp4(1)
	m.changed(m.now, &e)
	m.wantSaid("and a good one", "insert ours", "insert ours")
}

func TestTableConfig(t *testing.T) {
	if err := (&TableConfig{}).Validate(); err == nil {
		t.Error("no hostid is fine")
	}
	if err := (&TableConfig{HostID: 1, Refresh: time.Minute, Policy: 9, Adopt: -1}).Validate(); err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 3 {
		t.Errorf("%v", err)
	}
}

// TestHalves: a connection is not put into the kernel before both of its states are
// there, which would be without its translation, unless the other one does not come.
func TestHalves(t *testing.T) {
	for _, comes := range []bool{true, false} {
		m := newMirrorTest(t, TableConfig{})
		e := snat4(1000)
		var in, out pfsync.State
		m.mapping.Export(&e, 0, &in, &out)
		in.StateID, out.StateID = pfsync.StateID{ID: 1, CreatorID: 0xb2}, pfsync.StateID{ID: 2, CreatorID: 0xb2}
		if err := m.Insert(m.now, &in, nil); err != nil {
			t.Fatal(err)
		}
		if put, _ := m.written(); put != nil {
			t.Errorf("one state is there, and this is written: %v", put)
		}
		want := e.Orig.Inverse()
		if comes {
			m.Insert(m.now, &out, nil)
			want = e.Reply
		} else {
			m.noMoreWaiting()
		}
		if put, _ := m.written(); len(put) != 1 || put[0].Reply != want {
			t.Errorf("the other one comes, %t: %v", comes, put)
		}
		m.noMoreWaiting()
		if put, _ := m.written(); put != nil {
			t.Errorf("written again: %v", put)
		}
	}
}

// TestOldEntry: an entry with another translation than the peer's is no sign of a new
// connection, as long as no packets are seen: it is replaced.
func TestOldEntry(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := snat4(1000)
	m.peerSays(&e, nil)
	m.written()
	old := e
	old.Reply = old.Orig.Inverse()
	for range 2 { // while ours is on its way, and afterwards
		m.dump(old)
		m.wantSaid("an old entry")
	}
	var b batch
	if !m.take(m.now, &b) || len(b.entries) != 1 || b.known[0] || b.entries[0].Reply != e.Reply {
		t.Errorf("not replaced: %+v", b)
	}
	m.changed(m.now, &old)
	m.wantSaid("its packets, while ours is on its way", "update 6 theirs", "update 6 theirs")
	if m.Len() != 2 {
		t.Errorf("%d states", m.Len())
	}
}

// TestRecall: who tells all it has, because it was asked, does not take connections
// over with that; who sees packets does.
func TestRecall(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := snat4(1000)
	m.changed(m.now, &e)
	m.wantSaid("new", "insert ours", "insert ours")
	use := func(*pfsync.State) pfsync.Keep { return pfsync.KeepAll }
	for k, c := range m.conns.all(nil) {
		if !m.Recall(m.now, c.ids[0], use) || !m.seen(k.Port[1]) {
			t.Error("a peer has told what it has, and taken it over")
		}
		if put, _ := m.written(); put != nil {
			t.Errorf("written: %v", put)
		}
		if !m.Update(m.now, c.ids[0], use) || m.seen(k.Port[1]) {
			t.Error("a peer has seen packets, and not taken it over")
		}
		if put, _ := m.written(); len(put) != 1 {
			t.Errorf("the kernel insists on its windows: %v", put)
		}
	}
}
