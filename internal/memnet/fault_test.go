package memnet

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDelay(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, _ *end) {
		seg.SetFaults(0, Faults{Delay: time.Second})
		start := time.Now()
		say(t, a, "one", "two")
		for _, want := range []string{"one", "two"} {
			if word, err := next(b); err != nil || word != want {
				t.Errorf("read %q, %v, want %q", word, err, want)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s took %v, want 1s", want, took)
			}
		}
	})
}

// numbers is what b hears on a channel of so many numbers, a millisecond apart,
// under the given faults.
func numbers(t *testing.T, seed uint64, c Channel, count int, f Faults, noise bool) (list []int) {
	synctest.Test(t, func(t *testing.T) {
		seg := newSegment(seed)
		from, to, other := seg.Attach(c, "a", nil, 1000), seg.Attach(c, "b", nil, 1000), seg.Attach(c, "c", nil, 0)
		side := seg.Attach(c+1, "a", nil, 0)
		seg.Attach(c+1, "b", nil, 0)
		seg.SetFaults(c, f)
		for i := range count {
			say(t, from, fmt.Sprint(i))
			if noise {
				say(t, other, "noise")
				say(t, side, "noise")
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, word := range heard(t, to) {
			if n, err := strconv.Atoi(word); err == nil {
				list = append(list, n)
			}
		}
	})
	return list
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		sentence string
		faults   Faults
		ok       func(heard []int) bool
	}{
		{"loses some", Faults{Loss: 0.5}, func(h []int) bool { return len(h) > 60 && len(h) < 140 }},
		{"loses all", Faults{Loss: 1, Duplicate: 1}, func(h []int) bool { return len(h) == 0 }},
		{"doubles some", Faults{Duplicate: 0.5}, func(h []int) bool { return len(h) > 260 && len(h) < 340 }},
		{"doubles all", Faults{Duplicate: 1}, func(h []int) bool { return len(h) == 400 }},
		{"reorders", Faults{Jitter: 20 * time.Millisecond}, func(h []int) bool {
			return len(h) == 200 && !slices.IsSorted(h)
		}},
	} {
		first := numbers(t, 7, 0, 200, test.faults, false)
		if !test.ok(first) {
			t.Errorf("%s: heard %d: %v", test.sentence, len(first), first)
		}
		if diff := cmp.Diff(first, numbers(t, 7, 0, 200, test.faults, true)); diff != "" {
			t.Errorf("%s: not the same a second time, with noise:\n%s", test.sentence, diff)
		}
		if f := test.faults; f.Loss != 1 && f.Duplicate != 1 && cmp.Equal(first, numbers(t, 8, 0, 200, f, false)) {
			t.Errorf("%s: the seed makes no difference", test.sentence)
		}
	}
}

// A seed that somebody has noted down means the same for ever, on each channel.
func TestSeed(t *testing.T) {
	f := Faults{Loss: 0.2, Duplicate: 0.3, Delay: time.Millisecond, Jitter: 20 * time.Millisecond}
	for c, want := range []string{
		"3 5 0 10 1 6 9 2 4 3 16 19 14 18 11 7 24 13 19 23 17 21 29 34 20 25 30 27 32 33 31 33 28 25 31 37 35 39 36",
		"3 1 2 13 4 14 12 3 12 13 15 8 15 7 7 17 21 18 10 27 10 20 19 32 23 21 31 22 24 29 24 18 26 36 22 25 33 29 28 32 35 34 37",
	} {
		if got := strings.Trim(fmt.Sprint(numbers(t, 7, Channel(c), 40, f, false)), "[]"); got != want {
			t.Errorf("channel %d:\n got %s\nwant %s", c, got, want)
		}
	}
}

// Channels have faults of their own, but the same cables.
func TestChannels(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, _ *end) {
		side, other := seg.Attach(1, "a", nil, 9), seg.Attach(1, "b", nil, 9)
		defer side.Close()
		defer other.Close()
		seg.SetFaults(0, Faults{Loss: 1})
		say(t, a, "lost")
		say(t, side, "heard")
		wantHeard(t, "does not hear the other channel", b)
		wantHeard(t, "hears its channel", other, "heard")
		seg.Cut("a", "b")
		say(t, side, "cut")
		wantHeard(t, "is cut off with its channel", other)
	})
}

