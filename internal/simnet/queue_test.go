package simnet

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The queue hands out its events by time and, at the same time, as they came,
// however pushing and popping alternate.
func TestQueueOrder(t *testing.T) {
	var q queue
	r := rand.New(rand.NewPCG(1, 1))
	var waiting []event // the model: a list that is sorted each time
	for i := range int32(20_000) {
		if r.IntN(2) == 0 || q.len() == 0 {
			e := event{at: time.Duration(r.IntN(50)), node: i}
			q.push(e)
			waiting = append(waiting, e)
			slices.SortStableFunc(waiting, func(a, b event) int { return cmp.Compare(a.at, b.at) })
			continue
		}
		want := waiting[0]
		waiting = waiting[1:]
		if first := *q.first(); first.node != want.node {
			t.Fatalf("event %d is first, want %d", first.node, want.node)
		}
		if got := q.pop(); got.node != want.node || got.at != want.at || q.len() != len(waiting) {
			t.Fatalf("got event %d at %v and %d are left, want %d at %v and %d",
				got.node, got.at, q.len(), want.node, want.at, len(waiting))
		}
	}
}
