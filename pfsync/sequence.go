package pfsync

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// Between nodes that know each other the 16 octets of a frame that hold the
// ruleset checksum, which OpenBSD leaves zero and nobody but FreeBSD reads (and
// there a checksum that is not its own means as much as zeros), carry the number
// of the frame:
//
//	0   magic "gcp1"
//	4   epoch of the sender, its low half
//	8   number, from 1
const stampMagic = 0x67637031

type stamp struct {
	epoch  uint32
	number uint64
}

func (s stamp) put(field []byte) {
	binary.BigEndian.PutUint32(field, stampMagic)
	binary.BigEndian.PutUint32(field[4:], s.epoch)
	binary.BigEndian.PutUint64(field[8:], s.number)
}

func parseStamp(field [16]byte) (stamp, bool) {
	return stamp{binary.BigEndian.Uint32(field[4:]), binary.BigEndian.Uint64(field[8:])},
		binary.BigEndian.Uint32(field[:]) == stampMagic
}

const (
	sentFrames = 1 << 12
	sentIDs    = 1 << 16
)

// A sent remembers which states the last frames were about, sentIDs of them at most.
type sent struct {
	next   uint64             // number of the next frame
	frames [sentFrames]uint64 // by number: where its states begin in ids
	total  uint64             // states in all frames so far
	ids    []StateID          // ring, a power of two, as large as it had to be so far
}

// add remembers that the next frame is about ids, and returns its number.
func (s *sent) add(ids []StateID) uint64 {
	n := s.next
	s.frames[n%sentFrames] = s.total
	first := uint64(0) // state of a frame that is known
	if n >= sentFrames {
		first = s.frames[(n+1)%sentFrames]
	}
	s.grow(min(s.total-first+uint64(len(ids)), sentIDs))
	for _, id := range ids {
		s.ids[s.total%uint64(len(s.ids))] = id
		s.total++
	}
	s.next++
	return n
}

// grow makes room for n states in all.
func (s *sent) grow(n uint64) {
	old := s.ids
	was := uint64(len(old))
	if n <= was {
		return
	}
	size := max(64, uint64(1)<<bits.Len64(n-1))
	s.ids = make([]StateID, size)
	for i := s.total - min(s.total, was); i < s.total; i++ {
		s.ids[i%size] = old[i%was]
	}
}

// about appends the states of frame n, and reports whether they are still known.
func (s *sent) about(n uint64, ids []StateID) ([]StateID, bool) {
	if n == 0 || n >= s.next || s.next-n > sentFrames {
		return ids, false
	}
	from, to := s.frames[n%sentFrames], s.total
	if n+1 < s.next {
		to = s.frames[(n+1)%sentFrames]
	}
	if s.total-from > uint64(len(s.ids)) {
		return ids, false
	}
	for ; from < to; from++ {
		ids = append(ids, s.ids[from%uint64(len(s.ids))])
	}
	return ids, true
}

const (
	// nackGrace is how long a frame may be late before it counts as lost, nackAgain
	// how long to wait for a repetition, and nackTries how often to ask.
	nackGrace = 50 * time.Millisecond
	nackAgain = 250 * time.Millisecond
	nackTries = 4
)

// A gaps is what is missing of the frames of a peer.
type gaps struct {
	expect  uint64 // the number after the highest one seen
	missing []gap  // in order
	lost    uint64 // frames that were missing for longer than reordering explains
}

type gap struct {
	span
	due   time.Time // ask for it then
	tries int
}

// arrived takes note of frame n. It reports false if too much is missing to
// remember it.
func (g *gaps) arrived(now time.Time, n uint64) bool {
	switch {
	case n >= g.expect:
		ok := g.until(now, n)
		g.expect = n + 1
		return ok
	default:
		g.fill(span{n, n})
		return true
	}
}

// until takes note that all frames below n have been sent.
func (g *gaps) until(now time.Time, n uint64) bool {
	if n <= g.expect {
		return true
	}
	s := span{g.expect, n - 1}
	g.expect = n
	if len(g.missing) == maxSpans {
		g.lost += s.to - s.from + 1
		return false
	}
	g.missing = append(g.missing, gap{span: s, due: now.Add(nackGrace)})
	return true
}

// maxEarly is by how many frames a hello may be late.
const maxEarly = 1 << 16

// doubt takes the peer's own word that n is the next frame. Anybody on the link can
// make one with a number that the peer never gave, and all that are lost before
// that would go unnoticed.
func (g *gaps) doubt(n uint64) {
	if g.expect > n && g.expect-n > maxEarly {
		*g = gaps{expect: n, lost: g.lost - min(g.lost, g.expect-n-1)}
	}
}

// fill takes a span out of what is missing.
func (g *gaps) fill(s span) {
	for i := 0; i < len(g.missing); i++ {
		m := g.missing[i]
		if s.to < m.from || m.to < s.from {
			continue
		}
		left, right := m, m
		left.to, right.from = s.from-1, s.to+1
		if s.from > m.from && s.to < m.to && len(g.missing) >= maxSpans {
			continue // asked for once more than needed
		}
		var rest []gap
		if m.from < s.from {
			rest = append(rest, left)
		}
		if s.to < m.to {
			rest = append(rest, right)
		}
		g.missing = slices.Replace(g.missing, i, i+1, rest...)
		i += len(rest) - 1
	}
}

// ask appends the spans to ask for now. It reports false if one was asked for
// often enough, which is then given up.
func (g *gaps) ask(now time.Time, spans []span) ([]span, bool) {
	ok := true
	g.missing = slices.DeleteFunc(g.missing, func(m gap) bool {
		done := !now.Before(m.due) && m.tries == nackTries
		ok = ok && !done
		return done
	})
	for i := range g.missing {
		if m := &g.missing[i]; !now.Before(m.due) && len(spans) < maxSpans {
			if m.tries == 0 {
				g.lost += m.to - m.from + 1
			}
			spans = append(spans, m.span)
			m.tries++
			m.due = now.Add(nackAgain)
		}
	}
	return spans, ok
}

// due is when to ask next; zero: nothing is missing.
func (g *gaps) due() time.Time {
	var at time.Time
	for _, m := range g.missing {
		if at.IsZero() || m.due.Before(at) {
			at = m.due
		}
	}
	return at
}
