package main

import (
	"testing"
	"time"
)

func TestWANHealth(t *testing.T) {
	var w wanHealth
	now := wanEpoch
	for i, s := range []struct {
		after     time.Duration
		up, works bool
		want      bool
	}{
		{0, false, false, false},
		{time.Second, true, false, false},
		{14 * time.Second, true, false, false},
		{0, true, true, false}, // just in time
		{time.Second, true, false, false},
		{wanGrace, true, false, true},
		{time.Hour, true, false, true}, // nobody else wants it
		{0, false, false, true},
		{59 * time.Second, false, false, true},
		{time.Second, false, false, false},
		{time.Second, true, false, false}, // back, and no better
		{wanGrace, true, false, true},
		{time.Second, false, false, true},
		{2*time.Minute - 2*time.Second, false, false, true}, // twice as long
		{time.Second, false, false, false},
		{0, true, true, false},
		{2 * time.Minute, true, true, false}, // it works for good: all is forgotten
		{0, true, false, false},
		{wanGrace, true, false, true},
		{0, true, true, false}, // it works here, so there is no reason to give way
		{0, true, false, false},
		{wanGrace, true, false, true},
		{time.Second, false, false, true},
		{2*time.Minute - time.Second, false, false, false},
	} {
		now = now.Add(s.after)
		if got := w.step(now, s.up, s.works); got != s.want {
			t.Errorf("step %d, %v: demoted %t", i, now.Sub(wanEpoch), got)
		}
	}
}
