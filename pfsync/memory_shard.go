package pfsync

import (
	"hash/maphash"
	"sync"
)

// memShards is the number of parts of a [Memory]. Those with the same remainder
// of their bucket are in the same shard.
const memShards = 256

// A memShard is a part of the table, with a lock of its own. Its states lie in
// slots, which never move; slot 0 stands for none.
type memShard struct {
	mu       sync.Mutex
	ids      hashIndex // slots by identity
	pages    []*memPage
	lives    []*[livesLen]memLife
	counters []*memCounters // by page; nil or not there if all are 0
	used     uint32         // slots that were ever in use, slot 0 among them
	free     uint32         // the first slot that is not in use any more; see memRecord.body
	peers    pool[memPeers]
	wide     pool[wideAddrs]
	digests  [DigestBuckets / memShards]uint64
	scratch  State // what Update shows to its caller
}

// What the slots hold lies in pages, so that nothing large is ever moved. There are
// no pointers in them: the garbage collector passes by. They fill the 1152 and the
// 384 octets that the allocator gives them.
type memPage struct {
	records [pageLen]memRecord
	ages    [pageLen]memAge
}

const (
	pageLen  = 23
	livesLen = 64 // more, since Expire looks at nothing else
)

// memCounters are those of a page of states. A table whose states all have none,
// as many have, keeps none.
type memCounters [pageLen]struct{ packets, bytes [2]uint64 }

func (sh *memShard) init(seed maphash.Seed) {
	sh.peers.init(seed, 1)
	sh.wide.init(seed, 0)
}

// record is that of a slot that is or was in use, as are age and life.
func (sh *memShard) record(n uint32) *memRecord { return &sh.pages[n/pageLen].records[n%pageLen] }
func (sh *memShard) age(n uint32) *memAge       { return &sh.pages[n/pageLen].ages[n%pageLen] }
func (sh *memShard) life(n uint32) *memLife     { return &sh.lives[n/livesLen][n%livesLen] }

// take returns a slot that was vacant, its content being of no meaning.
func (sh *memShard) take() uint32 {
	if n := sh.free; n != 0 {
		sh.free = sh.record(n).body
		return n
	}
	n := max(sh.used, 1)
	if int(n/pageLen) == len(sh.pages) {
		sh.pages = append(sh.pages, new(memPage))
	}
	if int(n/livesLen) == len(sh.lives) {
		sh.lives = append(sh.lives, new([livesLen]memLife))
		if n == 1 {
			sh.life(0).active = vacant
		}
	}
	sh.used = n + 1
	return n
}

// vacate is the opposite of take.
func (sh *memShard) vacate(n uint32) {
	sh.life(n).active = vacant
	r := sh.record(n)
	r.peers, r.body = 0, sh.free
	sh.free = n
}

// count sets the counters of a slot.
func (sh *memShard) count(n uint32, packets, bytes *[2]uint64) {
	page := int(n / pageLen)
	if page >= len(sh.counters) || sh.counters[page] == nil {
		if *packets == [2]uint64{} && *bytes == [2]uint64{} {
			return
		}
		for page >= len(sh.counters) {
			sh.counters = append(sh.counters, nil)
		}
		sh.counters[page] = new(memCounters)
	}
	c := &sh.counters[page][n%pageLen]
	c.packets, c.bytes = *packets, *bytes
}

// counted gets the counters of a slot.
func (sh *memShard) counted(n uint32) (packets, bytes [2]uint64) {
	if page := int(n / pageLen); page < len(sh.counters) && sh.counters[page] != nil {
		c := &sh.counters[page][n%pageLen]
		return c.packets, c.bytes
	}
	return packets, bytes
}

// setPeers keeps p in the place of the peers n, which are 0 if there are none, and
// returns the number that it has. Connections whose sequence numbers are known
// have numbers of their own; the others are in one of a few conditions, and share.
func (sh *memShard) setPeers(n uint32, p *memPeers) uint32 {
	if n != 0 {
		if old := sh.peers.at(n); old.own() && p.own() {
			*old = *p
			return n
		}
		sh.peers.drop(n)
	}
	if p.own() {
		return sh.peers.put(p)
	}
	return sh.peers.share(p)
}
