package main

import (
	"fmt"
	"strings"
	"time"
)

// The measures of the picture, in pixels.
const (
	pictureWidth = 1240.0
	margin       = 28.0
	plotLeft     = 178.0
	plotWidth    = pictureWidth - plotLeft - margin
	headHeight   = 92.0 // name of the picture, legend
	panelHeight  = 396.0
	laneHeight   = 24.0
	laneStep     = 30.0
	sideStep     = 14.0 // more between LAN, WAN and pfsync, and before the client
)

// drawSVG is the timelines of all records, one below the other.
func drawSVG(records []*record) []byte {
	c := newCanvas(pictureWidth, headHeight+float64(len(records))*panelHeight, "CARP and pfsync failover")
	c.text(margin, 40, "start", "title", "CARP and pfsync failover on a virtual clock")
	c.text(pictureWidth-margin, 40, "end", "quiet", fmt.Sprintf("seed %d", records[0].seed))
	drawLegend(c, records)
	for i, r := range records {
		p := panel{canvas: c, r: r, top: headHeight + float64(i)*panelHeight}
		p.draw()
	}
	return c.close()
}

// drawLegend explains the colours that are in use.
func drawLegend(c *canvas, records []*record) {
	x := margin
	item := func(class, words string) {
		c.rect(x, 60, 18, 13, 3, class, "")
		c.text(x+25, 71, "start", "small", words)
		x += 25 + 7*float64(len(words)) + 16
	}
	item("MASTER", "MASTER")
	item("BACKUP", "BACKUP")
	item("INIT", "INIT")
	item("OFF", "power off")
	for _, r := range records {
		if r.scenario.singleWAN {
			item("ENABLED", "WAN enabled by the hook")
		}
	}
	item(stateSynced, "states synced")
	item(stateBulk, "bulk update")
	item("answered", "probe answered")
	item("lost", "probe lost")
	item("clash", "two masters")
}

// A panel is the picture of one record.
type panel struct {
	*canvas
	r   *record
	top float64
}

func (p *panel) draw() {
	s := p.r.scenario
	p.line(margin, p.top, pictureWidth-margin, p.top, "frame")
	p.text(margin, p.top+32, "start", "title", s.name)
	p.text(plotLeft, p.top+31, "start", "quiet", s.title)
	p.text(margin, p.top+panelHeight-22, "start", "name", "verdict")
	p.text(plotLeft, p.top+panelHeight-22, "start", "", p.r.verdict.String()+"; "+p.r.verdict.connections())

	first := p.top + 78
	wan := first + 2*laneStep + sideStep
	sync := wan + 2*laneStep + sideStep
	probes := sync + 2*laneStep + sideStep
	bottom := probes + laneHeight + 6
	p.drawAxis(first-8, bottom)
	p.drawSide(p.r.lanes[:2], first)
	p.drawSide(p.r.lanes[2:4], wan)
	p.drawSide(p.r.lanes[4:], sync)
	p.drawProbes(probes)
	p.drawActions(first-8, bottom)
}

// x is where a time is.
func (p *panel) x(t time.Time) float64 {
	return plotLeft + plotWidth*float64(since(t))/float64(since(p.r.end))
}

func (p *panel) drawAxis(top, bottom float64) {
	for t := epoch; !t.After(p.r.end); t = t.Add(5 * time.Second) {
		p.line(p.x(t), top, p.x(t), bottom, "grid")
		p.text(p.x(t), bottom+17, "middle", "small quiet", fmt.Sprintf("%.0f s", since(t).Seconds()))
	}
}

// shortClash is too short to be seen: masters that take over from each other.
const shortClash = 20 * time.Millisecond

// drawSide draws the lanes of both firewalls on one side, or of their pfsync, and a
// frame around them while both are master.
func (p *panel) drawSide(lanes []lane, y float64) {
	for i := range lanes {
		p.drawLane(&lanes[i], y+float64(i)*laneStep)
	}
	for _, s := range twoMasters(lanes) {
		if s.to.Sub(s.from) >= shortClash {
			p.rect(p.x(s.from), y-4, p.x(s.to)-p.x(s.from), laneStep+laneHeight+8, 3, "clash", "two masters, "+times(s))
		}
	}
}

