package carptest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// A Journal is what happened, in order. The zero Journal is ready to use.
type Journal struct {
	mu      sync.Mutex
	entries []Entry
}

// An Entry is a line of a [Journal].
type Entry struct {
	At   time.Time
	Who  string
	What string
}

// String is "WHO WHAT".
func (e Entry) String() string { return e.Who + " " + e.What }

// Add adds a line.
func (j *Journal) Add(who, what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, Entry{time.Now(), who, what})
}

// Packet adds a packet; it is for [Segment.Tap]. An advert is "advert
// BASE/SKEW", with "demote N" if it has a demotion.
func (j *Journal) Packet(r Record) {
	h := r.Header()
	what := fmt.Sprintf("advert %d/%d", h.AdvBase, h.AdvSkew)
	if h.Demote != 0 {
		what += fmt.Sprintf(" demote %d", h.Demote)
	}
	if h.VHID == 0 {
		what = "no advert"
	}
	j.Add(r.From, what)
}

// Hooks are hooks for the node called who: changes of state are added as
// "FROM -> TO (reason)", dropped packets as "dropped: reason".
func (j *Journal) Hooks(who string) carp.Hooks {
	return carp.Hooks{
		StateChanged: func(c carp.Change) {
			j.Add(who, fmt.Sprintf("%v -> %v (%v)", c.From, c.To, c.Reason))
		},
		PacketDropped: func(_ carp.Packet, err error) { j.Add(who, "dropped: "+err.Error()) },
	}
}

// Entries is a copy of all lines.
func (j *Journal) Entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// Take is Entries as strings, and empties the journal.
func (j *Journal) Take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for _, e := range j.entries {
		lines = append(lines, e.String())
	}
	j.entries = nil
	return lines
}
