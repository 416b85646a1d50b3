package main

import (
	"maps"
	"slices"
	"time"
)

// A kind is what an event is about.
type kind string

// The kinds, and the fields of [event] that go with them.
const (
	kindAction    kind = "action"     // Text: somebody did something; Node, unless to the network
	kindState     kind = "state"      // From, To, Reason
	kindBowOut    kind = "bow-out"    // Address: kept until a successor is heard
	kindAcquire   kind = "acquire"    // Address
	kindRelease   kind = "release"    // Address
	kindDemotion  kind = "demotion"   // Demotion: the counter, Reason: what changed it
	kindEnable    kind = "enable"     // Address: a hook has enabled the interface
	kindDisable   kind = "disable"    // Address: and disabled it
	kindNeighbour kind = "neighbour"  // Address, MAC, At: what a host believes from now on
	kindBulkStart kind = "bulk-start" // pfsync asks its peer for the whole table
	kindBulkEnd   kind = "bulk-end"   // States: that are in the table now, Reason: why it asks no more
	kindSession   kind = "session"    // Text: what became of the TCP session
	kindLost      kind = "lost"       // the client: this probe gets no answer
	kindBack      kind = "back"       // the client: this one does again; Lost, GapMS
)

// An event is a line of the timeline.
type event struct {
	Time      time.Time `json:"time"`
	Scenario  string    `json:"scenario"`
	Kind      kind      `json:"event"`
	Node      string    `json:"node,omitempty"`
	Interface string    `json:"interface,omitempty"`
	VHID      uint8     `json:"vhid,omitempty"`
	From      string    `json:"from,omitempty"`
	To        string    `json:"to,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Text      string    `json:"text,omitempty"`
	Address   string    `json:"address,omitempty"`
	MAC       string    `json:"mac,omitempty"`
	At        string    `json:"at,omitempty"`
	Demotion  *int      `json:"demotion,omitempty"`
	States    *int      `json:"states,omitempty"`
	Lost      int       `json:"lost,omitempty"`   // probes since the event before
	GapMS     float64   `json:"gap_ms,omitempty"` // between the answers around them
}

// A record is everything about a run that anybody wants to see.
type record struct {
	scenario *scenario
	seed     uint64
	end      time.Time
	events   []event // in order
	probes   []probe
	lanes    []lane
	verdict  verdict
}

// A verdict is what it comes down to.
type verdict struct {
	Scenario     string  `json:"scenario"`
	Seed         uint64  `json:"seed"`
	Probes       int     `json:"probes"`
	Lost         int     `json:"lost"`
	MaxGapMS     float64 `json:"max_gap_ms"`
	SessionAlive bool    `json:"session_alive"` // it was never reset, and went on until the end
	StatesEqual  bool    `json:"states_equal"`  // on both firewalls, once all was quiet
	TwoMastersMS float64 `json:"two_masters_ms"`
}

// newRecord draws the conclusions of a run that ended at end.
func newRecord(s *scenario, seed uint64, w *world, end time.Time) *record {
	r := &record{scenario: s, seed: seed, end: end, probes: w.client.probes}
	r.events = append(w.events, outages(r.probes)...)
	slices.SortStableFunc(r.events, func(a, b event) int { return a.Time.Compare(b.Time) })
	for i := range r.events {
		r.events[i].Scenario = s.name
	}
	r.lanes = newLanes(w)
	for i := range r.lanes {
		r.lanes[i].fill(r.events, end)
	}
	r.verdict = verdict{
		Scenario: s.name, Seed: seed,
		Probes: len(r.probes), Lost: lost(r.probes),
		MaxGapMS:     milliseconds(longestGap(r.probes)),
		SessionAlive: w.client.stream.alive(w.client.until) && w.server.stream.alive(w.client.until),
		StatesEqual:  maps.Equal(w.fw1.states.shared(end), w.fw2.states.shared(end)),
		TwoMastersMS: milliseconds(total(twoMasters(r.lanes))),
	}
	return r
}

// milliseconds is d with one decimal.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)/(100*time.Microsecond)) / 10
}

func lost(probes []probe) int {
	n := 0
	for _, p := range probes {
		if p.answered.IsZero() {
			n++
		}
	}
	return n
}

// longestGap is the longest time without an answer, from the first probe to the
// last answer or, if the last probe got none, to that.
func longestGap(probes []probe) time.Duration {
	if len(probes) == 0 {
		return 0
	}
	times := []time.Time{probes[0].sent}
	if last := probes[len(probes)-1]; last.answered.IsZero() {
		times = append(times, last.sent)
	}
	for _, p := range probes {
		if !p.answered.IsZero() {
			times = append(times, p.answered)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	var gap time.Duration
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i].Sub(times[i-1]))
	}
	return gap
}

// outages are the events of a client: when its probes began to get lost, and
// when the first got through again.
func outages(probes []probe) []event {
	var events []event
	var missing int
	var last time.Time // answer
	for _, p := range probes {
		switch {
		case p.answered.IsZero():
			if missing == 0 {
				events = append(events, event{Time: p.sent, Kind: kindLost, Node: "client"})
			}
			missing++
			continue
		case missing > 0:
			back := event{Time: p.answered, Kind: kindBack, Node: "client", Lost: missing}
			if !last.IsZero() {
				back.GapMS = milliseconds(p.answered.Sub(last))
			}
			events = append(events, back)
			missing = 0
		}
		last = p.answered
	}
	return events
}
