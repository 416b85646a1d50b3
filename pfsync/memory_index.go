package pfsync

import "hash/maphash"

// A hashIndex finds numbers, which are not 0, by a hash of what they stand for. It
// is an open table with linear probing that keeps the hashes, so that it grows
// and closes gaps without a look at the things themselves.
type hashIndex struct {
	slots []hashSlot // a power of two, at most three quarters full
	n     int
}

type hashSlot struct {
	hash, number uint32
}

// seek returns the first number with that hash from place i on, and the place to
// go on from; 0 if there is no more. The first place is the hash.
func (x *hashIndex) seek(hash, i uint32) (number, next uint32) {
	if x.n == 0 {
		return 0, 0
	}
	mask := uint32(len(x.slots) - 1)
	for ; ; i++ {
		switch s := x.slots[i&mask]; {
		case s.number == 0:
			return 0, 0
		case s.hash == hash:
			return s.number, i + 1
		}
	}
}

// add adds a number.
func (x *hashIndex) add(hash, number uint32) {
	if 4*(x.n+1) > 3*len(x.slots) {
		x.grow()
	}
	x.n++
	x.place(hashSlot{hash, number})
}

func (x *hashIndex) grow() {
	old := x.slots
	x.slots = make([]hashSlot, max(8, 2*len(old)))
	for _, s := range old {
		if s.number != 0 {
			x.place(s)
		}
	}
}

func (x *hashIndex) place(s hashSlot) {
	mask := uint32(len(x.slots) - 1)
	i := s.hash
	for x.slots[i&mask].number != 0 {
		i++
	}
	x.slots[i&mask] = s
}

// remove removes a number that is there, and moves those behind it up that its
// gap would hide.
func (x *hashIndex) remove(hash, number uint32) {
	mask := uint32(len(x.slots) - 1)
	gap := hash
	for x.slots[gap&mask] != (hashSlot{hash, number}) {
		gap++
	}
	for i := gap + 1; x.slots[i&mask].number != 0; i++ {
		if s := x.slots[i&mask]; (i-s.hash)&mask >= (i-gap)&mask {
			x.slots[gap&mask] = s
			gap = i
		}
	}
	x.slots[gap&mask] = hashSlot{}
	x.n--
}

// hashID is the hash of an identity in the index of its shard.
func (m *Memory) hashID(id StateID) uint32 { return uint32(maphash.Comparable(m.seed, id)) }

// A keyPlace is where a key on an interface is in the index, if it is there.
type keyPlace struct {
	x    *hashIndex
	hash uint32
}

func (m *Memory) keyPlace(k *Key, ifname Name) keyPlace {
	h := maphash.Comparable(m.seed, struct {
		key    Key
		ifname Name
	}{*k, ifname})
	return keyPlace{&m.keys[h>>56], uint32(h)}
}

// keyPlaces are those of the wire key and of the stack key of a state.
func (m *Memory) keyPlaces(wire, stack *Key, ifname Name) [2]keyPlace {
	p := m.keyPlace(wire, ifname)
	if *stack == *wire {
		return [2]keyPlace{p, p}
	}
	return [2]keyPlace{p, m.keyPlace(stack, ifname)}
}

// indexKeys adds a state to the index, or removes it: once if its keys are the same
// one. m.mu is held.
func (m *Memory) indexKeys(r stateRef, places [2]keyPlace, change func(x *hashIndex, hash, number uint32)) {
	change(places[0].x, places[0].hash, uint32(r))
	if _, rec := m.at(r); rec.stack != rec.wire {
		change(places[1].x, places[1].hash, uint32(r))
	}
}

// rival returns a state that st collides with, 0 if there is none, and whether
// its connection is over so that st may replace it: pf_state_key_attach. One that
// is not over comes first. m.mu is held.
func (m *Memory) rival(st *State, ifname Name, places [2]keyPlace) (rival stateRef, over bool) {
	for i, k := range [...]*Key{&st.Wire, &st.Stack} {
		x, hash := places[i].x, places[i].hash
		for n, next := x.seek(hash, hash); n != 0; n, next = x.seek(hash, next) {
			if r := stateRef(n); m.collides(r, st, k, i == 0, ifname) {
				if rival = r; !m.over(r) {
					return r, false
				}
			}
		}
	}
	return rival, true
}

// collides reports whether the state r gets in the way of k, the wire key or else
// the stack key of st, on an interface. To OpenBSD a key is a key; FreeBSD keeps
// wire keys and stack keys apart. With af-to, the stack key of a state belongs to
// the opposite direction.
func (m *Memory) collides(r stateRef, st *State, k *Key, wire bool, ifname Name) bool {
	_, rec := m.at(r)
	if !(rec.wire == *k && (wire || m.oneKeySpace) || rec.stack == *k && (!wire || m.oneKeySpace)) ||
		bareName(m.names.get(rec.names.ifname)) != ifname {
		return false
	}
	if rec.wire.AF == k.AF {
		return rec.direction == st.Direction
	}
	return rec.direction != st.Direction
}

// over reports whether both sides of a TCP connection are at FIN_WAIT_2 or beyond.
func (m *Memory) over(r stateRef) bool {
	sh, rec := m.at(r)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return rec.wire.Proto == protoTCP && rec.src.State >= TCPFinWait2 && rec.dst.State >= TCPFinWait2
}
