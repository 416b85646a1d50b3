//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A distribution is the middle, the end and the worst of some values.
type distribution struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// distribute sorts values into a distribution. A percentile is the smallest value that
// so many are not above; of a few, the 99th is the largest.
func distribute(values []float64) distribution {
	if len(values) == 0 {
		return distribution{}
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(q float64) float64 {
		return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
	}
	return distribution{at(0.5), at(0.99), sorted[len(sorted)-1]}
}

// String is the three of them.
func (d distribution) String() string {
	return fmt.Sprintf("%s / %s / %s", number(d.P50), number(d.P99), number(d.Max))
}

// number has no more digits than anybody reads.
func number(v float64) string {
	if v == math.Trunc(v) || v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// milliseconds is d with one decimal.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}

// A summary is what several runs of a scenario with a pair come down to.
type summary struct {
	Scenario string `json:"scenario"`
	Pair     string `json:"pair"`
	Runs     int    `json:"runs"`
	Excused  int    `json:"excused"` // this machine stood still: not counted in what follows
	Probes   int    `json:"probes"`
	Lost     int    `json:"lost"`

	LostPerRun distribution              `json:"lost_per_run"`
	GapMS      distribution              `json:"gap_ms"` // the longest in each run
	Sessions   map[string]sessionSummary `json:"sessions"`
	Mappings   int                       `json:"mappings_kept"`
	BothMS     map[string]distribution   `json:"two_owners_ms"` // by segment
	Error      string                    `json:"error,omitempty"`
	OK         bool                      `json:"ok"`
	Verdict    string                    `json:"verdict"`

	scenario *scenario
	pair     *pair
	records  []*record
}

// A sessionSummary is what became of one kind of session.
type sessionSummary struct {
	Survived int          `json:"survived"`
	GapMS    distribution `json:"gap_ms"` // of those that survived; 0: less than 50 ms
}

// summarise adds up. The error is of the run after the last record.
func summarise(s *scenario, p *pair, records []*record, err error, t timers) *summary {
	m := &summary{
		Scenario: s.name, Pair: p.name, scenario: s, pair: p, records: records,
		Sessions: make(map[string]sessionSummary), BothMS: make(map[string]distribution),
	}
	if err != nil {
		m.Error = err.Error()
	}
	var lost, gaps []float64
	both, quiet := make(map[string][]float64), make(map[string][]float64)
	survived := make(map[string]int)
	for _, r := range records {
		if r.excused() {
			m.Excused++
			continue
		}
		m.Runs++
		m.Probes, m.Lost = m.Probes+r.loss.sent, m.Lost+r.loss.lost
		lost, gaps = append(lost, float64(r.loss.lost)), append(gaps, milliseconds(r.loss.gap))
		for segment, d := range r.both {
			both[segment] = append(both[segment], milliseconds(d))
		}
		if len(r.moved) == 0 {
			m.Mappings++
		}
		for _, q := range r.sessions {
			if q.failed == nil {
				survived[q.name]++
				quiet[q.name] = append(quiet[q.name], milliseconds(q.gap))
			} else {
				survived[q.name] += 0 // it was there
			}
		}
	}
	m.LostPerRun, m.GapMS = distribute(lost), distribute(gaps)
	for segment, d := range both {
		m.BothMS[segment] = distribute(d)
	}
	for name, n := range survived {
		m.Sessions[name] = sessionSummary{n, distribute(quiet[name])}
	}
	m.judge(t)
	return m
}
