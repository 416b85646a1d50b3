package carptest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

func TestDelay(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, b, _ *carptest.Port) {
		seg.SetFaults(carptest.Faults{Delay: time.Second})
		start := time.Now()
		say(t, a, "one")
		say(t, a, "two")
		var p carp.Packet
		for _, want := range []string{"one", "two"} {
			if err := b.ReadPacket(&p); err != nil || string(p.Data) != want {
				t.Errorf("read %q, %v, want %q", p.Data, err, want)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s took %v, want 1s", want, took)
			}
		}
	})
}

// words is what b hears of 200 words under the given faults.
func words(t *testing.T, seed uint64, f carptest.Faults, noise bool) (heard []string) {
	bubble(t, seed, func(t *testing.T, seg *carptest.Segment, a, b, c *carptest.Port) {
		b.SetQueue(1000)
		seg.SetFaults(f)
		for i := range 200 {
			say(t, a, fmt.Sprint(i))
			if noise {
				say(t, c, "noise")
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for {
			var p carp.Packet
			if ok, _ := b.TryReadPacket(&p); !ok {
				return
			}
			if string(p.Data) != "noise" {
				heard = append(heard, string(p.Data))
			}
		}
	})
	return heard
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		sentence string
		faults   carptest.Faults
		ok       func(heard []string) bool
	}{
		{"loses some", carptest.Faults{Loss: 0.5}, func(h []string) bool { return len(h) > 60 && len(h) < 140 }},
		{"loses all", carptest.Faults{Loss: 1, Duplicate: 1}, func(h []string) bool { return len(h) == 0 }},
		{"doubles some", carptest.Faults{Duplicate: 0.5}, func(h []string) bool { return len(h) > 260 && len(h) < 340 }},
		{"doubles all", carptest.Faults{Duplicate: 1}, func(h []string) bool { return len(h) == 400 }},
		{"reorders", carptest.Faults{Jitter: 20 * time.Millisecond}, func(h []string) bool {
			sorted := slices.IsSortedFunc(h, func(a, b string) int {
				if len(a) != len(b) {
					return len(a) - len(b)
				}
				return strings.Compare(a, b)
			})
			return len(h) == 200 && !sorted
		}},
	} {
		first := words(t, 7, test.faults, false)
		if !test.ok(first) {
			t.Errorf("%s: heard %d: %v", test.sentence, len(first), first)
		}
		if diff := cmp.Diff(first, words(t, 7, test.faults, true)); diff != "" {
			t.Errorf("%s: not the same a second time, with noise:\n%s", test.sentence, diff)
		}
		if f := test.faults; f.Loss != 1 && f.Duplicate != 1 && cmp.Equal(first, words(t, 8, f, false)) {
			t.Errorf("%s: the seed makes no difference", test.sentence)
		}
	}
}

func TestFailWrites(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *carptest.Segment, a, b, _ *carptest.Port) {
		broken := errors.New("broken")
		a.FailWrites(broken)
		if err := a.WritePacket(carp.Packet{Dst: carp.Group4}); err != broken {
			t.Errorf("write gave %v, want %v", err, broken)
		}
		a.FailWrites(nil)
		say(t, a, "mended")
		wantHeard(t, "hears only what worked", b, "mended")
	})
}

// In real time, with everything at once, for the race detector.
func TestRealTime(t *testing.T) {
	seg := carptest.NewSegment(1)
	seg.SetFaults(carptest.Faults{Loss: 0.1, Duplicate: 0.1, Jitter: time.Millisecond})
	var journal carptest.Journal
	seg.Tap(journal.Packet)
	var ports, readers, writers sync.WaitGroup
	var all []*carptest.Port
	for _, name := range []string{"a", "b", "c"} {
		p := seg.Attach(name)
		all = append(all, p)
		readers.Go(func() {
			for p.ReadPacket(new(carp.Packet)) == nil {
			}
		})
		writers.Go(func() {
			for range 500 {
				p.WritePacket(carp.Packet{Data: make([]byte, 36), Dst: carp.Group4})
				p.TryReadPacket(new(carp.Packet))
			}
		})
	}
	ports.Go(func() {
		for i := range 100 {
			seg.Partition([]string{"a"})
			seg.SetReflect(i%2 == 0)
			seg.Heal()
			seg.Attach("d").Close()
			all[0].Freeze()
			all[0].Thaw()
		}
	})
	writers.Wait()
	ports.Wait()
	for _, p := range all {
		p.Close()
	}
	readers.Wait()
	if n := len(journal.Entries()); n != 1500 {
		t.Errorf("%d packets in the journal, want 1500", n)
	}
}
