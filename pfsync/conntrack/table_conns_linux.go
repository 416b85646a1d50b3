package conntrack

import (
	"encoding/binary"
	"hash/maphash"
	"iter"

	"github.com/gocarp/gocarp/pfsync"
)

// A connTable is what is noted of all connections, by their middles: a map that takes
// some 54 octets for a connection of IPv4, with what finds it, and 40 more for one of
// IPv6. There are no pointers in what it holds, so that the garbage collector passes
// by, and records never move. It grows in small pieces and does not shrink; the room
// of what is deleted is used again.
type connTable struct {
	seed     maphash.Seed
	n        int
	protos   [256]int // connections, by their IP protocol
	wide     keyPool
	creators creators
	parts    [connParts]connPart // by hash
}

// A connPart is some of the records, in slots, and an open table with linear probing
// that finds them.
type connPart struct {
	index  []uint32 // an octet of the hash and the slot behind it; 0: nothing was there
	n      int      // slots in use
	filled int      // places of the index that are not 0; four fifths of them at most
	pages  []*[connPage]connRecord
	used   uint32 // slots that were ever in use, slot 0 among them, which stands for none
	free   uint32 // the first one that is not any more; see connRecord.until
}

const (
	connParts = 64
	connPage  = 32 // 1536 octets: what Go's allocator has a size for
	keyPage   = 51 // 2 KB

	// A part has room for 2^24 slots: one that is full means 60 GB of records.
	slotBits = 24
	slotMask = 1<<slotBits - 1

	// tombstone is in an index where something was deleted: look further.
	tombstone = 1 << slotBits
)

// A connRef is where a connection is: the part, and the slot there; never 0. Once that
// connection is deleted, another one may be there.
type connRef uint32

// A connRecord is a conn, and its key.
type connRecord struct {
	id                 [2]uint64
	until, told, shape uint32    // until: of a vacant slot, the next one
	addr               [2]uint32 // of a wide key, the first one is its number in the pool
	port               [2]uint16
	creator            [2]uint8 // their numbers
	proto              uint8
	kind               keyKind
	class              pfsync.Timeout
	tcp                TCPState
	flags              connFlags
	latest             uint8
}

type keyKind uint8

const (
	vacant keyKind = iota
	narrow         // of IPv4
	wide           // of anything else
)

// A narrowKey is a key of IPv4.
type narrowKey struct {
	addr  [2]uint32
	port  [2]uint16
	proto uint32 // so that there is no gap, which would make hashing slower
}

// narrowed is k as a narrowKey, if all of it fits.
func narrowed(k *pfsync.Key) (narrowKey, bool) {
	a, b := &k.Addr[0], &k.Addr[1]
	if k.AF != pfsync.AFInet || k.RDomain != 0 || [12]byte(a[4:]) != [12]byte{} || [12]byte(b[4:]) != [12]byte{} {
		return narrowKey{}, false
	}
	return narrowKey{[2]uint32{binary.BigEndian.Uint32(a[:]), binary.BigEndian.Uint32(b[:])}, k.Port, uint32(k.Proto)}, true
}

func (x *connTable) len() int { return x.n }

// A lookup is a key on its way through the table.
type lookup struct {
	key    *pfsync.Key
	narrow narrowKey
	kind   keyKind
	hash   uint64
}

func (x *connTable) lookup(k *pfsync.Key) lookup {
	l := lookup{key: k, kind: wide}
	if short, ok := narrowed(k); ok {
		l.narrow, l.kind, l.hash = short, narrow, maphash.Comparable(x.seed, short)
	} else {
		l.hash = maphash.Comparable(x.seed, *k)
	}
	return l
}

// The hash says which part (the highest bits), where in its index (the lowest 32), and
// what stands there in front of the slot (the 8 above), which saves looks at records.

func partOf(hash uint64) uint32         { return uint32(hash >> 58) }
func tagOf(hash uint64) uint32          { return uint32(hash>>32) << slotBits }
func placeOf(hash uint64, size int) int { return int(hash & 0xffffffff * uint64(size) >> 32) }

func (p *connPart) record(slot uint32) *connRecord { return &p.pages[slot/connPage][slot%connPage] }

// find returns the slot of a key and its place in the index, or 0 and a place for it.
func (x *connTable) find(p *connPart, l *lookup) (slot uint32, place int) {
	if len(p.index) == 0 {
		return 0, 0
	}
	tag, grave := tagOf(l.hash), -1
	for i := placeOf(l.hash, len(p.index)); ; {
		switch e := p.index[i]; {
		case e == 0 && grave >= 0:
			return 0, grave
		case e == 0:
			return 0, i
		case e == tombstone:
			if grave < 0 {
				grave = i
			}
		case e&^slotMask == tag && x.is(p.record(e&slotMask), l):
			return e & slotMask, i
		}
		if i++; i == len(p.index) {
			i = 0
		}
	}
}

