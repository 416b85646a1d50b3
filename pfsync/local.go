package pfsync

import "sync"

// localLimit is the number of changes of the embedder's that may wait for the node.
const localLimit = 1 << 16

// smallSet is how many elements a set may have had to be used again.
const smallSet = 1 << 10

// A localEvent is a change that the embedder has made.
type localEvent struct {
	kind    EventKind
	proto   uint8
	expired bool // EventDelete
	id      StateID
	ifName  Name
}

// A localQueue takes changes from any goroutine to that of Run. Whoever adds to a
// full one waits; while Run does not run, nothing is taken.
type localQueue struct {
	wake chan struct{}

	mu     sync.Mutex
	room   sync.Cond
	opened bool
	events []localEvent
	spare  []localEvent

	// The states that were removed for good, of events and of those that were taken.
	removed, taken map[StateID]struct{}
}

func (q *localQueue) init() {
	q.wake = make(chan struct{}, 1)
	q.room.L = &q.mu
	q.removed, q.taken = make(map[StateID]struct{}), make(map[StateID]struct{})
}

func (q *localQueue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.opened = true
}

// close lets everybody go who waits.
func (q *localQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.opened = false
	q.room.Broadcast()
}

func (q *localQueue) add(ev localEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.opened && len(q.events) == localLimit {
		q.room.Wait()
	}
	if !q.opened {
		return
	}
	q.events = append(q.events, ev)
	switch {
	case ev.kind == EventDelete && !ev.expired:
		q.removed[ev.id] = struct{}{}
	case ev.kind == EventInsert && len(q.removed) > 0:
		delete(q.removed, ev.id)
	}
	if len(q.events) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take is everything that waits. It is valid until the next call.
func (q *localQueue) take() []localEvent {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events, q.spare = q.spare[:0], q.events
	if len(q.taken) > smallSet {
		q.taken = make(map[StateID]struct{}) // to clear a large one would take long, for ever
	}
	clear(q.taken)
	q.removed, q.taken = q.taken, q.removed
	q.room.Broadcast()
	return q.spare
}

// removing reports whether the embedder has removed a state, and the node may not have
// seen to that yet: it is not to be taken from a peer that has not heard of it.
func (q *localQueue) removing(id StateID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, waits := q.removed[id]
	_, now := q.taken[id]
	return waits || now
}

// Inserted tells the node that a state was added to the table. Before Run and
// after it, this and the next four do nothing: peers learn of what is in the
// table by bulk updates. A node that is far behind makes them wait: whoever calls
// them must hold no lock that a method of the Store takes, and must not be a
// function that the node calls, as [NodeConfig] and [Config] have some.
func (n *Node) Inserted(id StateID) { n.local.add(localEvent{kind: EventInsert, id: id}) }

// Updated tells the node that a state has changed, as by each packet that passes.
// Proto is its IP protocol.
func (n *Node) Updated(id StateID, proto uint8) {
	n.local.add(localEvent{kind: EventUpdate, id: id, proto: proto})
}

// Deleted tells the node that a state was removed from the table, for good: a peer
// that has missed it and sends the state again is told once more.
func (n *Node) Deleted(id StateID) { n.local.add(localEvent{kind: EventDelete, id: id}) }

// Expired tells the node that a state was removed from the table because nothing
// was heard of it for too long. The peers are told, but one where it lives may
// bring it back.
func (n *Node) Expired(id StateID) { n.local.add(localEvent{kind: EventDelete, expired: true, id: id}) }

// Cleared tells the node that all states of its own were removed from the table:
// those on one interface, or all if ifname is empty.
func (n *Node) Cleared(ifname Name) { n.local.add(localEvent{kind: EventClear, ifName: ifname}) }
