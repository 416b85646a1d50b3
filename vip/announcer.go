package vip

import "time"

// An AnnouncerEvent is something an [Announcer] has to know.
type AnnouncerEvent uint8

// The events.
const (
	// AnnounceTimer: the deadline has come. Early ones are harmless.
	AnnounceTimer AnnouncerEvent = iota

	// AnnounceNow: the addresses were acquired, or the election asks for a repeat.
	AnnounceNow

	// AnnounceContested: a harmful [Claim] was seen, or an address had to be
	// repaired. Neighbours may believe something wrong.
	AnnounceContested

	// AnnounceStop: the addresses were released, or a successor takes them.
	AnnounceStop
)

// contestDelay is how long a contest waits for its answer. Who claims an address
// may be our successor, whose claim comes together with the advert that makes us
// yield: there is no answer then ([Applier.Yield]), which would only mislead.
const contestDelay = 10 * time.Millisecond

// For so long after our first announcement it is the predecessor instead, which
// spoke at the same moment or is slow to yield. It is answered at once, and again
// after contestDelay, as often as it takes: the neighbours must not stay with it.
const takeOver = time.Second

// The pause between two announcements that answer a contest doubles from the
// first to the last of these for as long as the contest goes on.
const (
	contestPauseMin = time.Second
	contestPauseMax = 64 * time.Second
)

// An Announcer decides when the addresses are announced. It reads no clock and
// sends nothing. The zero value is ready: it announces what it is told to, and
// answers contests at a bounded rate.
type Announcer struct {
	// Refresh is how long after an announcement another is due. 0 is never.
	Refresh time.Duration

	active    bool
	refresh   time.Time     // the next one for Refresh; zero: none
	taken     time.Time     // the first AnnounceNow
	contested time.Time     // the one that a contest waits for; zero: none
	quiet     time.Time     // no contest is answered before this
	pause     time.Duration // that led to quiet
}

// Step reports whether the addresses are to be announced now, and the time of
// the next AnnounceTimer, which is zero if none is needed.
func (a *Announcer) Step(now time.Time, ev AnnouncerEvent) (send bool, deadline time.Time) {
	switch ev {
	case AnnounceNow:
		if !a.active {
			a.active, a.taken = true, now
		}
		send = true
	case AnnounceStop:
		*a = Announcer{Refresh: a.Refresh}
	case AnnounceContested:
		if a.active && a.contested.IsZero() {
			a.contest(now)
		}
	}
	if due(now, a.contested) || due(now, a.refresh) {
		send = true
	}
	if send {
		a.contested, a.refresh = time.Time{}, time.Time{}
		if a.Refresh > 0 {
			a.refresh = now.Add(a.Refresh)
		}
	}
	return send, earlier(a.contested, a.refresh)
}

// contest schedules the answer to a contest: soon if the last one was a while
// ago, else when the pause after it is over.
func (a *Announcer) contest(now time.Time) {
	a.contested = now
	fresh := now.Sub(a.taken) < takeOver
	if !fresh {
		a.contested = now.Add(contestDelay)
	}
	if a.contested.Before(a.quiet) {
		a.contested = a.quiet
	}
	switch {
	case fresh:
		a.pause = contestDelay
	case a.pause < contestPauseMin || now.After(a.quiet.Add(a.pause)):
		a.pause = contestPauseMin // the last contest has ended
	default:
		a.pause = min(2*a.pause, contestPauseMax)
	}
	a.quiet = a.contested.Add(a.pause)
}

func due(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// earlier is the earlier of two times of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
