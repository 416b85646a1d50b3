package main

import "time"

const (
	// wanGrace is how long a WAN may be without carrier or address.
	wanGrace = 15 * time.Second

	// wanHoldMin and wanHoldMax are how long the demotion stays on a host that gave its
	// WAN away: nobody can see whether it would work now. Each time in a row is twice
	// as long, so that two hosts of which neither has a WAN do not swap for ever.
	wanHoldMin = time.Minute
	wanHoldMax = time.Hour
)

// A wanHealth decides when a host is demoted because its WAN does not work.
type wanHealth struct {
	demoted bool
	bad     time.Time // since when it does not work although it is up; zero: it does
	good    time.Time // the reverse
	hold    time.Duration
	until   time.Time // demoted that long
}

// step takes in how the WAN is: whether it is up here, and whether it then has a
// carrier and an address.
func (w *wanHealth) step(now time.Time, up, works bool) (demoted bool) {
	switch {
	case !up:
		w.bad, w.good = time.Time{}, time.Time{}
		if w.demoted && !now.Before(w.until) {
			w.demoted = false
		}
	case works:
		w.bad, w.demoted = time.Time{}, false
		if w.good.IsZero() {
			w.good = now
		}
		if now.Sub(w.good) >= w.hold {
			w.hold = 0 // it is well
		}
	default:
		w.good = time.Time{}
		if w.bad.IsZero() {
			w.bad = now
		}
		if !w.demoted && now.Sub(w.bad) >= wanGrace {
			w.demoted, w.hold = true, min(max(2*w.hold, wanHoldMin), wanHoldMax)
		}
		w.until = now.Add(w.hold)
	}
	return w.demoted
}
