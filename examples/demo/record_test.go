package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gocarp/gocarp/internal/timeline"
)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// pings are probes 10 ms apart, answered after 1 ms where the word has a '.'.
func pings(word string) []probe {
	var probes []probe
	for i, c := range word {
		p := probe{sent: at(10 * i)}
		if c == '.' {
			p.answered = at(10*i + 1)
		}
		probes = append(probes, p)
	}
	return probes
}

func TestGaps(t *testing.T) {
	for _, tt := range []struct {
		probes string
		lost   int
		gap    time.Duration
		events []event
	}{
		{"", 0, 0, nil},
		{"...", 0, 10 * time.Millisecond, nil},
		{".xx..", 2, 30 * time.Millisecond, []event{
			{Time: at(10), Kind: kindLost, Node: "client"},
			{Time: at(31), Kind: kindBack, Node: "client", Lost: 2, GapMS: 30},
		}},
		{"xx.", 2, 21 * time.Millisecond, []event{
			{Time: at(0), Kind: kindLost, Node: "client"},
			{Time: at(21), Kind: kindBack, Node: "client", Lost: 2},
		}},
		{".xxx", 3, 29 * time.Millisecond, []event{{Time: at(10), Kind: kindLost, Node: "client"}}},
		{"xxx", 3, 20 * time.Millisecond, []event{{Time: at(0), Kind: kindLost, Node: "client"}}},
	} {
		probes := pings(tt.probes)
		if got := lost(probes); got != tt.lost {
			t.Errorf("%q: %d lost, want %d", tt.probes, got, tt.lost)
		}
		if got := longestGap(probes); got != tt.gap {
			t.Errorf("%q: longest gap %v, want %v", tt.probes, got, tt.gap)
		}
		if diff := cmp.Diff(tt.events, outages(probes)); diff != "" {
			t.Errorf("%q:\n%s", tt.probes, diff)
		}
	}
}

func TestTwoMasters(t *testing.T) {
	history := func(vhid uint8, states ...any) lane {
		l := lane{vhid: vhid}
		for i := 0; i < len(states); i += 2 {
			l.enter(at(states[i].(int)), states[i+1].(string), "")
		}
		l.spans[len(l.spans)-1].To = at(100)
		return l
	}
	lanes := []lane{
		history(1, 0, "MASTER", 50, "LEAVING", 60, "INIT"),
		history(1, 0, "BACKUP", 40, "MASTER"),
		history(2, 0, "MASTER"),
		history(2, 0, "BACKUP", 45, "MASTER", 48, "BACKUP", 49, "MASTER", 55, "BACKUP", 70, "MASTER", 80, "OFF"),
	}
	want := []timeline.Span{{From: at(40), To: at(55)}, {From: at(70), To: at(80)}}
	if diff := cmp.Diff(want, twoMasters(lanes), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if got := twoMasters(lanes[1:3]); got != nil {
		t.Errorf("masters of different virtual hosts clash: %v", got)
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]float64{
		0: 0, 49 * time.Microsecond: 0, 50 * time.Microsecond: 0.1, 1234567 * time.Nanosecond: 1.2, 3 * time.Second: 3000,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}