func TestFailWrites(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *segment, a, b, _ *end) {
		broken := errors.New("broken")
		a.FailWrites(broken)
		if err := a.Send([]byte("unsent"), everybody); err != broken {
			t.Errorf("sending gave %v, want %v", err, broken)
		}
		a.Force([]byte("forced"), everybody)
		a.FailWrites(nil)
		say(t, a, "mended")
		wantHeard(t, "hears only what worked", b, "forced", "mended")
	})
}

func TestFreeze(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *segment, a, b, _ *end) {
		b.Freeze(true)
		say(t, a, "one")
		if n, err := b.TryTake(1, nil); n != 0 || err != nil || b.Queued() != 1 {
			t.Errorf("took %d, %v of %d while frozen", n, err, b.Queued())
		}
		read := make(chan string)
		go func() {
			word, _ := next(b)
			read <- word
		}()
		time.Sleep(time.Hour)
		select {
		case word := <-read:
			t.Errorf("read %q while frozen", word)
		default:
		}
		say(t, b, "still speaks")
		wantHeard(t, "hears the frozen one", a, "still speaks")
		b.Freeze(false)
		if word := <-read; word != "one" {
			t.Errorf("read %q, want one", word)
		}
	})
}

func TestQueue(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, _ *end) {
		b.SetQueue(2)
		small := seg.Attach(0, "small", nil, 1)
		say(t, a, "one", "two", "three")
		if small.Dropped() != 2 || b.Dropped() != 1 {
			t.Errorf("%d and %d dropped, want 2 and 1", small.Dropped(), b.Dropped())
		}
		wantHeard(t, "keeps the first", b, "one", "two")
		small.Close()
	})
}

func TestClose(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, _ *end) {
		seg.SetFaults(0, Faults{Delay: time.Minute})
		say(t, a, "on its way")
		read := make(chan error)
		go func() {
			_, err := next(b)
			read <- err
		}()
		synctest.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_, readErr := next(b)
		_, tryErr := b.TryTake(1, nil)
		for what, err := range map[string]error{
			"a waiting read": <-read, "a read": readErr, "a try": tryErr,
			"sending": b.Send(nil, everybody), "a second close": b.Close(),
		} {
			if err != net.ErrClosed {
				t.Errorf("%s gave %v", what, err)
			}
		}
		b.Force([]byte("from the dead"), everybody)
		time.Sleep(time.Hour)
		wantHeard(t, "hears nothing of a closed end", a)

		seg.SetFaults(0, Faults{})
		again := seg.Attach(0, "b", nil, 1)
		say(t, a, "back")
		wantHeard(t, "hears after it was attached again", again, "back")
		again.Close()
	})
}

// In real time, with everything at once, for the race detector.
func TestRealTime(t *testing.T) {
	seg := newSegment(1)
	seg.SetFaults(0, Faults{Loss: 0.1, Duplicate: 0.1, Jitter: time.Millisecond})
	var tapped atomic.Int64
	seg.Tap(func(Record[[]byte]) { tapped.Add(1) })
	var control, readers, writers sync.WaitGroup
	var all []*end
	for _, name := range []string{"a", "b", "c"} {
		e := seg.Attach(0, name, nil, 100)
		all = append(all, e)
		readers.Go(func() {
			for err := error(nil); err == nil; {
				_, err = next(e)
			}
		})
		writers.Go(func() {
			for range 500 {
				e.Send(make([]byte, 36), everybody)
				e.TryTake(1, func(int, *[]byte) {})
			}
		})
	}
	control.Go(func() {
		for i := range 100 {
			seg.Partition([]string{"a"})
			seg.SetReflect(i%2 == 0)
			seg.Heal()
			seg.Attach(0, "d", nil, 1).Close()
			all[0].Freeze(true)
			all[0].Freeze(false)
		}
	})
	writers.Wait()
	control.Wait()
	for _, e := range all {
		e.Close()
	}
	readers.Wait()
	if n := tapped.Load(); n != 1500 {
		t.Errorf("%d packets tapped, want 1500", n)
	}
}
