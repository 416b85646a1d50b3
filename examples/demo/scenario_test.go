package main

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/simnet"
)

func mustRun(t *testing.T, s *scenario, seed uint64) *record {
	t.Helper()
	r, err := run(s, seed, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// forSeeds runs a scenario with many seeds.
func forSeeds(t *testing.T, name string, seeds uint64, check func(t *testing.T, r *record)) {
	t.Parallel()
	s := &chosen(name)[0]
	if testing.Short() {
		seeds = min(seeds, 10)
	}
	if raceEnabled { // there are no goroutines in a demo: a few will do
		seeds = min(seeds, 3)
	}
	for seed := range seeds {
		r := mustRun(t, s, seed)
		if want := int((s.length - probesFrom - idle) / probeInterval); r.verdict.Probes != want {
			t.Errorf("seed %d: %d probes, want %d", seed, r.verdict.Probes, want)
		}
		if !r.verdict.SessionAlive || !r.verdict.StatesEqual {
			t.Errorf("seed %d: %s", seed, r.verdict.connections())
		}
		between(t, "what happened to the TCP session", count(r, kindSession), 1, 1)
		check(t, r)
		for _, l := range r.lanes {
			want := map[string]string{"fw1": "MASTER", "fw2": "BACKUP"}[l.node]
			switch {
			case l.iface == "sync":
				want = stateSynced
			case l.vhid == 0:
				want = map[string]string{"fw1": stateEnabled, "fw2": stateDisabled}[l.node]
			}
			if got := l.spans[len(l.spans)-1].State; got != want {
				t.Errorf("seed %d: %s %s is %s in the end, want %s", seed, l.node, l.iface, got, want)
			}
		}
		if t.Failed() {
			t.Fatalf("go run . -scenario %s -seed %d", name, seed)
		}
	}
}

// between fails unless lo <= got <= hi.
func between[T int | float64](t *testing.T, what string, got, lo, hi T) {
	t.Helper()
	if got < lo || got > hi {
		t.Errorf("%s: %v, want %v to %v", what, got, lo, hi)
	}
}

// handOver is how long two masters may be unaware of each other: what an advert
// takes at most, through one switch, and for each of two vhids.
const handOver = 2 * 2 * 0.4 // ms

func TestPlanned(t *testing.T) {
	forSeeds(t, "planned", 40, func(t *testing.T, r *record) {
		between(t, "lost", r.verdict.Lost, 0, 0)
		between(t, "longest gap", r.verdict.MaxGapMS, 10, 10+2*8*0.4)
		between(t, "two masters", r.verdict.TwoMastersMS, 0, 2*handOver)
		checkOverlap(t, r)
	})
}

// checkOverlap wants an address at its new place before it is gone from the old
// one, and there for as long as carp.Node keeps it, each time it moves.
func checkOverlap(t *testing.T, r *record) {
	t.Helper()
	moves := 0
	for i, e := range r.events {
		if e.Kind != kindRelease {
			continue
		}
		moves++
		j := slices.IndexFunc(r.events, func(a event) bool {
			return a.Kind == kindAcquire && a.Address == e.Address && a.Node != e.Node &&
				e.Time.Sub(a.Time) < time.Second && !a.Time.After(e.Time)
		})
		if j < 0 || j > i || e.Time.Sub(r.events[j].Time) < carp.DefaultOverlap {
			t.Errorf("%s lets go of %s at %v, too early", e.Node, e.Address, since(e.Time))
		}
	}
	if moves != 4 {
		t.Errorf("%d addresses were released, want 2 there and 2 back", moves)
	}
}

// The time in which a backup misses its master: 3 advbases and its skew, of which
// up to one interval had passed when the master fell silent.
const (
	silenceMin = 3000 - 1000 + 100*1000/256
	silenceMax = silenceMin + 1000
)

func TestCrash(t *testing.T) {
	forSeeds(t, "crash", 15, func(t *testing.T, r *record) {
		between(t, "lost", r.verdict.Lost, silenceMin/10-1, silenceMax/10+2)
		between(t, "longest gap", r.verdict.MaxGapMS, silenceMin, silenceMax+30)
		between(t, "two masters", r.verdict.TwoMastersMS, 0, handOver)
		between(t, "outages", count(r, kindLost), 1, 1)
	})
}

// TestCable wants the WAN to follow the LAN, long before the LAN is missed.
func TestCable(t *testing.T) {
	forSeeds(t, "cable", 15, func(t *testing.T, r *record) {
		between(t, "lost", r.verdict.Lost, silenceMin/10-1, silenceMax/10+2)
		between(t, "outages", count(r, kindLost), 1, 1)
		out := find(t, r, func(e event) bool { return e.Text == "LAN cable out" })
		wan := find(t, r, func(e event) bool {
			return e.Node == "fw2" && e.VHID == 2 && e.To == "MASTER" && e.Reason == carp.ReasonMasterDemoted.String()
		})
		between(t, "WAN moves", milliseconds(wan.Time.Sub(out.Time)), 0, handOver)
	})
}

func TestPartition(t *testing.T) {
	forSeeds(t, "partition", 15, func(t *testing.T, r *record) {
		between(t, "two masters", r.verdict.TwoMastersMS, 7000, 11000)
		between(t, "outages", count(r, kindLost), 0, 1)
	})
}

func TestSingleWAN(t *testing.T) {
	hook := int(hookMax / probeInterval)
	forSeeds(t, "single-wan", 15, func(t *testing.T, r *record) {
		between(t, "lost", r.verdict.Lost, silenceMin/10, silenceMax/10+4*(hook+2))
		between(t, "outages", count(r, kindLost), 4, 4)
		between(t, "two masters", r.verdict.TwoMastersMS, 0, 2*handOver)
		for _, e := range r.events {
			if e.Kind == kindBack && e.Lost > hook+2 && e.Lost < silenceMin/10 {
				t.Errorf("%d probes lost: neither a hook nor a crash takes that long", e.Lost)
			}
		}
	})
}

func count(r *record, k kind) int {
	n := 0
	for _, e := range r.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func find(t *testing.T, r *record, match func(event) bool) event {
	t.Helper()
	i := slices.IndexFunc(r.events, match)
	if i < 0 {
		t.Fatal("an event is missing")
	}
	return r.events[i]
}

// TestAnnouncements takes from the planned failover what tells the neighbours: if
// that costs nothing, the model does not show what it is there to show.
func TestAnnouncements(t *testing.T) {
	for _, side := range []string{"lan", "wan"} {
		s := chosen("planned")[0]
		whole := s.steps
		s.steps = func(w *world) []step {
			deaf := step{at: 8 * time.Second, text: side + " drops ARP", do: func() error {
				sw := map[string]*simnet.Switch{"lan": w.lan, "wan": w.wan}[side]
				sw.Drop = func(f []byte, _, _ simnet.SegmentID) bool { return etherType(f) == etherTypeARP }
				return nil
			}}
			return append([]step{deaf}, whole(w)...)
		}
		r := mustRun(t, &s, 1)
		// From when the old master lets go until it has the address back.
		between(t, side+" without announcements: lost", r.verdict.Lost, 800, 1200)
	}
}

// TestLastBit wants an advert that was altered under way to count for nothing:
// what the firewalls hear went through the codec and the HMAC.
func TestLastBit(t *testing.T) {
	s := chosen("planned")[0]
	whole := s.steps
	s.steps = func(w *world) []step {
		noise := step{at: 8 * time.Second, text: "noise", do: func() error {
			w.lan.Drop = func(f []byte, _, out simnet.SegmentID) bool {
				if mac(f) == carpGroup && out != w.client.cable {
					f[len(f)-1] ^= 1 // this frame has no other receiver
				}
				return false
			}
			return nil
		}}
		return append([]step{noise}, whole(w)...)
	}
	r := mustRun(t, &s, 1)
	if r.verdict.TwoMastersMS < 1000 {
		t.Errorf("two masters for %v ms, want seconds: they cannot read each other", r.verdict.TwoMastersMS)
	}
}

// TestLateAnswers wants an answer that takes more than a second not to count.
func TestLateAnswers(t *testing.T) {
	for _, tt := range []struct {
		delay    time.Duration // each way
		min, max int
	}{
		{450 * time.Millisecond, 0, 0},
		{550 * time.Millisecond, 400, 400},
	} {
		s := scenario{length: probesFrom + idle + 4*time.Second, steps: func(w *world) []step {
			return []step{{do: func() error {
				w.net.SetFaults(w.server.cable, simnet.Faults{MinDelay: tt.delay, MaxDelay: tt.delay})
				return nil
			}}}
		}}
		r := mustRun(t, &s, 1)
		between(t, tt.delay.String()+" each way: lost", r.verdict.Lost, tt.min, tt.max)
	}
}
