package pfsync

import (
	"sync"
	"sync/atomic"
)

// An Observation is a change of the table as a [Watcher] sees it.
type Observation struct {
	Op    ChangeOp
	Local bool  // made by this node's embedder, not by a peer
	State State // as it was then; of a state that was removed only the identity
}

// A Watcher gets all changes of a table.
type Watcher struct {
	// C delivers the changes. It is closed by Stop, and when the node ends.
	C <-chan Observation

	c    chan Observation
	once sync.Once
	lost atomic.Uint64
	node *Node
}

// Watch begins to watch the table: OpenBSD's tcpdump on pfsync0. Who does not
// keep up loses changes once buffer of them wait; the node does not wait.
func (n *Node) Watch(buffer int) *Watcher {
	w := &Watcher{c: make(chan Observation, max(buffer, 1)), node: n}
	w.C = w.c
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.done:
		w.close()
	default:
		n.watchers = append(n.watchers, w)
		n.watched.Store(true)
	}
	return w
}

// Lost is the number of changes that found the buffer full.
func (w *Watcher) Lost() uint64 { return w.lost.Load() }

// Stop ends the watch.
func (w *Watcher) Stop() {
	n := w.node
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, x := range n.watchers {
		if x == w {
			n.watchers = append(n.watchers[:i:i], n.watchers[i+1:]...)
		}
	}
	n.watched.Store(len(n.watchers) > 0)
	w.close()
}

func (w *Watcher) close() { w.once.Do(func() { close(w.c) }) }

// tell tells all watchers.
func (n *Node) tell(o *Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.watchers {
		select {
		case w.c <- *o:
		default:
			w.lost.Add(1)
		}
	}
}

// endWatchers closes the channels of those that are left.
func (n *Node) endWatchers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.watchers {
		w.close()
	}
	n.watchers = nil
}
