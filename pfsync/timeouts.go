package pfsync

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// defaultTimeouts are pf's defaults in seconds, by class (PFTM_*_VAL).
var defaultTimeouts = [...]uint32{
	TCPFirst: 120, TCPOpening: 30, TCPEstab: 86400, TCPClose: 900, TCPFinWait: 45, TCPClosedTimeout: 90,
	UDPFirst: 60, UDPSingle: 30, UDPMultiple: 60, ICMPFirst: 20, ICMPError: 10,
	OtherFirst: 60, OtherSingle: 30, OtherMultiple: 60,

	// These are not for states, but the kernels let states in them in, which then
	// live for as many seconds as the number says that pf keeps there: frag,
	// interval, adaptive.start, adaptive.end, src.track, tsdiff.
	14: 60, 15: 10, 16: 60000, 17: 120000, 18: 0, 19: 30,

	SCTPFirst: 120, SCTPOpening: 30, SCTPEstab: 86400, SCTPClosing: 900, SCTPClosed: 90,
}

// maxTimeout is what fits pf's int of seconds.
const maxTimeout = math.MaxInt32 * time.Second

// Timeouts are pf's defaults for all classes that d knows. The map is the caller's.
func (d Dialect) Timeouts() Timeouts {
	t := make(Timeouts)
	for class := range d.traits().timeouts {
		t[Timeout(class)] = time.Duration(defaultTimeouts[class]) * time.Second
	}
	if FreeBSD12 <= d && d <= FreeBSD15 {
		t[14] = 30 * time.Second // frag
	}
	return t
}

// Validate reports everything that is wrong with t: classes that d does not know,
// and times below 0 or above 2^31-1 s. 0 means that a state is due at once.
func (t Timeouts) Validate(d Dialect) error {
	var errs []error
	for class, life := range t {
		if uint8(class) >= d.traits().timeouts {
			errs = append(errs, fmt.Errorf("pfsync: timeout %v: there is none for %v", class, d))
		}
		if life < 0 || life > maxTimeout {
			errs = append(errs, fmt.Errorf("pfsync: timeout %v %v: want 0 to %v", class, life, maxTimeout))
		}
	}
	return errors.Join(errs...)
}

// lifetimes is a Timeouts for use: how long a state lives in each class. What is
// no class of the dialect has 0.
type lifetimes [256]time.Duration

// lifetimes are the defaults of d, with t in their place.
func (t Timeouts) lifetimes(d Dialect) (l lifetimes) {
	for class, life := range d.Timeouts() {
		l[class] = life
	}
	for class, life := range t {
		l[class] = life
	}
	return l
}

// adaptive is pf's adaptive.start and adaptive.end: beyond start states all of
// them live shorter, down to nothing at end. An end of 0 is none of that.
type adaptive struct {
	start, end int
}

// active reports whether that many states make a difference.
func (a adaptive) active(states int) bool { return a.end > 0 && states > a.start }

// scale is pf_state_expires, which counts in whole seconds.
func (a adaptive) scale(life time.Duration, states int) time.Duration {
	if !a.active(states) {
		return life
	}
	left, span := max(a.end-states, 0), a.end-a.start
	return life / time.Second * time.Duration(left) / time.Duration(span) * time.Second
}
