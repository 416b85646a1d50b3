package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// runLink starts l in a synctest bubble; do gets the feed.
func runLink(t *testing.T, l Link, do func(r *rig, up chan<- bool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, done: make(chan error, 1)}
		up := make(chan bool)
		l.Config, l.Up = r.config(l.Config), up
		var ctx context.Context
		ctx, r.cancel = context.WithCancel(t.Context())
		defer r.cancel()
		go func() { r.done <- l.Run(ctx) }()
		synctest.Wait()
		do(r, up)
	})
}

func TestLink(t *testing.T) {
	runLink(t, Link{Config: Config{By: 240}}, func(r *rig, up chan<- bool) {
		r.want(0, 240, "demoted until known")
		up <- true
		r.want(0, 0, "up")
		up <- false
		r.want(0, 240, "down")
		up <- false
		r.want(0, 240, "down, repeated")
		up <- true
		r.want(0, 0, "up again")
		up <- false
		r.want(0, 240, "down again")
		r.end()
		r.want(0, 0, "Run has ended")
		r.wantLog("<nil>", "link is down", "<nil>", "link is down")
	})
}

func TestLinkDelays(t *testing.T) {
	const ms = time.Millisecond
	l := Link{Config: Config{Hold: 5 * time.Second, Start: StartClear}, Debounce: 300 * ms}
	runLink(t, l, func(r *rig, up chan<- bool) {
		r.want(time.Hour, 0, "clear until known")
		up <- false
		r.want(0, 1, "the first state counts at once")
		up <- true
		r.want(4900*ms, 1, "up, but not for long")
		up <- false
		r.want(50*ms, 1, "down again")
		up <- true
		r.want(4900*ms, 1, "Hold begins anew")
		up <- true
		r.want(100*ms, 0, "up for 5 s; a repeated state does not begin anew")
		up <- false
		r.want(299*ms, 0, "down, but not for long")
		up <- true
		r.want(time.Hour, 0, "a short flap does not count")
		up <- false
		r.want(300*ms, 1, "down for 300 ms")
		r.wantLog("link is down", "<nil>", "link is down")
		r.end()
	})
}

func TestLinkFeedCloses(t *testing.T) {
	for end, want := range map[End]int{EndClear: 0, EndKeep: 1} {
		runLink(t, Link{Config: Config{End: end}}, func(r *rig, up chan<- bool) {
			up <- false
			close(up)
			if err := <-r.done; !errors.Is(err, ErrFeed) {
				r.Errorf("Run: %v, want %v", err, ErrFeed)
			}
			r.want(0, want, "Run has ended")
		})
	}
}
