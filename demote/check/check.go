package check

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A Probe looks once whether all is well. It returns nil if so, else what is
// wrong, and must return soon after ctx is done, when its timeout is over. A
// [Failure] in the error's chain says how bad it is.
type Probe func(ctx context.Context) error

// A Failure is an error with its own contribution to the demotion.
type Failure struct {
	By     int    // 1 or more; else Config.By
	Reason string // what is wrong
}

func (f *Failure) Error() string { return f.Reason }

// ErrTimeout is the failure of a probe that has not returned in time.
var ErrTimeout = errors.New("no result in time")

// A Check runs a probe at intervals. The zero values of all fields but Probe
// and those required by [Config] are useful.
type Check struct {
	Config
	Probe Probe

	Interval time.Duration // from the start of a probe to that of the next; 0: 1 s
	Timeout  time.Duration // of one probe; 0: Interval

	// Fall is how many failures in a row demote, Rise how many passes in a row
	// it takes to recover. 0: 1, every result counts.
	Fall, Rise int
}

// Validate returns all that is wrong with c.
func (c *Check) Validate() error {
	err := c.validate()
	if c.Probe == nil {
		err = errors.Join(err, fmt.Errorf("check: %s: Probe is nil", c.Cause))
	}
	if c.Interval < 0 || c.Timeout < 0 || c.Fall < 0 || c.Rise < 0 {
		err = errors.Join(err, fmt.Errorf("check: %s: Interval, Timeout, Fall or Rise is below 0", c.Cause))
	}
	return err
}

// Run probes, at once and then at each Interval, until ctx is done, and then
// returns nil. The only error is that of Validate.
//
// Each probe runs in a goroutine of its own, never two at a time. One that has
// not returned at its timeout has failed, and once more after each Interval
// until it returns; what it returns then is ignored. A probe that is still
// running when the next is due delays it until it returns. When ctx is done,
// Run waits for a running probe until its timeout at most. So only a probe that
// disregards its context outlives Run, and there is one at most.
func (c *Check) Run(ctx context.Context) error {
	if err := c.Validate(); err != nil {
		return err
	}
	cfg := *c
	r := runner{Check: &cfg, verdict: verdict{Config: &cfg.Config}}
	if r.Interval == 0 {
		r.Interval = time.Second
	}
	if r.Timeout == 0 {
		r.Timeout = r.Interval
	}
	r.verdict.begin()
	defer r.verdict.end()

	tick := time.NewTicker(r.Interval)
	defer tick.Stop()
	missed := false // a tick, because of the probe under way
	r.start(ctx)
	for {
		select {
		case <-ctx.Done():
			r.stop()
			return nil
		case <-tick.C:
			if missed = r.result != nil; !missed {
				r.start(ctx)
			}
		case <-r.timeout.C:
			r.late = true
			r.judge(ErrTimeout)
			r.timeout.Reset(r.Interval)
		case err := <-r.result:
			r.timeout.Stop()
			r.cancel()
			r.result = nil
			if ctx.Err() != nil { // it may have failed because of that only
				return nil
			}
			if !r.late {
				r.judge(err)
			}
			if missed {
				missed = false
				r.start(ctx)
			}
		}
	}
}

// A runner is a Check under way.
type runner struct {
	*Check
	verdict verdict

	// the probe under way
	result  chan error // nil if there is none
	cancel  context.CancelFunc
	timeout *time.Timer
	late    bool // its timeout is over

	passed, failed int // in a row
	lastFail       time.Time
}

func (r *runner) start(ctx context.Context) {
	ctx, r.cancel = context.WithTimeout(ctx, r.Timeout)
	r.timeout = time.NewTimer(r.Timeout)
	r.late = false
	result := make(chan error, 1)
	r.result = result
	go func() {
		err := errors.New("probe ended its goroutine")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("probe panicked: %v\n%s", p, debug.Stack())
			}
			result <- err
		}()
		err = r.Probe(ctx)
	}()
}

// stop waits for the probe under way until its timeout.
func (r *runner) stop() {
	if r.result == nil {
		return
	}
	r.cancel()
	if !r.late {
		select {
		case <-r.result:
		case <-r.timeout.C:
		}
	}
	r.timeout.Stop()
}

// judge takes the result of one probe.
func (r *runner) judge(err error) {
	if err != nil {
		r.passed, r.failed, r.lastFail = 0, r.failed+1, time.Now()
		if r.failed >= r.Fall || r.verdict.failing && r.verdict.given { // again: By may differ
			r.verdict.fail(err)
		}
		return
	}
	r.failed = 0
	r.passed++
	held := r.lastFail.IsZero() || time.Since(r.lastFail) >= r.Hold
	if r.passed >= r.Rise && held {
		r.verdict.pass()
	}
}
