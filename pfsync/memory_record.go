package pfsync

import (
	"encoding/binary"
	"math"
	"time"
)

// A State is kept in parts: what is its own in columns, what it
// has in common with many, as a rule, in pools. Nothing of it is lost.

// A memRecord is what a state is found by, and the numbers of the rest. It is
// written under both locks, so that either is enough to read it, but for peers.
type memRecord struct {
	id    uint64
	addrs [4]uint32 // of both keys, if they are of 4 octets; else the first is a number in wide
	ports [4]uint16
	body  uint32 // in Memory.bodies. If the slot is vacant, the next one that is
	peers uint32 // in memShard.peers, 0 if the slot is vacant; guarded by the lock of the shard
}

func (r *memRecord) vacant() bool { return r.peers == 0 }

// wideAddrs are the addresses of a state if not all have zeros behind 4 octets.
type wideAddrs [4]Addr

// memPeers are how far a connection has come.
type memPeers struct {
	src, dst Peer
}

// own reports whether there are hardly others like p.
func (p *memPeers) own() bool { return p.src.SeqLo|p.dst.SeqLo != 0 }

// A memBody is all that many states have in common. It never changes.
type memBody struct {
	rtAddr   Addr
	creator  uint32
	rule     uint32
	anchor   uint32
	natRule  uint32
	rTableID [2]int32
	maxMSS   uint16
	flags    StateFlags
	names    nameNumbers
	qid      uint16
	pqid     uint16
	dnPipe   uint16
	dnRPipe  uint16
	rdomain  [2]uint16 // of the keys, as are the next two
	af       [2]AF
	proto    [2]uint8

	stateAF    AF
	stateProto uint8
	rtAF       AF
	direction  Direction
	log        uint8
	rt         RouteType
	syncFlags  uint8
	updates    uint8
	minTTL     uint8
	setTOS     uint8
	setPrio    [2]uint8
	wide       bool // the addresses are wideAddrs
}

// A memLife is what Expire looks at. It is guarded by the lock of the shard, as is
// a memAge.
type memLife struct {
	active memTime // the last activity; vacant if the slot is
	class  Timeout
}

// A memAge is when a state was made, and when it last changed.
type memAge struct {
	created, changed memTime
}

// A memTime is a time since Memory.epoch in ticks, rounded down. There is room for
// all that a Duration can be.
type memTime [5]uint8

// memTick divides the second. States look older by less than that.
const memTick = 20 * time.Millisecond

// vacant is later than any time that there is.
var vacant = memTimeOf(1 << 62)

// ticks are those of a Duration, rounded down.
func ticks(d time.Duration) int64 {
	t := d / memTick
	if t*memTick > d {
		t--
	}
	return int64(t)
}

func memTimeOf(d time.Duration) memTime {
	t := ticks(d)
	return memTime{uint8(t), uint8(t >> 8), uint8(t >> 16), uint8(t >> 24), uint8(t >> 32)}
}

func (s *memTime) ticks() int64 {
	return int64(int8(s[4]))<<32 | int64(binary.LittleEndian.Uint32(s[:4]))
}

func (s *memTime) since() time.Duration { return time.Duration(s.ticks()) * memTick }

// narrow reports whether all addresses of st have zeros behind 4 octets.
func narrow(st *State) bool {
	rest := func(a *Addr) uint64 {
		return uint64(binary.BigEndian.Uint32(a[4:])) | binary.BigEndian.Uint64(a[8:])
	}
	return rest(&st.Wire.Addr[0])|rest(&st.Wire.Addr[1])|rest(&st.Stack.Addr[0])|rest(&st.Stack.Addr[1]) == 0
}

// keys reads the two keys of a record with a body.
func (sh *memShard) keys(r *memRecord, b *memBody, wire, stack *Key) {
	wire.Port, wire.RDomain, wire.AF, wire.Proto = [2]uint16{r.ports[0], r.ports[1]}, b.rdomain[0], b.af[0], b.proto[0]
	stack.Port, stack.RDomain, stack.AF, stack.Proto = [2]uint16{r.ports[2], r.ports[3]}, b.rdomain[1], b.af[1], b.proto[1]
	if b.wide {
		a := sh.wide.at(r.addrs[0])
		wire.Addr, stack.Addr = [2]Addr{a[0], a[1]}, [2]Addr{a[2], a[3]}
		return
	}
	for i, a := range [...]*Addr{&wire.Addr[0], &wire.Addr[1], &stack.Addr[0], &stack.Addr[1]} {
		binary.BigEndian.PutUint64(a[:8], uint64(r.addrs[i])<<32)
		binary.BigEndian.PutUint64(a[8:], 0)
	}
}

