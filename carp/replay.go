package carp

import (
	"fmt"
	"time"
)

// A ReplayPolicy says what the 8-byte counter of an advert is good for. The BSDs
// compare it with their own value at most, so whoever recorded an advert can
// send it again for ever; a stricter check breaks them, since OpenBSD's counter
// is constant and FreeBSD's jumps.
type ReplayPolicy uint8

const (
	// ReplayLoop drops our own adverts when a switch or a bridge sends them back.
	// It is the default and right for every peer.
	ReplayLoop ReplayPolicy = iota

	// ReplayOff accepts any counter.
	ReplayOff

	// ReplayStrict is for groups of nothing but this package. Counters are times,
	// the nanoseconds since 1970 when the advert was made, but for the last 16 bits,
	// which tell the nodes apart; they grow unless the clock is set back by more
	// than half the window. An advert is taken once, and only if its time is within
	// ReplayWindow of ours.
	// A peer that restarts is welcome at once, and so are we after a restart; an
	// attacker has until the window closes. The clocks of the nodes must agree to
	// within the window, else every node will be master.
	ReplayStrict
)

// DefaultReplayWindow is the age at which [ReplayStrict] refuses an advert.
const DefaultReplayWindow = 10 * time.Second

var replayNames = [...]string{ReplayLoop: "loop", ReplayOff: "off", ReplayStrict: "strict"}

func (p ReplayPolicy) valid() bool { return int(p) < len(replayNames) }

// String is "loop", "off" or "strict".
func (p ReplayPolicy) String() string {
	if !p.valid() {
		return fmt.Sprintf("ReplayPolicy(%d)", uint8(p))
	}
	return replayNames[p]
}

// ParseReplayPolicy finds a policy by its name.
func ParseReplayPolicy(s string) (ReplayPolicy, error) {
	for p, name := range replayNames {
		if name == s {
			return ReplayPolicy(p), nil
		}
	}
	return 0, fmt.Errorf("carp: replay policy %q: want loop, off or strict", s)
}

// sentLog remembers the last adverts sent, by their counters, and less their
// digests, which follow from them. FreeBSD continues from the counters it hears
// and so may send one of ours with its own skew: the whole header must match.
type sentLog [128]Header

func (l *sentLog) add(h Header) {
	h.Digest = [20]byte{}
	l[h.Counter%uint64(len(l))] = h
}

func (l *sentLog) has(h Header) bool {
	h.Digest = [20]byte{}
	return l[h.Counter%uint64(len(l))] == h
}

// freshLog remembers the counters accepted within a window, and our own.
type freshLog struct {
	window time.Duration
	seen   map[uint64]struct{}
	order  []uint64 // as accepted, oldest first
}

// maxFresh bounds the log. It holds more than the fastest adverts of three nodes,
// in both families, for twice the longest window; what is beyond it is refused
// rather than forgotten, and only holders of the key get there.
const maxFresh = 1 << 18

// The bounds of a window: clocks do not agree better, and what is older than the
// upper one may be what the attacker waited for.
const (
	minReplayWindow = time.Second
	maxReplayWindow = time.Minute
)

// accept reports whether counter is of our time and new.
func (l *freshLog) accept(now time.Time, counter uint64) bool {
	if l.outside(now, counter) {
		return false
	}
	for len(l.order) > 0 && l.outside(now, l.order[0]) {
		delete(l.seen, l.order[0])
		l.order = l.order[1:]
	}
	if _, dup := l.seen[counter]; dup || len(l.order) >= maxFresh {
		return false
	}
	if l.seen == nil {
		l.seen = make(map[uint64]struct{})
	}
	l.seen[counter] = struct{}{}
	l.order = append(l.order, counter)
	return true
}

// outside reports whether counter, as a time, is further from now than the
// window. It works on the difference, whatever the two are.
func (l *freshLog) outside(now time.Time, counter uint64) bool {
	d := int64(counter - uint64(now.UnixNano()))
	return d > int64(l.window) || d < -int64(l.window)
}
