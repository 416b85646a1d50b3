package pfsync

import (
	"hash/maphash"
	"sync/atomic"
)

// A pool keeps values by number, from 1 on. A value may be shared: then it is there
// once, with the number of those who hold it.
//
// Whoever changes a pool has the lock that guards it. Whoever holds a value may
// look at it without: values lie in pages that never move.
type pool[T comparable] struct {
	pages atomic.Pointer[[]*poolPage[T]]
	index []hashIndex // of what is shared, by hash; a power of two of parts
	seed  maphash.Seed
	used  uint32    // numbers that were ever in use, 0 among them
	free  uint32    // the first that is not any more; see poolSlot.holders
	last  [2]uint32 // shared last, and often next: one by what comes in, one by what goes out
	n     int       // values
}

// poolPageLen is small since a pool may have few values, and there are many pools.
const poolPageLen = 8

type poolPage[T any] [poolPageLen]poolSlot[T]

type poolSlot[T any] struct {
	value   T
	holders uint32 // 0: not shared. If the slot is free, the next one that is
}

// init makes an empty pool, with an index of that many parts: none should become
// large, since it is moved as a whole when it grows. Without any, nothing is shared.
func (p *pool[T]) init(seed maphash.Seed, parts int) {
	p.seed, p.index, p.used = seed, make([]hashIndex, parts), 1
}

func (p *pool[T]) slot(n uint32) *poolSlot[T] {
	return &(*p.pages.Load())[n/poolPageLen][n%poolPageLen]
}

// at is the value of a number.
func (p *pool[T]) at(n uint32) *T { return &p.slot(n).value }

// put keeps a value that is not shared. Its holder may change it.
func (p *pool[T]) put(v *T) uint32 {
	n := p.free
	if n != 0 {
		p.free = p.slot(n).holders
	} else {
		n = p.used
		p.used++
		p.morePages(n)
	}
	s := p.slot(n)
	s.value, s.holders = *v, 0
	p.n++
	return n
}

// morePages makes sure that there is a page for n. Readers keep the list of pages
// that they have, which stays right for what they hold.
func (p *pool[T]) morePages(n uint32) {
	var pages []*poolPage[T]
	if old := p.pages.Load(); old != nil {
		pages = *old
	}
	if int(n/poolPageLen) == len(pages) {
		pages = append(pages, new(poolPage[T]))
		p.pages.Store(&pages)
	}
}

// place is where a value is in the index.
func (p *pool[T]) place(v *T) (x *hashIndex, tag uint16) {
	h := maphash.Comparable(p.seed, *v)
	return &p.index[h>>32&uint64(len(p.index)-1)], uint16(h)
}

// share returns the number of a value that is shared, which now has one holder more.
func (p *pool[T]) share(v *T) uint32 {
	for _, n := range p.last {
		if n != 0 && p.slot(n).value == *v {
			p.slot(n).holders++
			return n
		}
	}
	x, tag := p.place(v)
	for n, next := x.seek(tag, 0); n != 0; n, next = x.seek(tag, next) {
		if s := p.slot(n); s.value == *v {
			s.holders++
			p.shared(n)
			return n
		}
	}
	n := p.put(v)
	p.slot(n).holders = 1
	x.add(tag, n)
	p.shared(n)
	return n
}

// shared remembers a number as the last one.
func (p *pool[T]) shared(n uint32) {
	if p.last[0] != 0 {
		p.last[1] = p.last[0]
	}
	p.last[0] = n
}

// drop is the end of a put or of a share.
func (p *pool[T]) drop(n uint32) {
	s := p.slot(n)
	if s.holders > 1 {
		s.holders--
		return
	}
	if s.holders == 1 {
		x, tag := p.place(&s.value)
		x.remove(tag, n)
		for i := range p.last {
			if p.last[i] == n {
				p.last[i] = 0
			}
		}
	}
	s.holders = p.free
	p.free = n
	p.n--
}
