package memnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The packets of the tests are words.
type (
	segment = Segment[[]byte]
	end     = End[[]byte]
)

func newSegment(seed uint64) *segment { return New(seed, slices.Clone[[]byte]) }

// bubble runs test in a synctest bubble with three ends on channel 0.
func bubble(t *testing.T, seed uint64, test func(t *testing.T, seg *segment, a, b, c *end)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seg := newSegment(seed)
		a, b, c := seg.Attach(0, "a", nil, 1000), seg.Attach(0, "b", nil, 1000), seg.Attach(0, "c", nil, 1000)
		test(t, seg, a, b, c)
		for _, e := range []*end{a, b, c} {
			e.Close()
		}
	})
}

func everybody(*end) bool { return true }

// say sends words to everybody.
func say(t *testing.T, e *end, words ...string) {
	t.Helper()
	for _, w := range words {
		if err := e.Send([]byte(w), everybody); err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
	}
}

// next waits for a word.
func next(e *end) (word string, err error) {
	_, err = e.Take(1, func(_ int, p *[]byte) { word = string(*p) })
	return word, err
}

// heard is the words that wait at e.
func heard(t *testing.T, e *end) (words []string) {
	t.Helper()
	queued := e.Queued()
	n, err := e.TryTake(1000, func(i int, p *[]byte) {
		if i != len(words) {
			t.Errorf("%s: number %d after %d words", e.Name(), i, len(words))
		}
		words = append(words, string(*p))
	})
	if err != nil || n != len(words) || n != queued {
		t.Fatalf("%s: took %d of %d, %v", e.Name(), n, queued, err)
	}
	return words
}

func wantHeard(t *testing.T, sentence string, e *end, words ...string) {
	t.Helper()
	if diff := cmp.Diff(words, heard(t, e)); diff != "" {
		t.Errorf("%s %s (-want +got):\n%s", e.Name(), sentence, diff)
	}
}

func TestSend(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, c *end) {
		word := []byte("one")
		a.Send(word, everybody)
		word[0] = 'X' // it must not have been kept
		wantHeard(t, "hears what was sent", b, "one")
		wantHeard(t, "hears what was sent", c, "one")
		wantHeard(t, "does not hear itself", a)

		a.Send([]byte("for b"), func(to *end) bool { return to == b })
		wantHeard(t, "hears what is meant for it", b, "for b")
		wantHeard(t, "does not hear what is not", c)

		seg.SetReflect(true)
		say(t, a, "two")
		wantHeard(t, "hears itself from a reflecting switch", a, "two")
		wantHeard(t, "hears it once", b, "two")
	})
}

func TestAddrs(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	group4, group6 := netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("ff02::1")
	seg := newSegment(1)
	both, none := seg.Attach(0, "both", []netip.Addr{six, four}, 1), seg.Attach(0, "none", nil, 1)
	got := []any{both.Source(group4), both.Source(group6), none.Source(group4), none.Source(group6), both.Has(four), none.Has(four)}
	want := []any{four, six, netip.IPv4Unspecified(), netip.IPv6Unspecified(), true, false}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A read takes what there is and leaves what does not fit.
func TestTake(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *segment, a, b, _ *end) {
		say(t, a, "one", "two", "three")
		var words []string
		n, err := b.Take(2, func(_ int, p *[]byte) { words = append(words, string(*p)) })
		if got := strings.Join(words, " "); n != 2 || err != nil || got != "one two" {
			t.Errorf("took %d, %v: %s", n, err, got)
		}
		wantHeard(t, "keeps the rest", b, "three")
	})
}

func TestTap(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, _ *end) {
		var taps []string
		start := time.Now()
		seg.Tap(func(r Record[[]byte]) {
			taps = append(taps, fmt.Sprintf("%v %s %d %s", r.At.Sub(start), r.From, r.Channel, r.Packet))
			r.Packet[0] = 'X' // it is the tap's own
		})
		seg.SetFaults(0, Faults{Loss: 1})
		say(t, a, "lost")
		time.Sleep(time.Second)
		seg.SetFaults(0, Faults{})
		say(t, a, "heard")
		wantHeard(t, "hears what the tap has not touched", b, "heard")
		side := seg.Attach(1, "b", nil, 1)
		say(t, side, "unheard")
		side.Close()
		if diff := cmp.Diff([]string{"0s a 0 lost", "1s a 0 heard", "1s b 1 unheard"}, taps); diff != "" {
			t.Errorf("tapped (-want +got):\n%s", diff)
		}
	})
}

func TestCutAndPartition(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *segment, a, b, c *end) {
		seg.Cut("a", "b")
		say(t, a, "a1")
		say(t, b, "b1")
		wantHeard(t, "does not hear what is cut", b)
		wantHeard(t, "hears the other direction", a, "b1")
		wantHeard(t, "hears both", c, "a1", "b1")

		seg.Partition([]string{"a"}, []string{"b"})
		say(t, c, "c2")
		say(t, a, "a2")
		wantHeard(t, "is alone", a)
		wantHeard(t, "is alone", b)
		wantHeard(t, "is alone", c)

		seg.Heal()
		say(t, a, "a3")
		wantHeard(t, "hears again", b, "a3")
		wantHeard(t, "hears again", c, "a3")
	})
}
