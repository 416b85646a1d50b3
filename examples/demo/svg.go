package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/timeline"
)

// drawSVG is the timelines of all records, one below the other.
func drawSVG(records []*record) []byte {
	p := timeline.Picture{
		Title: "CARP and pfsync failover", Head: "CARP and pfsync failover on a virtual clock",
		Note:   fmt.Sprintf("seed %d", records[0].seed),
		Legend: legend(records),
	}
	for _, r := range records {
		p.Panels = append(p.Panels, r.panel())
	}
	return p.SVG()
}

// legend explains the colours that are in use.
func legend(records []*record) []timeline.Item {
	items := []timeline.Item{{Class: "MASTER", Words: "MASTER"}, {Class: "BACKUP", Words: "BACKUP"}, {Class: "INIT", Words: "INIT"}, {Class: stateOff, Words: "power off"}}
	for _, r := range records {
		if r.scenario.singleWAN {
			items = append(items, timeline.Item{Class: stateEnabled, Words: "WAN enabled by the hook"})
		}
	}
	return append(items,
		timeline.Item{Class: stateSynced, Words: "states synced"},
		timeline.Item{Class: stateBulk, Words: "bulk update"},
		timeline.Item{Class: "answered", Words: "probe answered"},
		timeline.Item{Class: "lost", Words: "probe lost"},
		timeline.Item{Class: "clash", Words: "two masters"})
}

// panel is the picture of a record.
func (r *record) panel() timeline.Panel {
	p := timeline.Panel{
		Name: r.scenario.name, Title: r.scenario.title, Verdict: r.verdict.String() + "; " + r.verdict.connections(),
		From: epoch, To: r.end, Tick: 5 * time.Second, LabelGap: 3 * time.Second, Every: probeInterval,
		Sides: []timeline.Side{side(r.lanes[:2]), side(r.lanes[2:4]), side(r.lanes[4:])},
	}
	for _, q := range r.probes {
		p.Probes = append(p.Probes, timeline.Probe{Sent: q.sent, Lost: q.answered.IsZero()})
	}
	for _, e := range r.events {
		if e.Kind == kindAction {
			p.Marks = append(p.Marks, timeline.Mark{At: e.Time, Text: strings.TrimSpace(e.Node + " " + e.Text)})
		}
	}
	return p
}

// side is the lanes of both firewalls on one side, or of their pfsync.
func side(lanes []lane) timeline.Side {
	s := timeline.Side{Clashes: twoMasters(lanes)}
	for _, l := range lanes {
		what := fmt.Sprintf("%s, vhid %d", strings.ToUpper(l.iface), l.vhid)
		switch {
		case l.iface == "sync":
			what = "pfsync"
		case l.vhid == 0:
			what = "WAN, hook"
		}
		s.Lanes = append(s.Lanes, timeline.Lane{Node: l.node, What: what, Spans: l.spans})
	}
	return s
}
