package pfsync

import "sync"

// localLimit is the number of changes of the embedder's that may wait for the node.
const localLimit = 1 << 14

// localBlock is how many of them are taken in one step. The memory of what waits comes
// and goes in portions of so many, too.
const localBlock = 256

// smallSet is how many elements a set may have had to be used again.
const smallSet = 1 << 10

// A localEvent is a change that the embedder has made.
type localEvent struct {
	id      StateID
	kind    EventKind
	proto   uint8
	expired bool // EventDelete
}

// A localQueue takes changes from any goroutine to that of Run. Whoever adds to a
// full one waits; while Run does not run, nothing is taken.
type localQueue struct {
	wake chan struct{}

	mu     sync.Mutex
	room   sync.Cond
	opened bool
	n      int            // events that wait
	blocks [][]localEvent // where they are, in order
	last   [][]localEvent // those that were taken
	spare  []localEvent   // a block to be used again
	clears []Name         // the interface of each EventClear that nobody has asked for

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
	if q.admit() {
		q.append(ev)
	}
}

// addClear adds an EventClear, for all interfaces if ifname is empty.
func (q *localQueue) addClear(ifname Name) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.admit() {
		q.clears = append(q.clears, ifname)
		q.append(localEvent{kind: EventClear})
	}
}

// admit waits for room, and reports whether the queue is open. q.mu is held.
func (q *localQueue) admit() bool {
	for q.opened && q.n == localLimit {
		q.room.Wait()
	}
	return q.opened
}

// append adds an event for which there is room. q.mu is held.
func (q *localQueue) append(ev localEvent) {
	if q.n%localBlock == 0 {
		if q.spare == nil {
			q.spare = make([]localEvent, 0, localBlock)
		}
		q.blocks, q.spare = append(q.blocks, q.spare), nil
	}
	b := &q.blocks[len(q.blocks)-1]
	*b = append(*b, ev)
	q.n++
	switch {
	case ev.kind == EventDelete && !ev.expired:
		q.removed[ev.id] = struct{}{}
	case ev.kind == EventInsert && len(q.removed) > 0:
		delete(q.removed, ev.id)
	}
	if q.n == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take is everything that waits, in blocks. It is valid until the next call.
func (q *localQueue) take() [][]localEvent {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spare == nil && len(q.last) > 0 {
		q.spare = q.last[0][:0]
	}
	clear(q.last)
	q.blocks, q.last, q.n = q.last[:0], q.blocks, 0
	if len(q.taken) > smallSet {
		q.taken = make(map[StateID]struct{}) // to clear a large one would take long, for ever
	}
	clear(q.taken)
	q.removed, q.taken = q.taken, q.removed
	q.room.Broadcast()
	return q.last
}

// nextClear is the interface of the first EventClear of those taken that was not asked
// for yet.
func (q *localQueue) nextClear() Name {
	q.mu.Lock()
	defer q.mu.Unlock()
	ifname := q.clears[0]
	q.clears = q.clears[1:]
	return ifname
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
func (n *Node) Cleared(ifname Name) { n.local.addClear(ifname) }