// is reports whether a record, not of a vacant slot, has that key.
func (x *connTable) is(r *connRecord, l *lookup) bool {
	if r.kind != l.kind {
		return false
	}
	if l.kind == narrow {
		return r.addr == l.narrow.addr && r.port == l.narrow.port && uint32(r.proto) == l.narrow.proto
	}
	return *x.wide.at(r.addr[0]) == *l.key
}

// get returns what is noted of a connection. Without one it is the zero conn, which set
// makes a new connection of.
func (x *connTable) get(k pfsync.Key) (conn, bool) {
	l := x.lookup(&k)
	part := partOf(l.hash)
	p := &x.parts[part]
	slot, _ := x.find(p, &l)
	if slot == 0 {
		return conn{}, false
	}
	return x.conn(p.record(slot), connRef(part<<slotBits|slot)), true
}

// at returns the connection that is somewhere.
func (x *connTable) at(ref connRef) (k pfsync.Key, c conn, ok bool) {
	r := x.parts[ref>>slotBits].record(uint32(ref & slotMask))
	if r.kind == vacant {
		return k, c, false
	}
	return x.key(r), x.conn(r, ref), true
}

// set notes c, which get has returned for k, or adds it.
func (x *connTable) set(k pfsync.Key, c *conn) {
	if c.ref == 0 {
		c.ref = x.add(&k)
	}
	r := x.parts[c.ref>>slotBits].record(uint32(c.ref & slotMask))
	r.id = [2]uint64{c.ids[0].ID, c.ids[1].ID}
	for i := range r.creator {
		x.creators.set(&r.creator[i], idPlace{c.ref, i}, c.ids[i].CreatorID)
	}
	r.until, r.told, r.shape = c.until, c.told, c.shape
	r.class, r.tcp, r.flags, r.latest = c.class, c.tcp, c.flags, c.latest
}

func (x *connTable) conn(r *connRecord, ref connRef) conn {
	c := conn{ref: ref, until: r.until, told: r.told, shape: r.shape, class: r.class, tcp: r.tcp, flags: r.flags, latest: r.latest}
	for i := range c.ids {
		c.ids[i] = pfsync.StateID{ID: r.id[i], CreatorID: x.creators.at(r.creator[i], idPlace{ref, i})}
	}
	return c
}

func (x *connTable) key(r *connRecord) (k pfsync.Key) {
	if r.kind == wide {
		return *x.wide.at(r.addr[0])
	}
	k = pfsync.Key{AF: pfsync.AFInet, Proto: r.proto, Port: r.port}
	for i, a := range r.addr {
		binary.BigEndian.PutUint32(k.Addr[i][:], a)
	}
	return k
}

// add makes room for a connection, unless it has some.
func (x *connTable) add(k *pfsync.Key) connRef {
	l := x.lookup(k)
	part := partOf(l.hash)
	p := &x.parts[part]
	slot, place := x.find(p, &l)
	if slot != 0 {
		return connRef(part<<slotBits | slot)
	}
	if 5*(p.filled+1) > 4*len(p.index) {
		x.rebuild(p)
		_, place = x.find(p, &l)
	}
	slot = p.take()
	r := p.record(slot)
	*r = connRecord{kind: l.kind, addr: l.narrow.addr, port: l.narrow.port, proto: k.Proto}
	if l.kind == wide {
		r.addr[0] = x.wide.add(k)
	}
	if p.index[place] != tombstone {
		p.filled++
	}
	p.index[place] = tagOf(l.hash) | slot
	p.n++
	x.n++
	x.protos[k.Proto]++
	return connRef(part<<slotBits | slot)
}

// take returns a slot that is not in use.
func (p *connPart) take() uint32 {
	if slot := p.free; slot != 0 {
		p.free = p.record(slot).until
		return slot
	}
	slot := max(p.used, 1)
	if int(slot/connPage) >= len(p.pages) {
		p.pages = append(p.pages, new([connPage]connRecord))
	}
	p.used = slot + 1
	return slot
}