func (p *panel) drawLane(l *lane, y float64) {
	p.text(margin, y+17, "start", "name", l.node)
	what := fmt.Sprintf("%s, vhid %d", strings.ToUpper(l.iface), l.vhid)
	switch {
	case l.iface == "sync":
		what = "pfsync"
	case l.vhid == 0:
		what = "WAN, hook"
	}
	p.text(margin+38, y+17, "start", "quiet", what)
	for _, s := range l.spans {
		x, w := p.x(s.from), max(p.x(s.to)-p.x(s.from), 0.5)
		p.rect(x, y, w, laneHeight, 3, s.state, s.words())
		if letters := float64(len(s.state)); w > 8.5*letters+20 {
			p.text(x+12, y+16, "start", insideClass(s.state), s.state)
		}
	}
}

// insideClass is how to write on a span.
func insideClass(state string) string {
	switch state {
	case "MASTER", stateEnabled, stateSynced:
		return "inside"
	}
	return "inside dim"
}

func (s *span) words() string {
	w := s.state + ", " + times(*s)
	if s.reason != "" {
		w += ": " + s.reason
	}
	return w
}

// times says when a span is.
func times(s span) string {
	return fmt.Sprintf("%.3f to %.3f s", since(s.from).Seconds(), since(s.to).Seconds())
}

// drawProbes draws runs of probes with the same fate: thousands of single ones
// would be thinner than a pixel. Those that were lost stand out.
func (p *panel) drawProbes(y float64) {
	p.text(margin, y+17, "start", "name", "client")
	runs := probeRuns(p.r.probes)
	for _, r := range runs {
		x, w := p.x(r.from), p.x(r.to)-p.x(r.from)
		if !r.lost {
			p.rect(x, y+laneHeight/2-3, w, 6, 0, "answered", "")
		}
	}
	for _, r := range runs {
		if r.lost {
			x, w := p.x(r.from), max(p.x(r.to)-p.x(r.from), 2)
			p.rect(x, y, w, laneHeight, 1, "lost", fmt.Sprintf("%d probes lost, %s", r.count, times(r.span)))
		}
	}
	for _, g := range losses(runs) {
		p.text(p.x(g.to)+7, y+6, "start", "small alarm", fmt.Sprintf("%d lost", g.count))
	}
}

// A probeRun is probes in a row of which all were lost, or none.
type probeRun struct {
	span
	lost  bool
	count int
}

func probeRuns(probes []probe) []probeRun {
	var runs []probeRun
	for _, q := range probes {
		lost := q.answered.IsZero()
		if n := len(runs); n == 0 || runs[n-1].lost != lost {
			runs = append(runs, probeRun{span: span{from: q.sent}, lost: lost})
		}
		last := &runs[len(runs)-1]
		last.count++
		last.to = q.sent.Add(probeInterval)
	}
	return runs
}

// labelGap is how far apart two labels must be to be readable.
const labelGap = 3 * time.Second

// losses are the runs of lost probes, those close to each other as one.
func losses(runs []probeRun) []probeRun {
	var out []probeRun
	for _, r := range runs {
		if !r.lost {
			continue
		}
		if n := len(out); n > 0 && r.from.Sub(out[n-1].to) < labelGap {
			out[n-1].to, out[n-1].count = r.to, out[n-1].count+r.count
			continue
		}
		out = append(out, r)
	}
	return out
}

// drawActions marks what somebody did. Labels that would cover each other
// become one.
func (p *panel) drawActions(top, bottom float64) {
	var at time.Time // of the last label
	var label string
	write := func() {
		if label != "" {
			p.text(p.x(at), top-6, "start", "small", label)
		}
	}
	for _, e := range p.r.events {
		if e.Kind != kindAction {
			continue
		}
		p.line(p.x(e.Time), top, p.x(e.Time), bottom, "mark")
		words := strings.TrimSpace(e.Node + " " + e.Text)
		if label != "" && e.Time.Sub(at) < labelGap {
			label += ", " + words
			continue
		}
		write()
		at, label = e.Time, words
	}
	write()
}
