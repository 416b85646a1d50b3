package carp

import "time"

// skewUnit is what one unit of advskew is worth. It divides exactly.
const skewUnit = time.Second / 256

// A pace is an advertisement interval as the protocol compares it: seconds
// first, then skew. The kernels compare (seconds, microseconds) pairs; for skews
// below 256 that orders the same way as the time itself. FreeBSD 12 lets a
// negative demotion make the skew negative and borrows nothing from the
// seconds, which the pair reproduces as well.
type pace struct{ base, skew int }

// duration is the pace as time.
func (p pace) duration() time.Duration {
	return time.Duration(p.base)*time.Second + time.Duration(p.skew)*skewUnit
}

// before reports whether p is the shorter, and so the better, of the two.
func (p pace) before(q pace) bool {
	return p.base < q.base || p.base == q.base && p.skew < q.skew
}