// delete forgets a connection.
func (x *connTable) delete(k pfsync.Key) {
	l := x.lookup(&k)
	p := &x.parts[partOf(l.hash)]
	slot, place := x.find(p, &l)
	if slot == 0 {
		return
	}
	r := p.record(slot)
	if r.kind == wide {
		x.wide.delete(r.addr[0])
	}
	for i := range r.creator {
		x.creators.set(&r.creator[i], idPlace{connRef(partOf(l.hash)<<slotBits | slot), i}, 0)
	}
	*r = connRecord{until: p.free}
	p.free = slot
	p.index[place] = tombstone
	p.n--
	x.n--
	x.protos[k.Proto]--
}

// hash is that of a record's key.
func (x *connTable) hash(r *connRecord) uint64 {
	if r.kind == narrow {
		return maphash.Comparable(x.seed, narrowKey{r.addr, r.port, uint32(r.proto)})
	}
	return maphash.Comparable(x.seed, *x.wide.at(r.addr[0]))
}

// rebuild makes an index that is nearly full anew: without tombstones, and larger if it
// was not they that filled it. Of a hundred thousand connections less than two thousand
// are in a part, which takes some hundredths of a millisecond.
func (x *connTable) rebuild(p *connPart) {
	size := len(p.index)
	if 3*p.n >= 2*size {
		size = max(8, size*3/2)
	}
	p.index, p.filled = make([]uint32, size), p.n
	for slot := uint32(1); slot < p.used; slot++ {
		r := p.record(slot)
		if r.kind == vacant {
			continue
		}
		hash := x.hash(r)
		i := placeOf(hash, size)
		for p.index[i] != 0 {
			if i++; i == size {
				i = 0
			}
		}
		p.index[i] = tagOf(hash) | slot
	}
}

// all iterates over the connections. Every now and then it calls pause, unless that is
// nil, which may do with the table what it wants: a connection that is there from the
// first to the last is seen once, others perhaps.
func (x *connTable) all(pause func()) iter.Seq2[pfsync.Key, conn] {
	return func(yield func(pfsync.Key, conn) bool) {
		n := 0
		for part := range x.parts {
			for slot := uint32(1); slot < x.parts[part].used; slot++ {
				if n++; n%eachBatch == 0 && pause != nil {
					pause()
				}
				k, c, ok := x.at(connRef(uint32(part)<<slotBits | slot))
				if ok && !yield(k, c) {
					return
				}
			}
		}
	}
}

// eachBatch is how many connections are looked at without a pause: some tenths of a
// millisecond.
const eachBatch = 1 << 10

// A keyPool has the keys that do not fit into a record.
type keyPool struct {
	pages []*[keyPage]pfsync.Key
	used  uint32
	free  []uint32
}

func (p *keyPool) at(n uint32) *pfsync.Key { return &p.pages[n/keyPage][n%keyPage] }

func (p *keyPool) add(k *pfsync.Key) (n uint32) {
	if last := len(p.free) - 1; last >= 0 {
		n, p.free = p.free[last], p.free[:last]
	} else {
		n = p.used
		p.used++
		if int(n/keyPage) == len(p.pages) {
			p.pages = append(p.pages, new([keyPage]pfsync.Key))
		}
	}
	*p.at(n) = *k
	return n
}

func (p *keyPool) delete(n uint32) { p.free = append(p.free, n) }

// creators numbers those of states, who are few. Number 0 is none, and numberless stands
// for those that found no number free: a host that makes them up gets no further.
type creators struct {
	named  [numberless]creator
	others map[idPlace]uint32
}

const numberless = 255

type creator struct {
	id      uint32
	holders int
}

// An idPlace is one of the two identities of a connection.
type idPlace struct {
	ref  connRef
	side int
}

// at is the creator with a number.
func (c *creators) at(number uint8, p idPlace) uint32 {
	if number == numberless {
		return c.others[p]
	}
	return c.named[number].id
}

// set makes the number that stands in a place that of a creator.
func (c *creators) set(number *uint8, p idPlace, id uint32) {
	if c.at(*number, p) == id {
		return
	}
	if *number == numberless {
		delete(c.others, p)
	} else {
		c.named[*number].holders--
	}
	*number = c.number(id)
	if *number == numberless {
		if c.others == nil {
			c.others = make(map[idPlace]uint32)
		}
		c.others[p] = id
	} else {
		c.named[*number].holders++
	}
}

// number finds that of a creator, or one that nobody holds any more.
func (c *creators) number(id uint32) uint8 {
	free := numberless
	for i := range c.named {
		switch x := &c.named[i]; {
		case x.id == id && (i == 0 || x.holders > 0):
			return uint8(i)
		case i > 0 && x.holders == 0 && free == numberless:
			free = i
		}
	}
	if free < numberless {
		c.named[free].id = id
	}
	return uint8(free)
}
