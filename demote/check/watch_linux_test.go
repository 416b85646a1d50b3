package check_test

import (
	"context"
	"testing"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/demote/check"
	"github.com/gocarp/gocarp/internal/netns"
)

// An interface that carries no virtual host demotes while it has no carrier, is
// down or is gone, and no longer.
func TestWatch(t *testing.T) {
	netns.Require(t)
	lab := netns.New(t, "check-a", "check-b")
	ns := lab.NS("check-a")
	ns.Veth("up0", lab.NS("check-b"), "up0")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var up <-chan bool
	var done <-chan error
	ns.Do(func() {
		var err error
		if up, done, err = check.Watch(ctx, "up0"); err != nil {
			t.Fatal(err)
		}
	})
	var counter demote.Counter
	link := check.Link{Config: check.Config{Demoter: &counter, Cause: "up0", By: 10}, Up: up}
	ran := make(chan error, 1)
	go func() { ran <- link.Run(ctx) }()

	want := func(what string, n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); counter.Value() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: demotion %d, want %d", what, counter.Value(), n)
			}
		}
	}
	ns.IP("link set up0 down")
	want("down", 10)
	ns.IP("link set up0 up")
	want("up", 0)
	lab.NS("check-b").IP("link set up0 down")
	want("no carrier", 10)
	lab.NS("check-b").IP("link set up0 up")
	want("carrier", 0)
	ns.IP("link del up0")
	want("gone", 10)

	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	<-done
	if n := counter.Value(); n != 0 {
		t.Errorf("demotion %d after the end, want 0", n)
	}
}
