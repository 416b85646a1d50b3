//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/timeline"
)

// pictureStyle has the states that are only ours.
const pictureStyle = `
.FROZEN { fill: #9fd3e6; }
.KEPT { fill: #6d6bb5; }
.SILENT { fill: #f1c761; }
.LOST { fill: #d63c3c; }
.note { stroke: #445160; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  .FROZEN { fill: #2f7f99; }
  .SILENT { fill: #b98a22; }
  .LOST { fill: #f05252; }
  .note { stroke: #c3ccd6; }
}
`

// What a session is over time.
const (
	stateKept   = "KEPT"
	stateSilent = "SILENT"
	stateLost   = "LOST"
)

// draw is the timeline of the worst run of each summary.
func draw(all []*summary) []byte {
	p := timeline.Picture{
		Title: "Failover of two firewalls", Head: "Failover of two firewalls, seen from outside", Style: pictureStyle,
		Note: time.Now().Format("2 January 2006 15:04"),
		Legend: []timeline.Item{
			{Class: "MASTER", Words: "answers for the address"}, {Class: "BACKUP", Words: "does not"},
			{Class: stateOff, Words: "off"}, {Class: stateFrozen, Words: "frozen"},
			{Class: stateKept, Words: "session"}, {Class: stateSilent, Words: "silent"}, {Class: stateLost, Words: "ended"},
			{Class: "answered", Words: "probe answered"}, {Class: "lost", Words: "lost"}, {Class: "clash", Words: "two owners"},
		},
	}
	for _, m := range all {
		if r := m.worst(); r != nil {
			p.Panels = append(p.Panels, r.panel())
		}
	}
	return p.SVG()
}

// worst is the run that has lost the most, or nil if there is none.
func (m *summary) worst() *record {
	var worst *record
	for _, r := range m.records {
		if worst == nil || worst.excused() || !r.excused() && r.loss.lost > worst.loss.lost {
			worst = r
		}
	}
	return worst
}

// panel is the picture of a run.
func (r *record) panel() timeline.Panel {
	length := r.to.Sub(r.from)
	p := timeline.Panel{
		Name: r.scenario.name, Title: r.pair.name + " — " + r.scenario.title, Verdict: r.String(),
		From: r.from, To: r.to, Tick: tick(length), LabelGap: length / 9, Every: probeInterval,
		Sides: []timeline.Side{r.side(lan), r.side(wan), {Lanes: []timeline.Lane{r.hookLane("fw1"), r.hookLane("fw2")}}},
	}
	var sessions timeline.Side
	for _, s := range r.sessions {
		sessions.Lanes = append(sessions.Lanes, r.sessionLane(s))
	}
	if len(sessions.Lanes) > 0 {
		p.Sides = append(p.Sides, sessions)
	}
	for _, s := range r.shots {
		p.Probes = append(p.Probes, timeline.Probe{Sent: s.at, Lost: s.answered.IsZero()})
	}
	for _, m := range r.marks {
		p.Marks = append(p.Marks, timeline.Mark{At: m.At, Text: strings.TrimSpace(m.Node + " " + m.Text)})
	}
	for _, t := range r.moved {
		p.Marks = append(p.Marks, timeline.Mark{At: t, Text: "UDP mapping lost"})
	}
	slices.SortStableFunc(p.Marks, func(a, b timeline.Mark) int { return a.At.Compare(b.At) })
	return p
}

// tick is the distance of the lines of an axis.
func tick(length time.Duration) time.Duration {
	for _, t := range []time.Duration{100, 200, 500, 1000, 2000, 5000, 10000} {
		if t *= time.Millisecond; length/t <= 16 {
			return t
		}
	}
	return 30 * time.Second
}

// side is who has answered for an address.
func (r *record) side(segment string) timeline.Side {
	var s timeline.Side
	for _, node := range []string{"fw1", "fw2"} {
		s.Lanes = append(s.Lanes, r.ownerLane(node, segment))
	}
	for _, a := range r.claims[claim{"fw1", segment}] {
		for _, b := range r.claims[claim{"fw2", segment}] {
			if from, to := later(a.from, b.from), earlier(a.to, b.to); from.Before(to) {
				s.Clashes = append(s.Clashes, timeline.Span{From: from, To: to})
			}
		}
	}
	return s
}

// ownerLane is whether a firewall has answered for an address. While it is off, it is
// drawn so even if its kernel goes on answering, in the colour of who does.
func (r *record) ownerLane(node, segment string) timeline.Lane {
	l := timeline.Lane{Node: node, What: strings.ToUpper(segment) + " address"}
	at := r.from
	for _, s := range r.claims[claim{node, segment}] {
		l.Spans = append(l.Spans, r.idle(node, span{at, s.from})...)
		l.Spans = append(l.Spans, timeline.Span{From: s.from, To: s.to, State: "MASTER", Reason: "answers ARP"})
		at = s.to
	}
	if r.to.Sub(at) < blink {
		l.Spans[len(l.Spans)-1].To = r.to // the next answer is not in the record
		return l
	}
	l.Spans = append(l.Spans, r.idle(node, span{at, r.to})...)
	return l
}

// idle is what a firewall was while it did not answer.
func (r *record) idle(node string, s span) []timeline.Span {
	var out []timeline.Span
	at := s.from
	for _, d := range r.downs {
		if d.to.IsZero() {
			d.to = r.to
		}
		from, to := later(d.from, at), earlier(d.to, s.to)
		if d.node != node || !from.Before(to) {
			continue
		}
		out = append(out, timeline.Span{From: at, To: from, State: "BACKUP"}, timeline.Span{From: from, To: to, State: d.state})
		at = to
	}
	out = append(out, timeline.Span{From: at, To: s.to, State: "BACKUP"})
	return slices.DeleteFunc(out, func(s timeline.Span) bool { return !s.From.Before(s.To) })
}

// hookLane is when the hooks of a firewall were called.
func (r *record) hookLane(node string) timeline.Lane {
	l := timeline.Lane{Node: node, What: "hooks", Spans: []timeline.Span{{From: r.from, To: r.to}}}
	for _, h := range r.hooks {
		if h.node == node {
			l.Notes = append(l.Notes, timeline.Mark{At: h.at, Text: h.text})
		}
	}
	return l
}

// sessionLane is when something came back in a session.
func (r *record) sessionLane(s sessionRecord) timeline.Lane {
	l := timeline.Lane{Node: s.name, What: "     session"}
	at := r.from
	for _, q := range s.silence {
		state, from := stateSilent, later(q.from, r.from)
		if s.failed != nil && q.to.After(r.to.Add(-quietFrom)) {
			state = stateLost
		}
		if at.Before(from) {
			l.Spans = append(l.Spans, timeline.Span{From: at, To: from, State: stateKept})
		}
		at = earlier(q.to, r.to)
		l.Spans = append(l.Spans, timeline.Span{From: from, To: at, State: state, Reason: fmt.Sprintf("silent for %v", q.length().Round(time.Millisecond))})
	}
	if at.Before(r.to) {
		l.Spans = append(l.Spans, timeline.Span{From: at, To: r.to, State: stateKept})
	}
	return l
}
