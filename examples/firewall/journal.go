package main

import (
	"slices"
	"sync"
	"time"
)

// An entry is something that happened.
type entry struct {
	At   time.Time
	Kind string // "state", "demotion", "command", "hook", "wan" or "note"
	Text string
}

// String is the entry as "why" shows it.
func (e entry) String() string {
	return e.At.Format("2006-01-02 15:04:05.000 ") + e.Kind + ": " + e.Text
}

// journalSize is how many entries are kept.
const journalSize = 1000

// A journal keeps what happened last, so that an operator can ask why things are
// as they are. It may be called from hooks: it waits for nothing.
type journal struct {
	mu      sync.Mutex
	entries []entry
	changed chan struct{} // closed at the next entry
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) add(kind, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == journalSize {
		j.entries = slices.Delete(j.entries, 0, journalSize/10)
	}
	j.entries = append(j.entries, entry{time.Now(), kind, text})
	close(j.changed)
	j.changed = make(chan struct{})
}

// last are the last n entries, the oldest first.
func (j *journal) last(n int) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries[max(len(j.entries)-n, 0):])
}

// next is closed when something more has happened.
func (j *journal) next() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}
