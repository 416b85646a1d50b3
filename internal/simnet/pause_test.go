package simnet

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestPause wants both orders that a scheduler may choose at a thaw.
func TestPause(t *testing.T) {
	orders := make(map[string]int)
	for seed := range uint64(64) {
		l := newLab(t, seed, 2, Faults{MinDelay: time.Millisecond})
		l.SetTimer(0, 0, at(5))
		l.SetTimer(0, 1, at(50))
		l.Pause(0)
		for i := range 3 {
			l.Send(0, 1, 0, i)
		}
		l.run(20)
		l.want("asleep")
		if !l.Paused(0) || l.Paused(1) {
			t.Fatal("the wrong node is paused")
		}
		l.Thaw(0)
		l.Thaw(0) // awake already
		l.run(20)
		timer := slices.Index(l.heard, "20: 0 timer 0")
		packets := slices.Concat(l.heard[:max(timer, 0)], l.heard[timer+1:])
		orders[fmt.Sprintf("timer is number %d", timer)]++
		l.heard = packets
		l.want("what it missed, in order", "20: 0 hears 0 of 1", "20: 0 hears 1 of 1", "20: 0 hears 2 of 1")
		l.run(60)
		l.want("what was not due yet", "50: 0 timer 1")
	}
	if len(orders) != 2 || orders["timer is number 0"] < 10 || orders["timer is number 3"] < 10 {
		t.Errorf("what comes first at a thaw: %v", orders)
	}
}

func TestPauseKeepsTimersInHand(t *testing.T) {
	l := newLab(t, 1, 1, Faults{})
	l.SetTimer(0, 0, at(10))
	l.SetTimer(0, 0, at(40)) // the event is still the one at 10
	l.SetTimer(0, 1, at(10))
	l.Pause(0)
	l.run(20)
	l.SetTimer(0, 1, time.Time{}) // what was overdue is not wanted any more
	l.Thaw(0)
	l.run(100)
	l.want("later and stopped timers", "40: 0 timer 0")
}

func TestCrash(t *testing.T) {
	l := newLab(t, 1, 2, Faults{MinDelay: time.Millisecond})
	l.SetTimer(0, 0, at(5))
	l.Send(0, 1, 0, 1)
	l.Crash(0)
	l.run(2)
	l.Send(0, 1, 0, 2)
	if !l.Crashed(0) || l.Crashed(1) {
		t.Fatal("the wrong node crashed")
	}
	l.Restart(0) // before packet 2 arrives
	l.run(10)
	l.want("what arrives after the restart, and no timer", "3: 0 hears 2 of 1")
	l.SetTimer(0, 0, at(12))
	l.run(20)
	l.want("a timer set after it", "12: 0 timer 0")

	l.Pause(0)
	l.Send(0, 1, 0, 3)
	l.run(30)
	l.Crash(0)
	if l.Paused(0) {
		t.Error("crashed and paused")
	}
	l.Restart(0)
	l.Thaw(0)
	l.run(40)
	l.want("what waited for the thaw is gone")

	// Nobody can keep packets for a node that is off.
	l.Crash(0)
	l.Pause(0)
	l.Send(0, 1, 0, 4)
	l.run(50)
	l.Restart(0)
	l.Thaw(0)
	l.run(60)
	l.want("paused while crashed")
}
