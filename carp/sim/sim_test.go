// Package sim plays random schedules of two and three CARP machines on a
// simulated segment and holds them against what the protocol promises: a
// deadline that is never in the past, one master soon after all is well, no two
// for longer than an advert takes, the same answer to the same question. There
// is nothing in it but tests.
//
// GOCARP_SCHEDULES=1000000 plays a million schedules instead of a few thousand,
// and GOCARP_SEED=N shows the one of seed N from its beginning to its end.
package sim

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gocarp/gocarp/carp"
)

// TestSchedules plays the schedules of as many seeds as there is time for.
func TestSchedules(t *testing.T) {
	n := uint64(20_000)
	switch env := os.Getenv("GOCARP_SCHEDULES"); {
	case env != "":
		var err error
		if n, err = strconv.ParseUint(env, 10, 64); err != nil {
			t.Fatalf("GOCARP_SCHEDULES: %v", err)
		}
	case testing.Short() || raceEnabled:
		n = 1_000
	}
	var (
		next  atomic.Uint64
		wg    sync.WaitGroup
		total counts
		mu    sync.Mutex
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			w := newWorld()
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				if err := w.run(seed, nil); err != nil {
					next.Store(n) // one failure is enough
					report(t, seed, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(&w.count)
		})
	}
	wg.Wait()
	t.Log(&total)
	if total.schedules >= 1_000 {
		total.checkVariety(t)
	}
}

// TestKeptSeeds plays the schedules that found something once.
func TestKeptSeeds(t *testing.T) {
	f, err := os.Open("testdata/sim-seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newWorld()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.run(seed, nil); err != nil {
			report(t, seed, err)
		}
	}
}

// TestOneSeed shows a schedule.
func TestOneSeed(t *testing.T) {
	env := os.Getenv("GOCARP_SEED")
	if env == "" {
		t.Skip("set GOCARP_SEED to see the schedule of a seed")
	}
	seed, err := strconv.ParseUint(env, 10, 64)
	if err != nil {
		t.Fatalf("GOCARP_SEED: %v", err)
	}
	if err := newWorld().run(seed, os.Stdout); err != nil {
		t.Error(err)
	}
}

// TestReplay plays schedules twice: the simulation must not hang on anything but
// its seed.
func TestReplay(t *testing.T) {
	for seed := range uint64(50) {
		var first, second strings.Builder
		used := newWorld()
		_ = used.run(seed+1, nil)
		if a, b := newWorld().run(seed, &first), used.run(seed, &second); !errors.Is(a, b) && fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("seed %d: %v, then %v", seed, a, b)
		}
		if first.String() != second.String() {
			t.Fatalf("seed %d plays differently the second time", seed)
		}
	}
}

// TestNoAllocs holds the machine and the network against their promise to
// allocate nothing once a schedule is under way.
func TestNoAllocs(t *testing.T) {
	w := newWorld()
	w.reset(1, nil)
	for skew := range uint8(3) {
		w.add(carp.Config{VHID: 1, AdvSkew: skew, Preempt: true}, carp.IPv4|carp.IPv6)
	}
	w.connect(w.faults(unit / 8))
	for _, n := range w.nodes {
		n.raise()
	}
	mean := testing.AllocsPerRun(100, func() {
		w.wait(w.step())
		n := w.nodes[w.intn(3)]
		n.lower()
		w.wait(w.step())
		n.raise()
	})
	if mean != 0 {
		t.Errorf("%v allocations while the machines run", mean)
	}
}

// report plays the schedule of seed again and prints what happened.
func report(t *testing.T, seed uint64, err error) {
	const most = 400
	var trace strings.Builder
	_ = newWorld().run(seed, &trace)
	lines := strings.Split(strings.TrimSpace(trace.String()), "\n")
	if cut := len(lines) - most; cut > 0 {
		lines = append(append(lines[:most/4:most/4], fmt.Sprintf("... %d lines ...", cut)), lines[len(lines)-most*3/4:]...)
	}
	t.Errorf("seed %d: %v\nkeep it in testdata/sim-seeds.txt\n%s", seed, err, strings.Join(lines, "\n"))
}
