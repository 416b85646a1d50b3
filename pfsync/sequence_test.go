package pfsync

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSentForgets(t *testing.T) {
	s := sent{next: 1}
	id := func(n int) StateID { return StateID{uint64(n), 1} }
	for n := 1; n <= sentFrames+10; n++ {
		if got := s.add([]StateID{id(n), id(-n)}); got != uint64(n) {
			t.Fatalf("frame %d got number %d", n, got)
		}
	}
	for _, n := range []uint64{0, 10, sentFrames + 11, 1 << 60} {
		if _, ok := s.about(n, nil); ok {
			t.Errorf("frame %d is known", n)
		}
	}
	for _, n := range []int{11, 12, sentFrames, sentFrames + 10} {
		if ids, ok := s.about(uint64(n), nil); !ok || !slices.Equal(ids, []StateID{id(n), id(-n)}) {
			t.Errorf("frame %d: %v %v", n, ids, ok)
		}
	}
}

func TestSentForgetsStatesBeforeFrames(t *testing.T) {
	s := sent{next: 1}
	s.add([]StateID{{1, 1}})
	s.add(make([]StateID, sentIDs))
	if _, ok := s.about(1, nil); ok {
		t.Error("states of frame 1 are overwritten, and known")
	}
	if ids, ok := s.about(2, nil); !ok || len(ids) != sentIDs {
		t.Errorf("frame 2: %d states, %v", len(ids), ok)
	}
}

// TestGapsAskForExactlyWhatIsMissing sends frames with loss, duplicates and
// reordering and compares with a plain set.
func TestGapsAskForExactlyWhatIsMissing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	now := time.Unix(0, 0)
	for range 200 {
		g := gaps{expect: 1}
		var order []uint64
		missing := map[uint64]bool{}
		for n := uint64(1); n <= 100; n++ {
			switch r.IntN(10) {
			case 0:
				missing[n] = true
			case 1:
				order = append(order, n, n)
			default:
				order = append(order, n)
			}
		}
		for i := range order { // neighbours change places
			j := min(i+r.IntN(4), len(order)-1)
			order[i], order[j] = order[j], order[i]
		}
		for _, n := range order {
			if !g.arrived(now, n) {
				t.Fatal("gives up")
			}
		}
		g.until(now, 101)
		if spans, _ := g.ask(now.Add(nackGrace-1), nil); spans != nil {
			t.Fatalf("asks before its time for %v", spans)
		}
		spans, ok := g.ask(now.Add(nackGrace), nil)
		got := map[uint64]bool{}
		for _, s := range spans {
			for n := s.from; n <= s.to; n++ {
				if got[n] {
					t.Fatalf("asks twice for %d", n)
				}
				got[n] = true
			}
		}
		if !ok || len(got) != len(missing) {
			t.Fatalf("asks for %v, want %v", got, missing)
		}
		for n := range got {
			if !missing[n] {
				t.Fatalf("asks for %d, which arrived", n)
			}
		}
	}
}

func TestGapsGiveUp(t *testing.T) {
	g := gaps{expect: 1}
	now := time.Unix(0, 0)
	g.arrived(now, 5)
	asked := 0
	for !g.due().IsZero() {
		spans, ok := g.ask(g.due(), nil)
		asked += len(spans)
		if !ok {
			break
		}
	}
	if asked != nackTries || !g.due().IsZero() {
		t.Errorf("asked %d times, due %v; want %d, never again", asked, g.due(), nackTries)
	}
}

// TestGapsAreBounded has a hostile peer make as many as it can.
func TestGapsAreBounded(t *testing.T) {
	g := gaps{expect: 1}
	now := time.Unix(0, 0)
	gaveUp := false
	for n := uint64(2); n < 10_000; n += 2 {
		gaveUp = !g.arrived(now, n) || gaveUp
	}
	g.arrived(now, 1<<62)
	for n := uint64(1 << 40); n < 1<<40+10_000; n += 2 {
		g.fill(span{n, n})
	}
	if len(g.missing) > maxSpans || !gaveUp {
		t.Errorf("%d spans, gave up: %v; want at most %d, and true", len(g.missing), gaveUp, maxSpans)
	}
}

func TestGraveyardIsBounded(t *testing.T) {
	const limit = 1000
	g := graveyard{limit: limit}
	now := time.Unix(1e9, 0)
	id := func(n int) StateID { return StateID{uint64(n), 7} }
	for n := range limit + 100 {
		g.bury(now.Add(time.Duration(n)), id(n), false)
	}
	if _, ok := g.graves[id(99)]; ok || g.n != limit || len(g.graves) != limit {
		t.Errorf("%d graves, the oldest known: %v", g.n, ok)
	}
	if i, ok := g.graves[id(limit)]; !ok || !g.order[i].at.Equal(now.Add(limit)) {
		t.Errorf("removed at %v, %v", g.order[i].at, ok)
	}
	g.forget(id(200))
	if _, ok := g.graves[id(200)]; ok {
		t.Error("forgotten, and known")
	}
	g.bury(now.Add(graveAge+2*limit), id(-1), false)
	if len(g.graves) != 1 || g.n != 1 {
		t.Errorf("%d graves (%d), want 1: the others are too old", len(g.graves), g.n)
	}
}

// TestSentIsAsLargeAsNeeded: what is known takes no more memory than four times as many
// states.
func TestSentIsAsLargeAsNeeded(t *testing.T) {
	s := sent{next: 1}
	for _, per := range []int{0, 1, 5, 2, 16, 100} {
		known := min(per*sentFrames, sentIDs)
		for i := range 3 * sentFrames {
			s.add(make([]StateID, per))
			if per == 5 && i == 100 && len(s.ids) > 4*sentFrames {
				t.Errorf("room for %d states at once", len(s.ids))
			}
		}
		if n := len(s.ids); n > max(4*known, 64) || per > 0 && n < known {
			t.Errorf("room for %d states at %d a frame", n, per)
		}
	}
}
