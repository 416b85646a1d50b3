package fuzz

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// FuzzMachine plays a program of events on a machine. Each is three parts: the
// kind of event, when it happens, and what comes with it.
func FuzzMachine(f *testing.F) {
	f.Fuzz(func(t *testing.T, dialect, base, skew, options uint8, seed uint64, program []byte) {
		c := machineConfig(dialect, base, skew, options)
		c.Seed = seed
		r := machineRun{t: t, m: *carp.NewMachine(c, carp.Families(1+options>>6%3)), cfg: c, now: start}
		for in := tape(program); !in.done(); {
			kind := carp.EventKind(in.u8() % uint8(carp.EventStall+2)) // one of them does not exist
			r.wait(in.u8())
			r.step(event(&in, kind, r.cfg))
		}
	})
}

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// machineConfig is a valid configuration.
func machineConfig(dialect, base, skew, options uint8) carp.Config {
	c := carp.Config{
		VHID: 1, Dialect: carp.Dialect(dialect) % (carp.UCarp + 1), AdvBase: int(base), AdvSkew: min(skew, 254),
		Preempt: options&1 != 0, Linger: time.Duration(options&2) * 300 * time.Millisecond,
	}
	switch {
	case base == 0 && c.Dialect == carp.OpenBSD:
		c.AdvBase = carp.SubSecond
	case base == 255:
		c.AdvBase = 254 // the most that all of them take
	}
	if c.Dialect == carp.UCarp {
		c.DeadRatio = int(options >> 2 & 7)
	}
	return c
}

// event is an event with its arguments.
func event(in *tape, kind carp.EventKind, c carp.Config) carp.Event {
	ev := carp.Event{Kind: kind}
	switch kind {
	case carp.EventLink:
		ev.Link = carp.Link(in.u8() % 3)
	case carp.EventAllow:
		ev.Allow = in.bit()
	case carp.EventAdvert:
		ev.Advert = carp.Header{VHID: 1, AdvBase: in.u8(), AdvSkew: in.u8(), Demote: in.u8()}
		how := in.u8()
		ev.Family, ev.Lower = carp.IPv4<<(how&1), how&2 != 0
	case carp.EventDemote:
		ev.Demote = in.i32() // the range of demote.Counter
	case carp.EventForce:
		ev.Force = carp.State(in.u8() % 4)
	case carp.EventConfig:
		ev.Config = machineConfig(uint8(c.Dialect), in.u8(), in.u8(), in.u8())
	case carp.EventAddrs:
		ev.Families, ev.Added = carp.Families(in.u8()%4), in.bit()
	}
	return ev
}

// A machineRun is a machine and what is known of it from its outputs.
type machineRun struct {
	t        *testing.T
	m        carp.Machine
	cfg      carp.Config
	now      time.Time
	deadline time.Time
}

// wait lets time pass: to the deadline, or to just before it, or some.
func (r *machineRun) wait(how uint8) {
	switch {
	case how < 254:
		r.now = r.now.Add(time.Duration(how) * 17 * time.Millisecond)
	case r.deadline.After(r.now):
		r.now = r.deadline.Add(time.Duration(how) - 255)
	}
}

// step steps the machine, a copy of it, and holds the outputs against what is
// always true.
func (r *machineRun) step(ev carp.Event) {
	before, twin := r.m, r.m
	if ev.Kind == carp.EventConfig {
		r.cfg = ev.Config
	}
	out := r.m.Step(r.now, ev)
	if again := twin.Step(r.now, ev); again != out || twin != r.m {
		r.t.Fatalf("a copy of the machine does %+v, not %+v", again, out)
	}
	// Whoever does not step the machine at its deadline gets the same one again.
	overdue := ev.Kind != carp.EventTimer && !r.deadline.IsZero() && !r.deadline.After(r.now)
	master := out.From == carp.Master || out.To == carp.Master
	bowOut := ev.Kind == carp.EventDown && out.From == carp.Master && !before.Leaving()
	for _, law := range []struct {
		broken bool
		what   string
	}{
		{out.From != before.State() || out.To != r.m.State(), "From and To are not the states"},
		{out.To > carp.Master, "an unknown state"},
		{out.From != out.To && (out.Reason == carp.ReasonNone || out.Reason.String()[0] == 'R'), "no reason"},
		{out.Deadline.IsZero() != (out.To == carp.Init), "a timer in INIT, or none outside"},
		{!out.Deadline.IsZero() && !out.Deadline.After(r.now) && !overdue, "a deadline in the past"},
		{out.Send && !master, "an advert of a backup"},
		{out.Send != bowOut && before.Leaving() && out.To == carp.Master, "an advert after the bow-out"},
		{out.From == carp.Init && out.To == carp.Master, "INIT to MASTER"},
		{out.From == carp.Backup && out.To == carp.Master && !(out.Send && out.Announce), "a silent takeover"},
		{(out.Announce || out.Reassert) && out.To != carp.Master, "an announcement of no master"},
		{out.Send != (out.Advert != carp.Header{}), "an advert that is not to be sent, or none that is"},
		{out.Send && (out.Advert.VHID != 1 || out.Advert.Counter != 0 || out.Advert.Digest != [20]byte{}), "a strange advert"},
		{bowOut != (out.Send && out.Advert.BowOut()), "a bow-out of one that stays, or none of one that leaves"},
		{r.m.Leaving() && out.To != carp.Master, "leaving, but no master"},
		{out.Send && r.m.Demotion() > 0 && out.Advert.AdvSkew < min(r.cfg.AdvSkew, 240), "a demotion that makes faster"},
		{ev.Kind == carp.EventDemote && r.m.Demotion() != ev.Demote, "the demotion is not what was told"},
	} {
		if law.broken {
			r.t.Fatalf("%s: %+v at %v after %v made %+v", law.what, ev, r.now.Sub(start), before.State(), out)
		}
	}
	r.deadline = out.Deadline
	r.early()
}

// early steps a copy of the machine before its deadline: nothing may happen.
func (r *machineRun) early() {
	if !r.deadline.IsZero() && !r.deadline.After(r.now) {
		return
	}
	twin := r.m
	for _, at := range []time.Time{r.now, r.deadline.Add(-1)} {
		out := twin.Step(at, carp.Event{Kind: carp.EventTimer})
		if want := (carp.Output{From: r.m.State(), To: r.m.State(), Deadline: r.deadline}); out != want || twin != r.m {
			r.t.Fatalf("an early timer made %+v, want %+v", out, want)
		}
	}
}
