package pfsync

import (
	"slices"
	"testing"
	"testing/synctest"
)

// TestRemoving: what the embedder has removed is known from then on until the node has
// seen to it, unless it is back.
func TestRemoving(t *testing.T) {
	var q localQueue
	q.init()
	q.open()
	gone, expired, back := StateID{1, 1}, StateID{2, 1}, StateID{3, 1}
	q.add(localEvent{kind: EventDelete, id: gone})
	q.add(localEvent{kind: EventDelete, id: expired, expired: true})
	q.add(localEvent{kind: EventDelete, id: back})
	q.add(localEvent{kind: EventInsert, id: back})
	for _, when := range []string{"before", "while"} {
		if !q.removing(gone) || q.removing(expired) || q.removing(back) {
			t.Errorf("%s the node sees to it: removed %v, expired %v, back %v", when, q.removing(gone), q.removing(expired), q.removing(back))
		}
		q.take()
	}
	if q.removing(gone) {
		t.Error("known for ever")
	}
}

// TestLocalQueueWaits: whoever adds to a full queue waits until there is room, or the
// queue is closed; and the memory of a burst is given back.
func TestLocalQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q localQueue
		q.init()
		q.open()
		const n = 2*localLimit + 10
		added := 0
		add := func(n int) {
			for i := range n {
				q.add(localEvent{kind: EventUpdate, id: StateID{uint64(i), 1}})
				added++
			}
		}
		go add(n)
		next := uint64(0)
		for _, want := range []int{localLimit, localLimit, 10, 0} {
			synctest.Wait()
			if q.mu.Lock(); q.n != want || added != int(next)+want {
				t.Fatalf("%d wait and %d were added, want %d to wait", q.n, added, want)
			}
			q.mu.Unlock()
			for _, events := range q.take() {
				if len(events) > localBlock {
					t.Fatalf("%d changes for one step", len(events))
				}
				for _, ev := range events {
					if ev.id.ID != next {
						t.Fatalf("change %d comes where %d is to", ev.id.ID, next)
					}
					next++
				}
			}
		}
		kept := len(q.spare)
		for _, b := range slices.Concat(q.blocks[:cap(q.blocks)], q.last[:cap(q.last)]) {
			kept += cap(b)
		}
		if kept > localBlock {
			t.Errorf("room for %d changes is kept", kept)
		}
		go add(n)
		synctest.Wait()
		q.close()
		synctest.Wait()
		if added != n+n {
			t.Error("a closed queue makes wait")
		}
	})
}
