package check

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/demote"
)

var errBad = errors.New("bad")

// A rig is a check under test, with a probe that the test decides about.
type rig struct {
	*testing.T
	counter demote.Counter
	probes  int
	log     []string
	cancel  context.CancelFunc
	done    chan error // the result of Run

	mu     sync.Mutex
	result error // of the next probes
}

func (r *rig) set(result error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result = result
}

func (r *rig) probe(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probes++
	return r.result
}

// run starts c in a synctest bubble and ends it after do.
func run(t *testing.T, c Check, do func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, done: make(chan error, 1)}
		c.Config = r.config(c.Config)
		if c.Probe == nil {
			c.Probe = r.probe
		}
		var ctx context.Context
		ctx, r.cancel = context.WithCancel(t.Context())
		go func() { r.done <- c.Run(ctx) }()
		synctest.Wait()
		do(r)
		r.end()
	})
}

func (r *rig) config(c Config) Config {
	c.Demoter, c.Cause = &r.counter, "test"
	c.OnChange = func(err error) { r.log = append(r.log, fmt.Sprint(err)) }
	return c
}

func (r *rig) end() {
	r.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.Errorf("Run: %v", err)
	}
}

// want lets d pass and then compares the demotion.
func (r *rig) want(d time.Duration, value int, why string) {
	r.Helper()
	time.Sleep(d)
	synctest.Wait()
	if r.counter.Value() != value {
		r.Errorf("%s: demoted by %d, want %d; log %q", why, r.counter.Value(), value, r.log)
	}
}

func (r *rig) wantLog(want ...string) {
	r.Helper()
	if got := strings.Join(r.log, ", "); got != strings.Join(want, ", ") {
		r.Errorf("OnChange was told %q, want %q", got, want)
	}
}

func TestFallRise(t *testing.T) {
	run(t, Check{Fall: 3, Rise: 2, Config: Config{By: 240}}, func(r *rig) {
		r.want(0, 240, "demoted until proven good")
		r.want(time.Second, 0, "second pass")
		r.set(errBad)
		r.want(2*time.Second, 0, "second failure")
		r.set(nil)
		r.want(time.Second, 0, "a pass in between")
		r.set(errBad)
		r.want(2*time.Second, 0, "second failure in a row")
		r.want(time.Second, 240, "third failure in a row")
		r.set(nil)
		r.want(time.Second, 240, "first pass")
		r.want(time.Second, 0, "second pass")
		r.wantLog("<nil>", "bad", "<nil>")
		if r.probes != 10 {
			r.Errorf("%d probes in 9 s, want 10", r.probes)
		}
	})
}

func TestStart(t *testing.T) {
	stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	run(t, Check{Probe: stuck, Interval: 10 * time.Second}, func(r *rig) {
		r.want(9*time.Second, 1, "StartDemoted without a result")
		r.wantLog()
	})
	run(t, Check{Probe: stuck, Interval: 10 * time.Second, Config: Config{Start: StartClear}}, func(r *rig) {
		r.want(9*time.Second, 0, "StartClear without a result")
		r.want(time.Second, 1, "proven bad")
	})
	run(t, Check{Config: Config{Start: StartClear}}, func(r *rig) {
		r.want(0, 0, "good from the beginning")
		r.wantLog("<nil>")
	})
}

func TestHold(t *testing.T) {
	run(t, Check{Config: Config{Hold: 10 * time.Second}}, func(r *rig) {
		r.want(0, 0, "first pass is not held")
		r.set(errBad)
		r.want(1*time.Second, 1, "failure")
		r.set(nil)
		r.want(9*time.Second, 1, "9 s after the failure")
		r.set(errBad)
		r.want(time.Second, 1, "another failure")
		r.set(nil)
		r.want(9*time.Second, 1, "9 s after the other failure")
		r.want(time.Second, 0, "10 s after the other failure")
		r.wantLog("<nil>", "bad", "<nil>")
	})
}

