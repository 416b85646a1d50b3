package demote

import (
	"slices"
	"sync"
)

// A call is a function to be called after a change.
type call struct {
	fn      func()
	queued  bool
	stopped bool
}

// A queue holds the calls that are due. The mutex of its owner guards it.
type queue struct {
	calls []*call
	busy  bool // somebody is in deliver
}

// add makes cs due. A call that is due already stays where it is: it will see
// this change as well.
func (q *queue) add(cs ...*call) {
	for _, c := range cs {
		if !c.queued {
			c.queued = true
			q.calls = append(q.calls, c)
		}
	}
}

// deliver is called with mu locked, and returns with it unlocked. It makes the
// calls that are due, and those that become due meanwhile, unless a deliver is
// going on already, perhaps further up this very stack: then that one does.
// A function that panics loses none of the calls behind it; the next change
// delivers them.
func (q *queue) deliver(mu *sync.Mutex) {
	defer mu.Unlock()
	if q.busy {
		return
	}
	q.busy = true
	defer func() { q.busy = false }()
	for len(q.calls) > 0 {
		c := q.calls[0]
		q.calls = q.calls[1:]
		c.queued = false
		if !c.stopped {
			unlocked(mu, c.fn)
		}
	}
	q.calls = nil
}

// unlocked calls fn with mu unlocked for as long as it takes.
func unlocked(mu *sync.Mutex, fn func()) {
	mu.Unlock()
	defer mu.Lock()
	fn()
}

// watch adds fn to list, which mu guards.
func watch(mu *sync.Mutex, list *[]*call, fn func()) (stop func()) {
	c := &call{fn: fn}
	mu.Lock()
	defer mu.Unlock()
	*list = append(*list, c)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		c.stopped = true
		if i := slices.Index(*list, c); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
		}
	}
}
