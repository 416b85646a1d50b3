//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// A scenario is something that happens to a pair, and how it is put right again.
type scenario struct {
	name  string
	title string
	shape shape
	steps func(*play)

	// want is what must come out of it for our pair.
	want want

	// able is nil if a pair can do it.
	able func(*pair) error
}

// want is what a run has to show.
type want struct {
	// lost is the longest time without an answer that is right: 0 for no probe lost
	// at all, nil if the scenario has no right answer.
	lost     func(timers) time.Duration
	sessions bool // all connections go on
}

// nothing is the loss of a handover that somebody wanted.
func nothing(timers) time.Duration { return 0 }

// slack is what everything beside the timers may take.
const slack = 500 * time.Millisecond

// detection is the loss of a failure that the backup has to find out about.
func detection(t timers) time.Duration { return t.dead() + slack }

var scenarios = []*scenario{
	planned, maintenance, crash, power,
	cableLAN, cableWAN, cableSync, oneWay, freeze, split,
	backupReboots, masterReboots, flapping, singleWAN, homelabPair,
}

// chooseScenarios are those that go by a name.
func chooseScenarios(name string) ([]*scenario, error) {
	if name == "all" {
		return scenarios, nil
	}
	for _, s := range scenarios {
		if s.name == name {
			return []*scenario{s}, nil
		}
	}
	return nil, fmt.Errorf("want one of %s", strings.Join(scenarioNames(), ", "))
}

// scenarioNames are all that chooseScenarios knows.
func scenarioNames() []string {
	names := []string{"all"}
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}