// bodyOf is the part of st that it has in common with others.
func bodyOf(st *State, names nameNumbers, wide bool) memBody {
	return memBody{
		creator: st.CreatorID, rtAddr: st.RtAddr, rule: st.Rule, anchor: st.Anchor, natRule: st.NATRule,
		rTableID: st.RTableID, maxMSS: st.MaxMSS, flags: st.Flags, names: names,
		qid: st.QID, pqid: st.PQID, dnPipe: st.DNPipe, dnRPipe: st.DNRPipe,
		rdomain: [2]uint16{st.Wire.RDomain, st.Stack.RDomain},
		af:      [2]AF{st.Wire.AF, st.Stack.AF}, proto: [2]uint8{st.Wire.Proto, st.Stack.Proto},
		stateAF: st.AF, stateProto: st.Proto, rtAF: st.RtAF, direction: st.Direction, log: st.Log, rt: st.Rt,
		syncFlags: st.SyncFlags, updates: st.Updates, minTTL: st.MinTTL, setTOS: st.SetTOS, setPrio: st.SetPrio,
		wide: wide,
	}
}

// store writes st to a slot. Both locks are held.
func (m *Memory) store(at time.Duration, sh *memShard, n uint32, st *State, names nameNumbers) {
	life := m.lifetimes[st.Timeout]
	left := time.Duration(st.Expire) * time.Second
	if st.Expire == 0 || left > life {
		left = life
	}
	*sh.life(n) = memLife{memTimeOf(at - (life - left)), st.Timeout}
	*sh.age(n) = memAge{memTimeOf(at - time.Duration(st.Creation)*time.Second), memTimeOf(at)}
	sh.count(n, &st.Packets, &st.Bytes)

	r := sh.record(n)
	r.id = st.ID
	r.ports = [4]uint16{st.Wire.Port[0], st.Wire.Port[1], st.Stack.Port[0], st.Stack.Port[1]}
	wide := !narrow(st)
	a := [4]*Addr{&st.Wire.Addr[0], &st.Wire.Addr[1], &st.Stack.Addr[0], &st.Stack.Addr[1]}
	if wide {
		r.addrs[0] = sh.wide.put(&wideAddrs{*a[0], *a[1], *a[2], *a[3]})
	} else {
		for i := range a {
			r.addrs[i] = binary.BigEndian.Uint32(a[i][:4])
		}
	}
	body := bodyOf(st, names, wide)
	r.body = m.bodies.share(&body)
	r.peers = sh.setPeers(0, &memPeers{st.Src, st.Dst})
}

// load reads st from a slot. The shard is locked. What is left of a second counts
// as one, since a peer would take 0 for a whole time-out.
func (m *Memory) load(at time.Duration, sh *memShard, n uint32, st *State) {
	r, life := sh.record(n), sh.life(n)
	b, peers := m.bodies.at(r.body), sh.peers.at(r.peers)
	left := m.life(life.class) - max(at-life.active.since(), 0)
	st.StateID = StateID{r.id, b.creator}
	st.IfName = nameAt(&m.names, b.names.ifname)
	sh.keys(r, b, &st.Wire, &st.Stack)
	st.Src, st.Dst = peers.src, peers.dst
	st.RtAddr, st.Rule, st.Anchor, st.NATRule = b.rtAddr, b.rule, b.anchor, b.natRule
	st.Creation = seconds(at - sh.age(n).created.since())
	st.Expire = seconds(left + time.Second - 1)
	st.Packets, st.Bytes = sh.counted(n)
	st.RTableID, st.MaxMSS = b.rTableID, b.maxMSS
	st.AF, st.Proto, st.RtAF, st.Direction = b.stateAF, b.stateProto, b.rtAF, b.direction
	st.Log, st.Rt, st.Timeout, st.SyncFlags, st.Updates = b.log, b.rt, life.class, b.syncFlags, b.updates
	st.MinTTL, st.SetTOS, st.Flags, st.SetPrio = b.minTTL, b.setTOS, b.flags, b.setPrio
	st.QID, st.PQID, st.DNPipe, st.DNRPipe = b.qid, b.pqid, b.dnPipe, b.dnRPipe
	st.RtIfName = nameAt(&m.names, b.names.rtIfName)
	st.OrigIfName = nameAt(&m.names, b.names.origIfName)
	st.Tag = nameAt(&m.tags, b.names.tag)
}

// seconds are the whole seconds of d, as far as the wire has room for them.
func seconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), math.MaxUint32))
}
