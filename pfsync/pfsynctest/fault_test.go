package pfsynctest_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

func TestDelay(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		seg.SetFaults(pfsynctest.Faults{Delay: time.Second})
		start := time.Now()
		say(t, a, "one")
		say(t, a, "two")
		for _, want := range []string{"one", "two"} {
			if p := next(t, b); string(p.Data) != want {
				t.Errorf("read %q, want %q", p.Data, want)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s took %v, want 1s", want, took)
			}
		}
	})
}

// numbers is what b hears of 200 numbers under the given faults.
func numbers(t *testing.T, seed uint64, f pfsynctest.Faults, noise bool) (heard []int) {
	bubble(t, seed, func(t *testing.T, seg *pfsynctest.Segment, a, b, c *pfsynctest.Port) {
		seg.SetFaults(f)
		side := seg.AttachSide("a", addrA)
		defer side.Close()
		other := seg.AttachSide("b", addrB)
		defer other.Close()
		for i := range 200 {
			say(t, a, fmt.Sprint(i))
			if noise {
				say(t, c, "noise")
				side.WritePacket(addrB, []byte("noise"))
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for b.Queued() > 0 {
			if n, err := strconv.Atoi(string(next(t, b).Data)); err == nil {
				heard = append(heard, n)
			}
		}
	})
	return heard
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		sentence string
		faults   pfsynctest.Faults
		ok       func(heard []int) bool
	}{
		{"loses some", pfsynctest.Faults{Loss: 0.5}, func(h []int) bool { return len(h) > 60 && len(h) < 140 }},
		{"loses all", pfsynctest.Faults{Loss: 1, Duplicate: 1}, func(h []int) bool { return len(h) == 0 }},
		{"doubles some", pfsynctest.Faults{Duplicate: 0.5}, func(h []int) bool { return len(h) > 260 && len(h) < 340 }},
		{"doubles all", pfsynctest.Faults{Duplicate: 1}, func(h []int) bool { return len(h) == 400 }},
		{"reorders", pfsynctest.Faults{Jitter: 20 * time.Millisecond}, func(h []int) bool {
			return len(h) == 200 && !slices.IsSorted(h)
		}},
	} {
		first := numbers(t, 7, test.faults, false)
		if !test.ok(first) {
			t.Errorf("%s: heard %d: %v", test.sentence, len(first), first)
		}
		if diff := cmp.Diff(first, numbers(t, 7, test.faults, true)); diff != "" {
			t.Errorf("%s: not the same a second time, with noise:\n%s", test.sentence, diff)
		}
		if f := test.faults; f.Loss != 1 && f.Duplicate != 1 && cmp.Equal(first, numbers(t, 8, f, false)) {
			t.Errorf("%s: the seed makes no difference", test.sentence)
		}
	}
}

func TestFailWrites(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		broken := errors.New("broken")
		a.FailWrites(broken)
		if n, err := a.WritePackets(pfsync.Group4, [][]byte{nil, nil}); n != 0 || err != broken {
			t.Errorf("write gave %d, %v, want 0, %v", n, err, broken)
		}
		a.FailWrites(nil)
		say(t, a, "mended")
		wantHeard(t, "hears only what worked", b, "mended")
	})
}

// In real time, with everything at once, for the race detector.
func TestRealTime(t *testing.T) {
	seg := pfsynctest.NewSegment(1)
	seg.SetFaults(pfsynctest.Faults{Loss: 0.1, Duplicate: 0.1, Jitter: time.Millisecond})
	var tapped atomic.Int64
	seg.Tap(func(pfsynctest.Record) { tapped.Add(1) })
	var ports, readers, writers sync.WaitGroup
	var all []*pfsynctest.Port
	for _, name := range []string{"a", "b", "c"} {
		p := seg.Attach(name)
		all = append(all, p)
		readers.Go(func() {
			packets := make([]pfsync.Packet, 8)
			for err := error(nil); err == nil; {
				_, err = p.ReadPackets(packets)
			}
		})
		writers.Go(func() {
			for range 500 {
				p.WritePackets(pfsync.Group4, [][]byte{make([]byte, 1400), make([]byte, 20)})
			}
		})
	}
	ports.Go(func() {
		for range 100 {
			seg.Partition([]string{"a"})
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
	if n := tapped.Load(); n != 3000 {
		t.Errorf("%d packets tapped, want 3000", n)
	}
}

// The channels of a link do not lose the same packets.
func TestFaultsOfChannels(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		half := pfsynctest.Faults{Loss: 0.5}
		seg.SetFaults(half)
		seg.SetSideFaults(half)
		side, other := seg.AttachSide("a", addrA), seg.AttachSide("b", addrB)
		defer side.Close()
		defer other.Close()
		same := 0
		for range 100 {
			before, sideBefore := b.Queued(), other.Queued()
			say(t, a, "word")
			side.WritePacket(addrB, []byte("word"))
			if b.Queued()-before == other.Queued()-sideBefore {
				same++
			}
		}
		if same < 20 || same > 80 {
			t.Errorf("of 100 pairs %d had the same fate", same)
		}
	})
}
