package pfsync

import (
	"encoding/binary"
	"math/bits"
)

// Bucket is the bucket of a [Digester] that a state belongs to, from 0 to
// DigestBuckets-1. It is the same on all nodes.
func (id StateID) Bucket() int {
	return int(digestStart.word(id.ID).word(uint64(id.CreatorID)).finish() % DigestBuckets)
}

// Digest is the digest of a state as a [Digester] reckons it, the same on all
// nodes that hold the state alike. It covers what the nodes must agree on: the
// identity, both keys, the direction, the peers without Scrub, and the time-out
// class. It does not cover times, counters, rule numbers, flags and names, which
// differ between nodes for good reasons.
//
// It finds accidents. Whoever may put states into a table can make two that have
// the same digest.
func (st *State) Digest() uint64 {
	return digest(st.StateID, &st.Wire, &st.Stack, &st.Src, &st.Dst, st.Direction, st.Timeout)
}

// digest is State.Digest for those who do not have the State in one piece.
func digest(id StateID, wire, stack *Key, src, dst *Peer, d Direction, t Timeout) uint64 {
	h := digestStart.word(id.ID).word(uint64(id.CreatorID)<<32 | uint64(d)<<8 | uint64(t))
	h = h.key(wire).key(stack).peer(src).peer(dst)
	return h.word(uint64(src.State)<<24 | uint64(src.WScale)<<16 | uint64(dst.State)<<8 | uint64(dst.WScale)).finish()
}

// A mixer is a hash in the making. Each word is multiplied in to 128 bits, which
// are folded, as wyhash does. The constants are the fractions of pi and of the
// golden ratio; both nodes need the same ones, for ever.
type mixer uint64

const (
	digestStart  mixer  = 0x243f6a8885a308d3
	digestFactor uint64 = 0x9e3779b97f4a7c15
)

func (h mixer) word(w uint64) mixer {
	hi, lo := bits.Mul64(uint64(h)^w, digestFactor)
	return mixer(hi ^ lo)
}

func (h mixer) key(k *Key) mixer {
	for i := range k.Addr {
		h = h.word(binary.BigEndian.Uint64(k.Addr[i][:8])).word(binary.BigEndian.Uint64(k.Addr[i][8:]))
	}
	return h.word(uint64(k.Port[0])<<48 | uint64(k.Port[1])<<32 | uint64(k.RDomain)<<16 | uint64(k.AF)<<8 | uint64(k.Proto))
}

// peer leaves State and WScale, which are of an odd size, to the caller.
func (h mixer) peer(p *Peer) mixer {
	h = h.word(uint64(p.SeqLo)<<32 | uint64(p.SeqHi))
	return h.word(uint64(p.SeqDiff)<<32 | uint64(p.MaxWin)<<16 | uint64(p.MSS))
}

// finish spreads what the last word brought over all bits (MurmurHash3's fmix64).
func (h mixer) finish() uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return uint64(h ^ h>>33)
}
