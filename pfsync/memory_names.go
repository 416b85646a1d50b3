package pfsync

import "bytes"

// bareName is n with zeros behind its first NUL: what makes two names the same.
func bareName(n Name) Name {
	if i := bytes.IndexByte(n[:], 0); i >= 0 {
		clear(n[i:])
	}
	return n
}

// maxNames is how many different names there may be, and how many tags: peers that
// invent some cannot make a table grow without end.
const maxNames = 1<<16 - 1

// nameNumbers are the names of a state as numbers; 0 is none.
type nameNumbers struct {
	ifname, rtIfName, origIfName, tag uint16
}

// holdNames holds the names of st. It fails, holding nothing, if they are too many.
func (m *Memory) holdNames(st *State) (n nameNumbers, ok bool) {
	var a, b, c, d bool
	n.ifname, a = holdName(&m.names, &st.IfName)
	n.rtIfName, b = holdName(&m.names, &st.RtIfName)
	n.origIfName, c = holdName(&m.names, &st.OrigIfName)
	n.tag, d = holdName(&m.tags, &st.Tag)
	if a && b && c && d {
		return n, true
	}
	m.dropNames(n)
	return nameNumbers{}, false
}

func (m *Memory) dropNames(n nameNumbers) {
	dropName(&m.names, n.ifname)
	dropName(&m.names, n.rtIfName)
	dropName(&m.names, n.origIfName)
	dropName(&m.tags, n.tag)
}

func holdName[T comparable](p *pool[T], name *T) (uint16, bool) {
	var none T
	if *name == none {
		return 0, true
	}
	n := p.share(name)
	if n > maxNames {
		p.drop(n)
		return 0, false
	}
	return uint16(n), true
}

func dropName[T comparable](p *pool[T], n uint16) {
	if n != 0 {
		p.drop(uint32(n))
	}
}

// nameAt is the name of a number that is held.
func nameAt[T comparable](p *pool[T], n uint16) (name T) {
	if n != 0 {
		name = *p.at(uint32(n))
	}
	return name
}
