package sim

import (
	"fmt"
	"testing"
)

// counts say what the schedules were made of, so that one can see that the
// invariants were put to the test.
type counts struct {
	schedules, rounds, steps, changes     int
	strict, chases, flapping, storms      int // rounds by verdict; schedules given up
	ties, demotions, preemptions, bowOuts int // changes by reason
	worst                                 float64
	longestChase                          int
}

func (c *counts) add(d *counts) {
	c.schedules += d.schedules
	c.rounds += d.rounds
	c.steps += d.steps
	c.changes += d.changes
	c.strict += d.strict
	c.chases += d.chases
	c.flapping += d.flapping
	c.storms += d.storms
	c.ties += d.ties
	c.demotions += d.demotions
	c.preemptions += d.preemptions
	c.bowOuts += d.bowOuts
	c.worst = max(c.worst, d.worst)
	c.longestChase = max(c.longestChase, d.longestChase)
}

// String is for the test's log.
func (c *counts) String() string {
	return fmt.Sprintf("%d schedules, %d rounds, %d steps, %d changes of state\n"+
		"rounds: %d strict (slowest %.0f%% of the bound), %d chases (longest %d steps), %d without a bound, %d storms\n"+
		"changes: %d ties, %d by demotion, %d preemptions, %d after a bow-out",
		c.schedules, c.rounds, c.steps, c.changes,
		c.strict, 100*c.worst, c.chases, c.longestChase, c.flapping, c.storms,
		c.ties, c.demotions, c.preemptions, c.bowOuts)
}

// checkVariety fails if the schedules have become too tame to prove anything.
func (c *counts) checkVariety(t *testing.T) {
	t.Helper()
	for _, v := range []struct {
		what      string
		got, want int
	}{
		{"strict rounds", c.strict, c.rounds / 2},
		{"chases", c.chases, c.rounds / 10},
		{"ties", c.ties, c.schedules / 10},
		{"changes by demotion", c.demotions, c.schedules / 10},
		{"preemptions", c.preemptions, c.schedules / 10},
		{"takeovers after a bow-out", c.bowOuts, c.schedules / 100},
	} {
		if v.got < v.want {
			t.Errorf("only %d %s, want at least %d", v.got, v.what, v.want)
		}
	}
}
