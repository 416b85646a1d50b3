package pfsync

import "testing"

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
