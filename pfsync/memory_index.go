package pfsync

import "slices"

// A hashIndex finds numbers, which are not 0, by a hash of what they stand for. It
// is an open table with linear probing in which those that are further from home
// come first (Robin Hood hashing): a search may stop early, so the table may be
// rather full. It keeps the 16 bits of the hash that say where home is, so it
// grows and closes gaps without a look at the things themselves.
type hashIndex struct {
	slots []hashSlot
	n     int
}

// A hashSlot has the number in two halves so as to take 6 octets, not 8.
type hashSlot struct {
	tag, low, high uint16
}

func newHashSlot(tag uint16, number uint32) hashSlot {
	return hashSlot{tag, uint16(number), uint16(number >> 16)}
}

func (s hashSlot) number() uint32 { return uint32(s.high)<<16 | uint32(s.low) }
func (s hashSlot) empty() bool    { return s.low|s.high == 0 }

// home is where a tag would like to be.
func (x *hashIndex) home(tag uint16) int {
	return int(uint64(tag) * uint64(len(x.slots)) >> 16)
}

// distance is how far from home a tag is in slot i.
func (x *hashIndex) distance(i int, tag uint16) int {
	d := i - x.home(tag)
	if d < 0 {
		d += len(x.slots)
	}
	return d
}

// next is the slot behind i.
func (x *hashIndex) next(i int) int {
	if i++; i < len(x.slots) {
		return i
	}
	return 0
}

// peek looks at the home of a tag. Whoever is about to seek in several tables that
// are in no cache waits for all of them at once if he does so first.
func (x *hashIndex) peek(tag uint16) uint16 {
	if x.n == 0 {
		return 0
	}
	return x.slots[x.home(tag)].tag
}

// seek returns the first number with that tag at that distance from home or more,
// and the distance to go on from; 0 if there is no more.
func (x *hashIndex) seek(tag uint16, distance int) (number uint32, next int) {
	if x.n == 0 {
		return 0, 0
	}
	i := x.home(tag) + distance
	if i >= len(x.slots) {
		i -= len(x.slots)
	}
	for ; ; distance++ {
		s := &x.slots[i]
		if s.tag == tag && !s.empty() {
			return s.number(), distance + 1
		}
		if s.empty() || x.distance(i, s.tag) < distance {
			return 0, 0
		}
		i = x.next(i)
	}
}

// add adds a number.
func (x *hashIndex) add(tag uint16, number uint32) {
	if 8*(x.n+1) > 7*len(x.slots) {
		x.grow()
	}
	x.n++
	x.place(newHashSlot(tag, number))
}

// grow makes room for an eighth more, and whatever the allocator adds to that: in larger
// steps the many parts of a table would all take them at nearly the same time. In the
// order of tags everything is put behind what was put before.
func (x *hashIndex) grow() {
	old := x.slots
	round := 0 // what is at the beginning, but belongs to the end
	for round < len(old) && !old[round].empty() && x.home(old[round].tag) > round {
		round++
	}
	room := slices.Grow([]hashSlot(nil), len(old)+len(old)/8+4)
	x.slots = room[:cap(room)]
	end := 0
	for _, part := range [...][]hashSlot{old[round:], old[:round]} {
		for _, s := range part {
			if s.empty() {
				continue
			}
			if end = max(end, x.home(s.tag)); end < len(x.slots) {
				x.slots[end] = s
				end++
			} else {
				x.place(s)
			}
		}
	}
}

// place puts s where it belongs, those with the same home in the order of their tags,
// and moves what is behind it on by one.
func (x *hashIndex) place(s hashSlot) {
	i := x.home(s.tag)
	for distance := 0; !x.slots[i].empty(); distance++ {
		if d := x.distance(i, x.slots[i].tag); d < distance || d == distance && x.slots[i].tag > s.tag {
			break
		}
		i = x.next(i)
	}
	for !s.empty() {
		x.slots[i], s = s, x.slots[i]
		i = x.next(i)
	}
}

// remove removes a number that is there, and moves those behind it back by one, up
// to one that is at home.
func (x *hashIndex) remove(tag uint16, number uint32) {
	i := x.home(tag)
	for s := newHashSlot(tag, number); x.slots[i] != s; {
		i = x.next(i)
	}
	for {
		j := x.next(i)
		if s := x.slots[j]; s.empty() || x.distance(j, s.tag) == 0 {
			break
		}
		x.slots[i] = x.slots[j]
		i = j
	}
	x.slots[i] = hashSlot{}
	x.n--
}
