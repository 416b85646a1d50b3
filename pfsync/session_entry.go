package pfsync

import "hash/maphash"

// An entry is what waits about a state: a message, its first packet, or both.
type entry struct {
	id       StateID
	queue    queue
	updates  uint8 // since it was queued
	deferred bool  // see deferral

	prev, next *entry // in its queue
	chain      *entry // of those in the same place of the table
}

// A table has the entries. They are few, as a frame that is full is sent, and most
// of them do not last: it is made for coming and going.
type table struct {
	key    mixer
	places []*entry // by hash, a power of two
	n      int
	free   *entry // linked by next
	peak   int    // largest number of entries since reset
}

// A table that empties gives its memory back if it was larger than keepEntries. It
// grows by blockEntries.
const (
	keepEntries  = 1 << 12
	blockEntries = 64
)

func (t *table) reset() { *t = table{key: randomMixer(), places: make([]*entry, blockEntries)} }

// randomMixer is a beginning of hashes that no peer knows.
func randomMixer() mixer { return mixer(maphash.Bytes(maphash.MakeSeed(), nil)) }

// place is where an identity belongs among n, a power of two.
func (h mixer) place(id StateID, n int) int {
	return int(h.word(id.ID).word(uint64(id.CreatorID))) & (n - 1)
}

func (t *table) place(id StateID) **entry { return &t.places[t.key.place(id, len(t.places))] }

// find is the entry of a state, nil if there is none.
func (t *table) find(id StateID) *entry {
	if t.n == 0 {
		return nil
	}
	e := *t.place(id)
	for e != nil && e.id != id {
		e = e.chain
	}
	return e
}

// get is the entry of a state, made if there is none.
func (t *table) get(id StateID) *entry {
	if e := t.find(id); e != nil {
		return e
	}
	if t.n == len(t.places) {
		t.grow()
	}
	if t.free == nil {
		block := make([]entry, blockEntries)
		for i := range block {
			block[i].next, t.free = t.free, &block[i]
		}
	}
	e := t.free
	t.free = e.next
	*e = entry{id: id}
	t.put(e)
	t.n++
	t.peak = max(t.peak, t.n)
	return e
}

func (t *table) put(e *entry) {
	p := t.place(e.id)
	e.chain, *p = *p, e
}

func (t *table) grow() {
	old := t.places
	t.places = make([]*entry, 2*len(old))
	for _, e := range old {
		for e != nil {
			next := e.chain
			t.put(e)
			e = next
		}
	}
}

// settle forgets e if nothing waits.
func (t *table) settle(e *entry) {
	if e.queue != qNone || e.deferred {
		return
	}
	p := t.place(e.id)
	for *p != e {
		p = &(*p).chain
	}
	*p = e.chain
	e.next, t.free = t.free, e
	if t.n--; t.n == 0 && t.peak > keepEntries {
		t.reset()
	}
}
