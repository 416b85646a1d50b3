package main

import (
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/timeline"
)

// What a virtual host can be at a time: its state, or one of these two.
const (
	stateOff     = "OFF"     // the node has no power
	stateLeaving = "LEAVING" // MASTER, but has bowed out
)

// A lane is the history of one virtual host, or of pfsync, without gaps.
type lane struct {
	node, iface string
	vhid        uint8 // 0: none; the lane is of pfsync, or of an interface that a hook enables
	spans       []timeline.Span
}

// newLanes are the lanes of a world, still empty: those of one side together.
func newLanes(w *world) []lane {
	var lanes []lane
	for _, p := range []*port{&w.fw1.lan, &w.fw2.lan, &w.fw1.wan, &w.fw2.wan} {
		lanes = append(lanes, lane{node: p.fw.name, iface: p.name, vhid: p.vhid})
	}
	for _, fw := range []*firewall{w.fw1, w.fw2} {
		lanes = append(lanes, lane{node: fw.name, iface: "sync"})
	}
	return lanes
}

// The states of a lane without a virtual host.
const (
	stateEnabled  = "ENABLED"
	stateDisabled = "DISABLED"
	stateBulk     = "BULK"   // pfsync asks for the whole table
	stateSynced   = "SYNCED" // and has it
)

// fill makes the spans of a lane, from the events of a run that ended at end.
func (l *lane) fill(events []event, end time.Time) {
	l.enter(epoch, stateOff, "")
	for _, e := range events {
		if e.Node == l.node {
			l.add(e)
		}
	}
	l.spans[len(l.spans)-1].To = end
}

func (l *lane) add(e event) {
	ours := e.Interface == l.iface
	switch e.Kind {
	case kindAction:
		switch {
		case e.Text == "power off":
			l.enter(e.Time, stateOff, e.Text)
		case e.Text == "power on" && l.vhid == 0:
			l.enter(e.Time, stateDisabled, e.Text)
		case e.Text == "power on":
			l.enter(e.Time, carp.Init.String(), e.Text)
		}
	case kindState:
		if ours {
			l.enter(e.Time, e.To, e.Reason)
		}
	case kindBowOut:
		if ours {
			l.enter(e.Time, stateLeaving, "bowed out")
		}
	case kindEnable:
		if ours {
			l.enter(e.Time, stateEnabled, "by the hook")
		}
	case kindDisable:
		if ours {
			l.enter(e.Time, stateDisabled, "by the hook")
		}
	case kindBulkStart:
		if ours {
			l.enter(e.Time, stateBulk, e.words())
		}
	case kindBulkEnd:
		if ours {
			l.enter(e.Time, stateSynced, e.words())
		}
	}
}

// enter ends the last span and begins another. Spans that take no time go.
func (l *lane) enter(at time.Time, state, reason string) {
	if n := len(l.spans); n > 0 {
		l.spans[n-1].To = at
		if !at.After(l.spans[n-1].From) {
			l.spans = l.spans[:n-1]
		}
	}
	l.spans = append(l.spans, timeline.Span{From: at, State: state, Reason: reason})
}

// twoMasters are the times during which both nodes are master of a virtual host
// and none has bowed out, in order and apart from each other.
func twoMasters(lanes []lane) []timeline.Span {
	var all []timeline.Span
	for i, a := range lanes {
		for _, b := range lanes[i+1:] {
			if a.vhid != 0 && a.vhid == b.vhid {
				all = append(all, clashes(&a, &b)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b timeline.Span) int { return a.From.Compare(b.From) })
	var merged []timeline.Span
	for _, s := range all {
		if n := len(merged); n > 0 && !s.From.After(merged[n-1].To) {
			merged[n-1].To = later(merged[n-1].To, s.To)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// clashes are the times during which both a and b are MASTER.
func clashes(a, b *lane) []timeline.Span {
	var out []timeline.Span
	master := carp.Master.String()
	for _, s := range a.spans {
		for _, t := range b.spans {
			c := timeline.Span{From: later(s.From, t.From), To: s.To}
			if t.To.Before(c.To) {
				c.To = t.To
			}
			if s.State == master && t.State == master && c.From.Before(c.To) {
				out = append(out, c)
			}
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func total(spans []timeline.Span) time.Duration {
	var d time.Duration
	for _, s := range spans {
		d += s.To.Sub(s.From)
	}
	return d
}
