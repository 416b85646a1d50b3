package pfsync

import (
	"math"
	"sync"
	"time"
)

// memShards is the number of parts of a [Memory]. Those with the same remainder
// of their bucket are in the same shard.
const memShards = 256

// A memShard is a part of the table, with a lock of its own. Its states lie in
// slots, which never move; slot 0 stands for none.
type memShard struct {
	mu      sync.Mutex
	ids     hashIndex // slots by identity
	records []*[recordPage]memRecord
	columns []*memColumns
	used    uint32 // slots that were ever in use, slot 0 among them
	free    uint32 // the first slot that is not in use any more; see memRecord.free
	digests [DigestBuckets / memShards]uint64
	scratch State // what Update shows to its caller
}

// What the slots hold lies in pages, so that nothing large is ever moved. There are
// no pointers in them: the garbage collector passes by. 14 records fill 4 KB.
const (
	recordPage = 14
	columnPage = 128
	manyPages  = 8
)

// memColumns is what walks look at, apart from the rest so that they touch little
// memory.
type memColumns struct {
	active [columnPage]time.Duration // last activity; vacant if the slot is
	class  [columnPage]Timeout
	bucket [columnPage]uint8 // which one of the shard's
}

// vacant is later than any time that there is.
const vacant time.Duration = 1 << 62

// A memRecord is a state, but for its activity and class. All times count from
// Memory.epoch.
type memRecord struct {
	// Written under both locks, so that either is enough to read them.
	id          StateID
	wire, stack Key
	rtAddr      Addr
	rule        uint32
	anchor      uint32
	natRule     uint32
	packets     [2]uint64
	bytes       [2]uint64
	created     time.Duration
	rTableID    [2]int32
	maxMSS      uint16
	flags       StateFlags
	names       nameNumbers
	qid, pqid   uint16
	dnPipe      uint16
	dnRPipe     uint16
	af, rtAF    AF
	proto       uint8
	direction   Direction
	log         uint8
	rt          RouteType
	syncFlags   uint8
	updates     uint8
	minTTL      uint8
	setTOS      uint8
	setPrio     [2]uint8

	// Guarded by the lock of the shard.
	src, dst Peer
	changed  time.Duration
	digest   uint64
	free     uint32 // the next slot that is not in use, if this one is not
}

// record is that of a slot that is or was in use.
func (sh *memShard) record(n uint32) *memRecord {
	return &sh.records[n/recordPage][n%recordPage]
}

// column returns the page with the columns of a slot, and its row there.
func (sh *memShard) column(n uint32) (*memColumns, uint32) {
	return sh.columns[n/columnPage], n % columnPage
}

// vacant reports whether a slot below used is.
func (sh *memShard) vacant(n uint32) bool {
	c, i := sh.column(n)
	return c.active[i] == vacant
}

// find returns the slot of a state, 0 if there is none.
func (sh *memShard) find(id StateID, hash uint32) uint32 {
	for n, next := sh.ids.seek(hash, hash); n != 0; n, next = sh.ids.seek(hash, next) {
		if sh.record(n).id == id {
			return n
		}
	}
	return 0
}

// take returns a slot that was vacant, its content being of no meaning.
func (sh *memShard) take() uint32 {
	if n := sh.free; n != 0 {
		sh.free = sh.record(n).free
		return n
	}
	n := max(sh.used, 1)
	for int(n/recordPage) >= len(sh.records) {
		sh.morePages()
	}
	for int(n/columnPage) >= len(sh.columns) {
		c := new(memColumns)
		for i := range c.active {
			c.active[i] = vacant
		}
		sh.columns = append(sh.columns, c)
	}
	sh.used = n + 1
	return n
}

// morePages adds pages of records: one, or several at once to a shard that has many,
// since one large piece costs less than as much in small ones.
func (sh *memShard) morePages() {
	if len(sh.records) < manyPages {
		sh.records = append(sh.records, new([recordPage]memRecord))
		return
	}
	pages := new([manyPages][recordPage]memRecord)
	for i := range pages {
		sh.records = append(sh.records, &pages[i])
	}
}

// vacate is the opposite of take.
func (sh *memShard) vacate(n uint32) {
	c, i := sh.column(n)
	c.active[i] = vacant
	sh.record(n).free = sh.free
	sh.free = n
}

// store writes st to a slot. Both locks are held.
func (m *Memory) store(now time.Time, sh *memShard, n uint32, st *State, names nameNumbers) {
	at, life := m.since(now), m.lifetimes[st.Timeout]
	left := time.Duration(st.Expire) * time.Second
	if st.Expire == 0 || left > life {
		left = life
	}
	c, i := sh.column(n)
	c.active[i], c.class[i], c.bucket[i] = at-(life-left), st.Timeout, uint8(st.Bucket()/memShards)
	*sh.record(n) = memRecord{
		id: st.StateID, wire: st.Wire, stack: st.Stack, src: st.Src, dst: st.Dst, names: names,
		created: at - time.Duration(st.Creation)*time.Second, changed: at, digest: st.Digest(),
		rtAddr: st.RtAddr, rule: st.Rule, anchor: st.Anchor, natRule: st.NATRule,
		packets: st.Packets, bytes: st.Bytes, rTableID: st.RTableID, maxMSS: st.MaxMSS,
		af: st.AF, proto: st.Proto, rtAF: st.RtAF, direction: st.Direction, log: st.Log, rt: st.Rt,
		syncFlags: st.SyncFlags, updates: st.Updates, minTTL: st.MinTTL, setTOS: st.SetTOS,
		flags: st.Flags, setPrio: st.SetPrio,
		qid: st.QID, pqid: st.PQID, dnPipe: st.DNPipe, dnRPipe: st.DNRPipe,
	}
}

// load reads st from a slot. The shard is locked. What is left of a second counts
// as one, since a peer would take 0 for a whole time-out.
func (m *Memory) load(now time.Time, sh *memShard, n uint32, st *State) {
	at := m.since(now)
	c, i := sh.column(n)
	r := sh.record(n)
	left := m.life(c.class[i]) - max(at-c.active[i], 0)
	*st = State{
		StateID: r.id, Wire: r.wire, Stack: r.stack, Src: r.src, Dst: r.dst,
		IfName: m.names.get(r.names.ifname), RtIfName: m.names.get(r.names.rtIfName),
		OrigIfName: m.names.get(r.names.origIfName), Tag: m.tags.get(r.names.tag),
		Creation: seconds(at - r.created),
		Expire:   seconds(left + time.Second - 1),
		RtAddr:   r.rtAddr, Rule: r.rule, Anchor: r.anchor, NATRule: r.natRule,
		Packets: r.packets, Bytes: r.bytes, RTableID: r.rTableID, MaxMSS: r.maxMSS,
		AF: r.af, Proto: r.proto, RtAF: r.rtAF, Direction: r.direction, Log: r.log, Rt: r.rt,
		Timeout: c.class[i], SyncFlags: r.syncFlags, Updates: r.updates, MinTTL: r.minTTL, SetTOS: r.setTOS,
		Flags: r.flags, SetPrio: r.setPrio,
		QID: r.qid, PQID: r.pqid, DNPipe: r.dnPipe, DNRPipe: r.dnRPipe,
	}
}

// seconds are the whole seconds of d, as far as the wire has room for them.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxUint32))
}
