package pfsync

import (
	"encoding/binary"
	"slices"
)

// Unmarshal decodes a state in f. It fails with [ErrLen] if b is too short, and
// with [ErrFormat]; it sets all of st or nothing, keeps nothing of b, and ignores
// what is behind the state. Values are not checked: that is [State.Check].
//
// What a format has no room for is zero, except what the kernels derive when they
// import it: no routing table (-1), and for FreeBSD the address families, protocols
// and the interface that its newest format says more than once.
func (st *State) Unmarshal(f Format, b []byte) error {
	n := f.Size()
	switch {
	case n == 0:
		return ErrFormat
	case len(b) < n:
		return ErrLen
	}
	switch f {
	case FormatOpenBSD:
		st.getOpenBSD((*[lenOpenBSD]byte)(b))
	case Format1301:
		st.get1301((*[len1301]byte)(b))
	case Format1400:
		st.get1400((*[len1400]byte)(b))
	case Format1500:
		st.get1500((*[len1500]byte)(b))
	}
	return nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]: it decodes a whole
// state in the format that has exactly that many octets. See [State.Unmarshal].
func (st *State) UnmarshalBinary(b []byte) error {
	for _, f := range [...]Format{FormatOpenBSD, Format1301, Format1400, Format1500} {
		if f.Size() == len(b) {
			return st.Unmarshal(f, b)
		}
	}
	return ErrLen
}

// Append appends st in f, as much of it as that has room for, and nothing if there
// is no such format.
func (st *State) Append(f Format, b []byte) []byte {
	b = extend(b, f.Size())
	st.put(f, b[len(b)-f.Size():])
	return b
}

// extend appends n zeros. It allocates only if there is no room, with the race
// detector too, unlike append(b, make([]byte, n)...).
func extend(b []byte, n int) []byte {
	b = slices.Grow(b, n)[:len(b)+n]
	clear(b[len(b)-n:])
	return b
}

// put encodes st to b, which are f.Size() zeros.
func (st *State) put(f Format, b []byte) {
	switch f {
	case FormatOpenBSD:
		st.putOpenBSD((*[lenOpenBSD]byte)(b))
	case Format1301:
		st.put1301((*[len1301]byte)(b))
	case Format1400:
		st.put1400((*[len1400]byte)(b))
	case Format1500:
		st.put1500((*[len1500]byte)(b))
	}
}

// get reads struct pfsync_state_peer, which is the same everywhere.
func (r *Peer) get(p *[peerLen]byte) {
	r.Scrub.Flags = binary.BigEndian.Uint16(p[0:])
	r.Scrub.TTL, r.Scrub.Valid = p[2], p[3]
	r.Scrub.TSMod = binary.BigEndian.Uint32(p[4:])
	r.SeqLo = binary.BigEndian.Uint32(p[8:])
	r.SeqHi = binary.BigEndian.Uint32(p[12:])
	r.SeqDiff = binary.BigEndian.Uint32(p[16:])
	r.MaxWin = binary.BigEndian.Uint16(p[20:])
	r.MSS = binary.BigEndian.Uint16(p[22:])
	r.State, r.WScale = PeerState(p[24]), p[25]
}

func (r *Peer) put(p *[peerLen]byte) {
	binary.BigEndian.PutUint16(p[0:], r.Scrub.Flags)
	p[2], p[3] = r.Scrub.TTL, r.Scrub.Valid
	binary.BigEndian.PutUint32(p[4:], r.Scrub.TSMod)
	binary.BigEndian.PutUint32(p[8:], r.SeqLo)
	binary.BigEndian.PutUint32(p[12:], r.SeqHi)
	binary.BigEndian.PutUint32(p[16:], r.SeqDiff)
	binary.BigEndian.PutUint16(p[20:], r.MaxWin)
	binary.BigEndian.PutUint16(p[22:], r.MSS)
	p[24], p[25] = uint8(r.State), r.WScale
}

// The number of AF_INET6.
const (
	inet6OpenBSD = 24
	inet6FreeBSD = 28
)

// swapAF exchanges AFInet6 and its number on the wire. It is its own inverse, so
// that wrong numbers survive it.
func swapAF(n, inet6 uint8) uint8 {
	switch n {
	case inet6:
		return uint8(AFInet6)
	case uint8(AFInet6):
		return inet6
	}
	return n
}
