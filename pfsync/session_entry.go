package pfsync

import "time"

// An entry is what the session remembers of a state: it is queued, or was touched
// by a peer within the last two seconds, or its first packet is deferred.
type entry struct {
	id       StateID
	queue    queue
	updates  uint8         // since it was queued
	deferred bool          // see deferral
	touched  time.Duration // when a peer has updated it, 0: not lately

	prev, next   *entry // in its queue
	older, newer *entry // of those that were touched
}

// A table has the entries.
type table struct {
	byID           map[StateID]*entry
	free           *entry // linked by next
	peak           int    // largest number of entries since reset
	oldest, newest *entry // of those that were touched
}

// A table that empties gives its memory back if it was larger than keepEntries. It
// grows by blockEntries, and at most maxSweep of them are forgotten in one step, which
// is more than a packet can add.
const (
	keepEntries  = 1 << 16
	blockEntries = 64
	maxSweep     = 1 << 11
)

func (t *table) reset() { *t = table{byID: make(map[StateID]*entry)} }

// find is the entry of a state, nil if there is none.
func (t *table) find(id StateID) *entry { return t.byID[id] }

// get is the entry of a state, made if there is none.
func (t *table) get(id StateID) *entry {
	if e := t.byID[id]; e != nil {
		return e
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
	t.byID[id] = e
	t.peak = max(t.peak, len(t.byID))
	return e
}

// settle forgets e if there is nothing to remember.
func (t *table) settle(e *entry) {
	if e.queue != qNone || e.touched != 0 || e.deferred {
		return
	}
	delete(t.byID, e.id)
	e.next, t.free = t.free, e
	if len(t.byID) == 0 && t.peak > keepEntries {
		t.reset()
	}
}

// touch notes that a peer has updated e.
func (t *table) touch(e *entry, now time.Duration) {
	t.unlink(e)
	e.touched, e.older = now, t.newest
	if t.newest != nil {
		t.newest.newer = e
	} else {
		t.oldest = e
	}
	t.newest = e
}

// untouch takes that back.
func (t *table) untouch(e *entry) {
	t.unlink(e)
	e.touched = 0
}

func (t *table) unlink(e *entry) {
	if e.touched == 0 {
		return
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		t.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		t.newest = e.older
	}
	e.older, e.newer = nil, nil
}

// sweep forgets who was touched before then.
func (t *table) sweep(before time.Duration) {
	for range maxSweep {
		e := t.oldest
		if e == nil || e.touched > before {
			return
		}
		t.untouch(e)
		t.settle(e)
	}
}
