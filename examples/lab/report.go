//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// printText prints a table of all pairs in a scenario, and a verdict for each.
func printText(w io.Writer, s *scenario, all []*summary) error {
	fmt.Fprintf(w, "%s: %s\n\n", s.name, s.title)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "pair\truns\tprobes lost\tgap, ms\tTCP kept\tTCP gap, ms\tSSH kept\tSSH gap, ms\tUDP kept\ttwo owners, ms")
	fmt.Fprintln(t, "\t\tp50 / p99 / max\tp50 / p99 / max\t\tp50 / p99 / max\t\tp50 / p99 / max\t\tLAN, WAN: max")
	for _, m := range all {
		of := func(n int) string { return fmt.Sprintf("%d/%d", n, m.Runs) }
		session := func(name string) string {
			s, ok := m.Sessions[name]
			if !ok {
				return "-\t-"
			}
			return of(s.Survived) + "\t" + s.GapMS.String()
		}
		fmt.Fprintf(t, "%s\t%d\t%v\t%v\t%s\t%s\t%s\t%s, %s\n", m.Pair, m.Runs, m.LostPerRun, m.GapMS,
			session("TCP"), session("SSH"), of(m.Mappings), number(m.BothMS[lan].Max), number(m.BothMS[wan].Max))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, m := range all {
		if _, err := fmt.Fprintln(w, m.Verdict); err != nil {
			return err
		}
	}
	return nil
}

// stamp is RFC 3339 with all nanoseconds, so that the times line up and sort.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// A runLine is one run in JSON.
type runLine struct {
	Time     string             `json:"time"`
	Event    string             `json:"event"` // run
	Scenario string             `json:"scenario"`
	Pair     string             `json:"pair"`
	Run      int                `json:"run"`
	Excused  bool               `json:"excused"`
	Probes   int                `json:"probes"`
	Lost     int                `json:"lost"`
	GapMS    float64            `json:"gap_ms"`
	StallMS  float64            `json:"stall_ms"` // the longest time between two probes that were sent
	Mapping  bool               `json:"mapping_kept"`
	Moved    []string           `json:"mapping_lost_at,omitempty"`
	Sessions []sessionLine      `json:"sessions"`
	BothMS   map[string]float64 `json:"two_owners_ms"`
	Actions  []mark             `json:"actions"`
	Hooks    []hookLine         `json:"hooks"`
}

type sessionLine struct {
	Name  string  `json:"name"`
	Kept  bool    `json:"kept"`
	GapMS float64 `json:"gap_ms"`
	Error string  `json:"error,omitempty"`
}

type hookLine struct {
	Time string `json:"time"`
	Node string `json:"node"`
	Text string `json:"text"`
}

// line is a record for JSON.
func (r *record) line() runLine {
	l := runLine{
		Time: r.from.Format(stamp), Event: "run", Scenario: r.scenario.name, Pair: r.pair.name, Run: r.number,
		Excused: r.excused(), Probes: r.loss.sent, Lost: r.loss.lost, GapMS: milliseconds(r.loss.gap),
		StallMS: milliseconds(r.loss.stall), Mapping: len(r.moved) == 0, BothMS: make(map[string]float64), Actions: r.marks,
		Hooks: []hookLine{},
	}
	for _, s := range r.sessions {
		q := sessionLine{Name: s.name, Kept: s.failed == nil, GapMS: milliseconds(s.gap)}
		if s.failed != nil {
			q.Error = s.failed.Error()
		}
		l.Sessions = append(l.Sessions, q)
	}
	for _, t := range r.moved {
		l.Moved = append(l.Moved, t.Format(stamp))
	}
	for segment, d := range r.both {
		l.BothMS[segment] = milliseconds(d)
	}
	for _, h := range r.hooks {
		l.Hooks = append(l.Hooks, hookLine{h.at.Format(stamp), h.node, h.text})
	}
	return l
}

// String is a run for those who watch it.
func (r *record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, run %d: %d of %d probes lost, longest gap %v", r.pair.name, r.scenario.name, r.number,
		r.loss.lost, r.loss.sent, r.loss.gap.Round(100*time.Microsecond))
	for _, s := range r.sessions {
		if s.failed != nil {
			fmt.Fprintf(&b, ", %s lost (%v)", s.name, s.failed)
		} else {
			fmt.Fprintf(&b, ", %s kept (silent for %v)", s.name, s.gap.Round(time.Millisecond))
		}
	}
	if len(r.moved) > 0 {
		b.WriteString(", UDP mapping lost")
	}
	if r.excused() {
		fmt.Fprintf(&b, ": not counted, this machine stood still for %v", r.loss.stall.Round(time.Millisecond))
	}
	return b.String()
}

// printJSON prints a verdict as a line.
func printJSON(w io.Writer, m *summary) error {
	return json.NewEncoder(w).Encode(map[string]*summary{"verdict": m})
}