// A failure may say how bad it is, and change its mind.
func TestFailureBy(t *testing.T) {
	run(t, Check{Config: Config{By: 5}, Fall: 2, Rise: 2}, func(r *rig) {
		r.set(fmt.Errorf("wrapped: %w", &Failure{By: 50, Reason: "half dead"}))
		r.want(2*time.Second, 50, "its own amount")
		r.set(&Failure{By: 100})
		r.want(time.Second, 100, "another amount, at once")
		r.set(&Failure{By: -1})
		r.want(time.Second, 5, "no amount")
		r.set(nil)
		r.want(time.Second, 5, "a pass, but not yet well")
		r.set(&Failure{By: 200})
		r.want(time.Second, 200, "another amount, at once, although Fall is 2")
	})
}

func TestEnd(t *testing.T) {
	for end, want := range map[End]int{EndClear: 0, EndKeep: 7} {
		run(t, Check{Config: Config{By: 7, End: end}}, func(r *rig) {
			r.set(errBad)
			r.want(time.Second, 7, "failing")
			r.cancel()
			r.want(0, want, "after Run")
		})
	}
}

func TestProbePanics(t *testing.T) {
	calls := 0
	probe := func(context.Context) error {
		if calls++; calls%2 == 0 {
			panic("oops")
		}
		return nil
	}
	run(t, Check{Probe: probe}, func(r *rig) {
		r.want(0, 0, "good")
		r.want(time.Second, 1, "panic is a failure")
		r.want(time.Second, 0, "the check goes on")
		if len(r.log) != 3 || !strings.Contains(r.log[1], "oops") || !strings.Contains(r.log[1], "check_test.go") {
			r.Errorf("OnChange was told %q, want a panic and where", r.log)
		}
	})
}

func TestProbeExits(t *testing.T) {
	run(t, Check{Probe: func(context.Context) error { runtime.Goexit(); return nil }}, func(r *rig) {
		r.want(500*time.Millisecond, 1, "no result is a failure")
		r.wantLog("probe ended its goroutine")
	})
}

// What panics in the goroutine of Run gets through, but leaves nothing behind.
func TestHookPanics(t *testing.T) {
	var counter demote.Counter
	c := Check{
		Config: Config{Demoter: &counter, Cause: "test", OnChange: func(error) { panic("oops") }},
		Probe:  func(context.Context) error { return errBad },
	}
	defer func() {
		if recover() == nil || counter.Value() != 0 {
			t.Errorf("no panic, or still demoted by %d", counter.Value())
		}
	}()
	c.Run(t.Context())
}

// A probe that disregards its context fails at its timeout, and again at each
// interval; no second one is started, and its late result is ignored.
func TestProbeHangs(t *testing.T) {
	var running, most, calls atomic.Int32
	var release chan error
	probe := func(context.Context) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		switch calls.Add(1) {
		case 2:
			release = make(chan error) // in the bubble
			return <-release
		case 3:
			return errBad
		}
		return nil
	}
	run(t, Check{Probe: probe, Timeout: 500 * time.Millisecond, Fall: 3}, func(r *rig) {
		r.want(1400*time.Millisecond, 0, "before the timeout")
		r.want(200*time.Millisecond, 0, "first failure, at 1.5 s")
		r.want(time.Second, 0, "second, at 2.5 s")
		r.want(time.Second, 1, "third, at 3.5 s")
		r.want(20*time.Second, 1, "still hanging")
		release <- nil
		r.want(0, 1, "its late result does not count, that of the next probe, at once, does")
		if n := calls.Load(); n != 3 {
			r.Errorf("%d probes, want 3", n)
		}
		r.want(time.Second, 0, "the one after it passes")
		r.wantLog("<nil>", ErrTimeout.Error(), "<nil>")
		if most.Load() != 1 {
			r.Errorf("%d probes at a time", most.Load())
		}
	})
}

// Timeout equal to Interval, the default: one failure for each probe.
func TestTimeoutIsInterval(t *testing.T) {
	calls := 0
	probe := func(ctx context.Context) error { calls++; <-ctx.Done(); return ctx.Err() }
	run(t, Check{Probe: probe, Fall: 3, Config: Config{Start: StartClear}}, func(r *rig) {
		r.want(2900*time.Millisecond, 0, "two timeouts")
		r.want(200*time.Millisecond, 1, "three timeouts")
		if calls != 4 {
			r.Errorf("%d probes in 3 s, want 4", calls)
		}
	})
}

