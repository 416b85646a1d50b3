package pfsync

import "time"

// A touched remembers which states peers have updated lately, and when. After a burst
// those are a hundred thousand: each takes 32 octets and two to four for its place.
// None of it is a pointer, which the garbage collector would have to follow.
type touched struct {
	key            mixer
	places         []uint32             // the first touch of each, by hash; a power of two
	blocks         []*[touchBlock]touch // the touches, numbered from 1; 0 is none
	n              int                  // touches in use
	made           uint32               // touches ever used
	free           uint32               // linked by chain
	oldest, newest uint32
}

type touch struct {
	id           uint64
	at           time.Duration
	creator      uint32
	chain        uint32 // the next one in the same place
	older, newer uint32
}

const (
	// touchBlock is by how many touches the memory grows. It shrinks when an eighth
	// of them is in use, but not below touchKeep blocks.
	touchBlock = 256
	touchKeep  = 4

	// maxSweep is how many touches are forgotten in one step, which is more than a
	// packet can add.
	maxSweep = 1 << 11
)

func (t *touched) reset() { *t = touched{key: randomMixer(), places: make([]uint32, touchBlock)} }

func (t *touched) touch(i uint32) *touch { return &t.blocks[(i-1)/touchBlock][(i-1)%touchBlock] }

func (t *touched) place(id StateID) *uint32 { return &t.places[t.key.place(id, len(t.places))] }

func (x *touch) stateID() StateID { return StateID{x.id, x.creator} }

// find is the number of the touch of a state, 0 if there is none.
func (t *touched) find(id StateID) uint32 {
	if t.n == 0 {
		return 0
	}
	i := *t.place(id)
	for i != 0 {
		x := t.touch(i)
		if x.id == id.ID && x.creator == id.CreatorID {
			break
		}
		i = x.chain
	}
	return i
}

// at is when a peer has updated a state, 0: not lately.
func (t *touched) at(id StateID) time.Duration {
	if i := t.find(id); i != 0 {
		return t.touch(i).at
	}
	return 0
}

// add notes that a peer has updated a state now, which is not 0.
func (t *touched) add(id StateID, now time.Duration) {
	i := t.find(id)
	if i == 0 {
		i = t.make(id)
	} else {
		t.unlink(i)
	}
	x := t.touch(i)
	x.at, x.older, x.newer = now, t.newest, 0
	if t.newest != 0 {
		t.touch(t.newest).newer = i
	} else {
		t.oldest = i
	}
	t.newest = i
}

// make is a new touch of a state, in its place and not yet among the others by age.
func (t *touched) make(id StateID) uint32 {
	if t.n == 2*len(t.places) {
		t.grow()
	}
	i := t.free
	if i != 0 {
		t.free = t.touch(i).chain
	} else {
		if int(t.made) == touchBlock*len(t.blocks) {
			t.blocks = append(t.blocks, new([touchBlock]touch))
		}
		t.made++
		i = t.made
	}
	t.n++
	p := t.place(id)
	*t.touch(i) = touch{id: id.ID, creator: id.CreatorID, chain: *p}
	*p = i
	return i
}

func (t *touched) grow() {
	t.places = make([]uint32, 2*len(t.places))
	for i := t.oldest; i != 0; {
		x := t.touch(i)
		p := t.place(x.stateID())
		x.chain, *p = *p, i
		i = x.newer
	}
}

// unlink takes a touch from among the others by age.
func (t *touched) unlink(i uint32) {
	x := t.touch(i)
	if x.older != 0 {
		t.touch(x.older).newer = x.newer
	} else {
		t.oldest = x.newer
	}
	if x.newer != 0 {
		t.touch(x.newer).older = x.older
	} else {
		t.newest = x.older
	}
}

// forget forgets that a state was touched.
func (t *touched) forget(id StateID) {
	if i := t.find(id); i != 0 {
		t.remove(i)
	}
}

func (t *touched) remove(i uint32) {
	t.unlink(i)
	x := t.touch(i)
	p := t.place(x.stateID())
	for *p != i {
		p = &t.touch(*p).chain
	}
	*p = x.chain
	x.chain, t.free = t.free, i
	t.n--
}

// sweep forgets who was touched before then.
func (t *touched) sweep(before time.Duration) {
	swept := 0
	for ; swept < maxSweep && t.oldest != 0 && t.touch(t.oldest).at <= before; swept++ {
		t.remove(t.oldest)
	}
	if swept > 0 && len(t.blocks) > touchKeep && 8*t.n <= touchBlock*len(t.blocks) {
		t.shrink()
	}
}

// shrink moves all to as little memory as they need.
func (t *touched) shrink() {
	old := *t
	t.reset()
	for i := old.oldest; i != 0; {
		x := old.touch(i)
		t.add(x.stateID(), x.at)
		i = x.newer
	}
}
