package pfsync

import "hash/maphash"

// A keyPlace is where a key on an interface is in the index, if it is there.
type keyPlace struct {
	x   *hashIndex
	tag uint16
}

func (m *Memory) keyPlace(k *Key, ifname *Name) keyPlace {
	h := maphash.Comparable(m.seed, struct {
		key    Key
		ifname Name
	}{*k, *ifname})
	return keyPlace{&m.keys[h>>56], uint16(h)}
}

// keyPlaces are those of the wire key and of the stack key of a state, and whether
// these are the same one.
func (m *Memory) keyPlaces(wire, stack *Key, ifname *Name) (places [2]keyPlace, same bool) {
	p := m.keyPlace(wire, ifname)
	if *stack == *wire {
		return [2]keyPlace{p, p}, true
	}
	return [2]keyPlace{p, m.keyPlace(stack, ifname)}, false
}

// rival returns a state that st collides with, 0 if there is none, and whether
// its connection is over so that st may replace it: pf_state_key_attach. One that
// is not over comes first. m.mu is held.
func (m *Memory) rival(st *State, ifname *Name, places *[2]keyPlace, same bool) (rival stateRef, over bool) {
	for i, k := range [...]*Key{&st.Wire, &st.Stack} {
		if i == 1 && same && m.oneKeySpace {
			break // all that it collides with were met
		}
		x, tag := places[i].x, places[i].tag
		for n, next := x.seek(tag, 0); n != 0; n, next = x.seek(tag, next) {
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
func (m *Memory) collides(r stateRef, st *State, k *Key, isWire bool, ifname *Name) bool {
	sh, rec := m.at(r)
	b := m.bodies.at(rec.body)
	var wire, stack Key
	sh.keys(rec, b, &wire, &stack)
	if !(wire == *k && (isWire || m.oneKeySpace) || stack == *k && (!isWire || m.oneKeySpace)) ||
		bareName(nameAt(&m.names, b.names.ifname)) != *ifname {
		return false
	}
	if wire.AF == k.AF {
		return b.direction == st.Direction
	}
	return b.direction != st.Direction
}

// over reports whether both sides of a TCP connection are at FIN_WAIT_2 or beyond.
func (m *Memory) over(r stateRef) bool {
	sh, rec := m.at(r)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.peers.at(rec.peers)
	return m.bodies.at(rec.body).proto[0] == protoTCP && p.src.State >= TCPFinWait2 && p.dst.State >= TCPFinWait2
}
