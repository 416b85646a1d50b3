package demote

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// demoter is what package carp asks for.
type demoter interface {
	Value() int
	Set(cause string, n int)
	Watch(fn func()) (stop func())
}

var (
	_ demoter = (*Counter)(nil)
	_ demoter = (*Member)(nil)
)

func TestCounter(t *testing.T) {
	var c Counter
	var log []string
	c.OnChange = func(ch Change) { log = append(log, ch.String()) }
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 0},
		{func() { c.Set("interface down", 240) }, 240},
		{func() { c.Set("interface down", 240) }, 240},
		{func() { c.Set("pfsync bulk", 240) }, 480},
		{func() { c.Adjust(-10) }, 470},
		{func() { c.Adjust(0) }, 470},
		{func() { c.Set("interface down", 0) }, 230},
		{func() { c.Set("pfsync bulk", 0) }, -10},
		{func() { c.Adjust(10) }, 0},
	} {
		if step.do(); c.Value() != step.want {
			t.Errorf("after %q: value %d, want %d", log, c.Value(), step.want)
		}
	}
	want := []string{
		"demoted by 240 to 240 (interface down)",
		"demoted by 240 to 480 (pfsync bulk)",
		"demoted by -10 to 470 (operator)",
		"demoted by -240 to 230 (interface down)",
		"demoted by -240 to -10 (pfsync bulk)",
		"demoted by 10 to 0 (operator)",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if causes := c.Causes(); len(causes) != 0 {
		t.Errorf("causes left: %v", causes)
	}
}

func TestCounterCauses(t *testing.T) {
	var c Counter
	c.Set("b", 2)
	c.Set("a", -1)
	c.Set("c", 3)
	c.Set("c", 0)
	c.Adjust(240)
	want := []Cause{{Name: "a", N: -1}, {Name: "b", N: 2}, {Name: Operator, N: 240}}
	if diff := cmp.Diff(want, c.Causes()); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

// The ends of the range saturate the sum, not the contributions. A watcher
// hears of the value only.
func TestCounterSaturates(t *testing.T) {
	for _, end := range []int{math.MaxInt32, math.MinInt32} {
		var c Counter
		calls := 0
		c.Watch(func() { calls++ })
		c.Set("a", end)
		c.Set("b", end/2)
		c.Adjust(end)
		c.Adjust(end)
		if c.Value() != end {
			t.Errorf("value %d, want %d", c.Value(), end)
		}
		c.Set("a", 0)
		c.Set(Operator, 0)
		if c.Value() != end/2 {
			t.Errorf("value %d, want %d", c.Value(), end/2)
		}
		if calls != 2 {
			t.Errorf("%d calls of the watcher, want 2", calls)
		}
	}
}

// Random operations against the sum of a map, with each change seen once and
// in order by OnChange.
func TestCounterModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		model := map[string]int{}
		var c Counter
		logged, seen := 0, 0
		c.OnChange = func(ch Change) {
			if logged += ch.By; logged != ch.To {
				t.Fatalf("seed %d: log does not add up at %v", seed, ch)
			}
		}
		c.Watch(func() { seen = c.Value() })
		for range 200 {
			n := rnd.IntN(600) - 300
			if cause := []string{"a", "b", "c", Operator}[rnd.IntN(4)]; rnd.IntN(4) == 0 {
				c.Adjust(n)
				model[Operator] += n
			} else {
				c.Set(cause, n)
				model[cause] = n
			}
			want := 0
			for _, n := range model {
				want += n
			}
			if c.Value() != want || seen != want || logged != want {
				t.Fatalf("seed %d: value %d, seen %d, logged %d, want %d", seed, c.Value(), seen, logged, want)
			}
		}
	}
}

// Many goroutines: the last call of a watcher sees the last value, no call
// overlaps another, and OnChange gets every change in order.
func TestCounterConcurrent(t *testing.T) {
	var c Counter
	var inside sync.Mutex
	calls, changes, logged, seen := 0, 0, 0, 0
	c.OnChange = func(ch Change) {
		changes++
		if logged += ch.By; logged != ch.To {
			t.Errorf("log does not add up at %v", ch)
		}
	}
	c.Watch(func() {
		if !inside.TryLock() {
			t.Error("watcher called twice at a time")
			return
		}
		defer inside.Unlock()
		calls, seen = calls+1, c.Value()
	})
	var wg sync.WaitGroup
	for _, cause := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for i := range 1000 {
				c.Set(cause, i+1)
				c.Causes()
			}
		})
	}
	wg.Wait()
	if seen != 4000 || calls == 0 || calls > 4000 || changes != 4000 {
		t.Errorf("saw %d in %d calls, %d changes; want 4000, 1 to 4000, 4000", seen, calls, changes)
	}
}

func TestWatch(t *testing.T) {
	for name, d := range demoters(t) {
		t.Run(name, func(t *testing.T) {
			var seen []int
			stop := d.Watch(func() { seen = append(seen, d.Value()) })
			d.Set("a", 1)
			d.Set("a", 1) // no change
			d.Set("b", 2)
			stop()
			stop()
			d.Set("b", 0)
			if diff := cmp.Diff([]int{1, 3}, seen); diff != "" {
				t.Errorf("seen (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatchSetFromWithin(t *testing.T) {
	for name, d := range demoters(t) {
		t.Run(name, func(t *testing.T) {
			var first, second []int
			d.Watch(func() {
				first = append(first, d.Value())
				if n := d.Value(); n < 5 {
					d.Set("a", n+1)
				}
			})
			d.Watch(func() { second = append(second, d.Value()) })
			d.Set("a", 1)
			if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, first); diff != "" {
				t.Errorf("seen by the one that sets (-want +got):\n%s", diff)
			}
			if len(second) == 0 || second[len(second)-1] != 5 {
				t.Errorf("the other one saw %v, want 5 at last", second)
			}
		})
	}
}

// A watcher may stop itself, and one that is due already.
func TestWatchStopFromWithin(t *testing.T) {
	for name, d := range demoters(t) {
		t.Run(name, func(t *testing.T) {
			calls := 0
			var stop, stopOther func()
			stop = d.Watch(func() { calls++; stop(); stopOther() })
			stopOther = d.Watch(func() { t.Error("called after stop") })
			d.Set("a", 1)
			d.Set("a", 2)
			if calls != 1 {
				t.Errorf("%d calls, want 1", calls)
			}
		})
	}
}

// A watcher that panics takes its caller with it, but not the Demoter.
func TestWatchPanics(t *testing.T) {
	for name, d := range demoters(t) {
		t.Run(name, func(t *testing.T) {
			seen := 0
			stop := d.Watch(func() { panic("oops") })
			d.Watch(func() { seen = d.Value() })
			func() {
				defer func() {
					if recover() == nil {
						t.Error("panic was swallowed")
					}
				}()
				d.Set("a", 1)
			}()
			stop()
			d.Set("a", 2)
			if seen != 2 {
				t.Errorf("saw %d, want 2", seen)
			}
		})
	}
}

func TestValueAllocs(t *testing.T) {
	for name, d := range demoters(t) {
		d.Set("a", 1)
		if n := testing.AllocsPerRun(100, func() { d.Value() }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func demoters(t *testing.T) map[string]demoter {
	return map[string]demoter{"Counter": new(Counter), "Member": join(t, new(Groups), "carp1", Carp)}
}
