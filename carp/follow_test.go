package carp_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// follow runs Follow and notes its calls in the journal.
func (w *world) follow(ctx context.Context, n *testNode) <-chan error {
	result := make(chan error, 1)
	go func() {
		result <- n.Follow(ctx, 1, func(ctx context.Context) error {
			w.journal.Add(n.name, "serves")
			<-ctx.Done()
			time.Sleep(5 * time.Millisecond)
			w.journal.Add(n.name, "has stopped")
			return errors.New("of no interest: it was cancelled")
		})
	}()
	return result
}

// wantServing keeps the lines about serving.
func (w *world) wantServing(sentence string, lines ...string) {
	w.t.Helper()
	var got []string
	synctest.Wait()
	for _, line := range w.journal.Take() {
		if len(line) > 2 && (line[2:] == "serves" || line[2:] == "has stopped") {
			got = append(got, line)
		}
	}
	if len(got) != len(lines) {
		w.t.Errorf("%s: got %q, want %q", sentence, got, lines)
		return
	}
	for i := range got {
		if got[i] != lines[i] {
			w.t.Errorf("%s: got %q, want %q", sentence, got, lines)
		}
	}
}

func TestFollow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a", preempt), w.node("b", preempt, advskew(100))
		ended := w.follow(t.Context(), a)
		w.follow(t.Context(), b)
		w.sleep(3500 * time.Millisecond)
		w.wantServing("the service runs where the address is", "a serves")
		a.demote.Adjust(10)
		w.sleep(3 * time.Second)
		w.wantServing("it moves with it", "b serves", "a has stopped")
		a.demote.Adjust(-10)
		w.sleep(3 * time.Second)
		w.wantServing("and back", "a serves", "b has stopped")
		a.stop()
		w.sleep(time.Second)
		w.wantServing("and away when the node ends", "b serves", "a has stopped")
		if err := <-ended; err != nil {
			t.Errorf("Follow returned %v at the end of the node", err)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.sleep(3500 * time.Millisecond)

		failed := errors.New("address in use")
		if err := a.Follow(t.Context(), 1, func(context.Context) error { return failed }); err != failed {
			t.Errorf("a service that fails: %v, want %v", err, failed)
		}
		if err := a.Follow(t.Context(), 9, nil); !errors.Is(err, carp.ErrNotFound) {
			t.Errorf("no such group: %v, want ErrNotFound", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		ended := w.follow(ctx, a)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("cancelled: %v, want nil", err)
		}

		calls := 0
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		go a.Follow(ctx, 1, func(context.Context) error { calls++; return nil })
		w.sleep(10 * time.Second)
		if calls != 1 {
			t.Errorf("a service that is done was called %d times while nothing changed", calls)
		}
	})
}

// Follow ends when its group is removed, in whatever state that is.
func TestFollowRemoved(t *testing.T) {
	for _, state := range []carp.State{carp.Init, carp.Backup, carp.Master} {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Down = state == carp.Init })
			w.sleep(time.Second)
			if state == carp.Master {
				w.sleep(3 * time.Second)
			}
			a.want("begins", state)
			ended := w.follow(t.Context(), a)
			synctest.Wait()
			a.do(a.Remove(1))
			if err := <-ended; !errors.Is(err, carp.ErrNotFound) {
				t.Errorf("removed in %v: %v, want ErrNotFound", state, err)
			}
		})
	}
}