// A probe slower than the interval is not overtaken.
func TestTimeoutAboveInterval(t *testing.T) {
	calls := 0
	probe := func(context.Context) error { calls++; time.Sleep(2500 * time.Millisecond); return nil }
	run(t, Check{Probe: probe, Timeout: 5 * time.Second}, func(r *rig) {
		r.want(9900*time.Millisecond, 0, "slow but good")
		if calls != 4 {
			r.Errorf("%d probes in 10 s, want 4", calls)
		}
	})
}

// Run does not wait for a hung probe beyond its timeout, but does for one that
// is about to return.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ after, takes, want time.Duration }{
			{0, time.Second, time.Second},                   // heeds its context, slowly
			{0, time.Hour, 3 * time.Second},                 // hangs
			{2 * time.Second, time.Hour, 1 * time.Second},   // hangs already
			{5 * time.Second, time.Hour, 0 * time.Second},   // its timeout is over
			{100 * time.Second, time.Hour, 0 * time.Second}, // for long
		} {
			ctx, cancel := context.WithTimeout(t.Context(), tt.after)
			c := Check{
				Config:   Config{Demoter: new(demote.Counter), Cause: "test"},
				Interval: 10 * time.Second, Timeout: 3 * time.Second,
				Probe: func(context.Context) error { time.Sleep(tt.takes); return nil },
			}
			begin := time.Now()
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin) - tt.after; d != tt.want {
				t.Errorf("cancelled after %v, a probe of %v: Run took %v to return, want %v", tt.after, tt.takes, d, tt.want)
			}
			cancel()
		}
		time.Sleep(2 * time.Hour) // the bubble lasts until all have returned
	})
}

// Random results against a naive model of Fall, Rise and Hold.
func TestCheckModel(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		fall, rise, hold := rnd.IntN(4), rnd.IntN(4), time.Duration(rnd.IntN(5))*time.Second
		run(t, Check{Fall: fall, Rise: rise, Config: Config{Hold: hold, Start: StartClear}}, func(r *rig) {
			history, want := "+", 0 // the first probe passed
			for range 300 {
				if rnd.IntN(3) == 0 {
					r.set(errBad)
					history += "-"
				} else {
					r.set(nil)
					history += "+"
				}
				switch last := strings.LastIndex(history, "-"); {
				case strings.HasSuffix(history, strings.Repeat("-", max(fall, 1))):
					want = 1
				case strings.HasSuffix(history, strings.Repeat("+", max(rise, 1))) &&
					len(history)-1-last >= int(hold/time.Second):
					want = 0
				}
				r.want(time.Second, want, fmt.Sprintf("seed %d, fall %d, rise %d, hold %v, %s", seed, fall, rise, hold, history))
				if r.Failed() {
					return
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	ok := Config{Demoter: new(demote.Counter), Cause: "test"}
	pass := func(context.Context) error { return nil }
	up := make(chan bool)
	for _, tt := range []struct {
		v    interface{ Validate() error }
		want string // in the error; empty: valid
	}{
		{&Check{Config: ok, Probe: pass}, ""},
		{&Check{Config: ok}, "check: test: Probe is nil"},
		{&Check{Config: ok, Probe: pass, Fall: -1}, "is below 0"},
		{&Check{Config: Config{Cause: "test"}, Probe: pass}, "Demoter is nil"},
		{&Check{Config: Config{Demoter: ok.Demoter}, Probe: pass}, "Cause is empty"},
		{&Link{Config: ok, Up: up}, ""},
		{&Link{Config: ok}, "Up is nil"},
		{&Link{Config: ok, Up: up, Debounce: -1}, "Debounce is below 0"},
		{&Link{Config: Config{Demoter: ok.Demoter, Cause: "test", By: -1, Hold: -1, Start: 2, End: 2}, Up: up}, "Start is unknown"},
	} {
		err := tt.v.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	if err := new(Check).Run(t.Context()); err == nil {
		t.Error("an empty Check runs")
	}
	if err := new(Link).Run(t.Context()); err == nil {
		t.Error("an empty Link runs")
	}
}
