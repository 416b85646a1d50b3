package simnet

import "time"

// A SegmentID names a segment of a [Net], counting from 0 in the order they were
// added.
type SegmentID int

// Faults are what a segment does to packets. The zero value is perfect and takes
// no time.
type Faults struct {
	Loss      float64       // chance of each packet to each receiver to get lost
	Duplicate float64       // chance of each packet to each receiver to arrive twice
	MinDelay  time.Duration // each delivery takes at least this
	MaxDelay  time.Duration // and at most this

	// InOrder lets no packet overtake another on the way to the same receiver, as
	// the ports of an Ethernet switch do not.
	InOrder bool
}

// maxNodes is how many nodes a Net with segments can have: sets of them are
// bits of a word.
const maxNodes = 64

type segment struct {
	faults  Faults
	members uint64
	cut     [maxNodes]uint64        // cut[from] are those that from does not reach
	last    [maxNodes]time.Duration // the latest arrival at each, for InOrder
}

func bit(id NodeID) uint64 { return 1 << id }

// AddSegment adds a segment with members on it. A Net takes up to 64 nodes.
func (n *Net[P]) AddSegment(f Faults, members ...NodeID) SegmentID {
	s := segment{faults: f}
	for _, id := range members {
		s.members |= bit(id)
	}
	n.segs = append(n.segs, s)
	return SegmentID(len(n.segs) - 1)
}

// SetFaults replaces what a segment does to packets.
func (n *Net[P]) SetFaults(seg SegmentID, f Faults) { n.segs[seg].faults = f }

// Cut stops what from sends on seg from reaching to; the other way stays as it is.
func (n *Net[P]) Cut(seg SegmentID, from, to NodeID) { n.segs[seg].cut[from] |= bit(to) }

// Join undoes Cut.
func (n *Net[P]) Join(seg SegmentID, from, to NodeID) { n.segs[seg].cut[from] &^= bit(to) }

// Split cuts seg in two: the nodes of side, and all others.
func (n *Net[P]) Split(seg SegmentID, side ...NodeID) {
	var in uint64
	for _, id := range side {
		in |= bit(id)
	}
	s := &n.segs[seg]
	for id := range n.nodes {
		if in&bit(NodeID(id)) != 0 {
			s.cut[id] |= s.members &^ in
		} else {
			s.cut[id] |= in
		}
	}
}

// Heal undoes every Cut and Split of seg.
func (n *Net[P]) Heal(seg SegmentID) { n.segs[seg].cut = [maxNodes]uint64{} }

// Reaches reports whether from is not cut off from to.
func (n *Net[P]) Reaches(seg SegmentID, from, to NodeID) bool {
	return n.segs[seg].cut[from]&bit(to) == 0
}

// Broadcast sends p from one node to all others on the segment.
func (n *Net[P]) Broadcast(seg SegmentID, from NodeID, p P) {
	for id := range n.nodes {
		to := NodeID(id)
		if to != from && n.segs[seg].members&bit(to) != 0 {
			n.Send(seg, from, to, p)
		}
	}
}

// Send sends p to one node of the segment. It reports whether the packet is on
// its way: neither cut off nor lost.
func (n *Net[P]) Send(seg SegmentID, from, to NodeID, p P) bool {
	s := &n.segs[seg]
	if s.cut[from]&bit(to) != 0 || n.chance(s.faults.Loss) {
		return false
	}
	n.deliver(s, seg, from, to, p)
	if n.chance(s.faults.Duplicate) {
		n.deliver(s, seg, from, to, p)
	}
	return true
}

func (n *Net[P]) deliver(s *segment, seg SegmentID, from, to NodeID, p P) {
	at := n.now + s.faults.MinDelay
	if spread := s.faults.MaxDelay - s.faults.MinDelay; spread > 0 {
		at += time.Duration(n.rand.Uint64N(uint64(spread) + 1))
	}
	if s.faults.InOrder {
		at = max(at, s.last[to])
		s.last[to] = at
	}
	n.queue.push(event{at: at, node: int32(to), slot: n.slots.add(flight[P]{seg, from, p})})
}

// chance draws nothing when there is none, so that a perfect segment does not
// disturb the order of the draws.
func (n *Net[P]) chance(p float64) bool { return p > 0 && n.rand.Float64() < p }
