package pfsync

import "bytes"

// bareName is n with zeros behind its first NUL: what makes two names the same.
func bareName(n Name) Name {
	if i := bytes.IndexByte(n[:], 0); i >= 0 {
		clear(n[i:])
	}
	return n
}

// An interned keeps each of the values that states share once, with the number of
// states that have it, and gives it a number. 0 is the zero value. There are no
// more than maxInterned others: peers that invent names cannot make it grow.
//
// All is guarded by Memory.mu but for get, which needs no lock as long as the
// value is held: it lies where it is, in a page that never moves.
type interned[T comparable] struct {
	numbers map[T]uint16
	pages   [1 << 8]*[1 << 8]T
	holders []uint32 // by number
	free    []uint16
}

const maxInterned = 1<<16 - 1

// hold returns the number of v, which now has one holder more. It fails if there
// are too many values.
func (t *interned[T]) hold(v T) (uint16, bool) {
	var zero T
	if v == zero {
		return 0, true
	}
	if n, ok := t.numbers[v]; ok {
		t.holders[n]++
		return n, true
	}
	if t.numbers == nil {
		t.numbers = make(map[T]uint16)
		t.holders = make([]uint32, 1)
	}
	var n uint16
	switch last := len(t.free) - 1; {
	case last >= 0:
		n, t.free = t.free[last], t.free[:last]
	case len(t.holders) > maxInterned:
		return 0, false
	default:
		n = uint16(len(t.holders))
		t.holders = append(t.holders, 0)
	}
	page := &t.pages[n>>8]
	if *page == nil {
		*page = new([1 << 8]T)
	}
	(*page)[n&0xff] = v
	t.numbers[v] = n
	t.holders[n] = 1
	return n, true
}

// drop is the end of a hold.
func (t *interned[T]) drop(n uint16) {
	if n == 0 {
		return
	}
	if t.holders[n]--; t.holders[n] == 0 {
		delete(t.numbers, t.get(n))
		t.free = append(t.free, n)
	}
}

// get returns the value of a number that is held.
func (t *interned[T]) get(n uint16) T {
	if n == 0 {
		var zero T
		return zero
	}
	return t.pages[n>>8][n&0xff]
}

// nameNumbers are the names of a state as numbers.
type nameNumbers struct {
	ifname, rtIfName, origIfName, tag uint16
}

// holdNames holds the names of st. It fails, holding nothing, if they are too many.
func (m *Memory) holdNames(st *State) (n nameNumbers, ok bool) {
	var a, b, c, d bool
	n.ifname, a = m.names.hold(st.IfName)
	n.rtIfName, b = m.names.hold(st.RtIfName)
	n.origIfName, c = m.names.hold(st.OrigIfName)
	n.tag, d = m.tags.hold(st.Tag)
	if a && b && c && d {
		return n, true
	}
	m.dropNames(n)
	return nameNumbers{}, false
}

func (m *Memory) dropNames(n nameNumbers) {
	m.names.drop(n.ifname)
	m.names.drop(n.rtIfName)
	m.names.drop(n.origIfName)
	m.tags.drop(n.tag)
}
