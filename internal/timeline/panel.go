package timeline

import (
	"fmt"
	"time"
)

// A drawing is a panel on a canvas.
type drawing struct {
	*canvas
	*Panel
	top float64
}

func (d *drawing) draw() {
	d.line(margin, d.top, width-margin, d.top, "frame")
	d.text(margin, d.top+32, "start", "title", d.Name)
	d.text(plotLeft, d.top+31, "start", "quiet", d.Title)
	end := d.top + d.height()
	d.text(margin, end-22, "start", "name", "verdict")
	d.text(plotLeft, end-22, "start", "", d.Verdict)

	y := d.top + aboveLanes
	bottom := y + d.lanes()
	d.drawAxis(y-8, bottom)
	for _, s := range d.Sides {
		d.drawSide(s, y)
		y += float64(len(s.Lanes))*laneStep + sideStep
	}
	d.drawProbes(y)
	d.drawMarks(d.top+aboveLanes-8, bottom)
}

// since is the time since the beginning.
func (d *drawing) since(t time.Time) time.Duration { return t.Sub(d.From) }

// x is where a time is.
func (d *drawing) x(t time.Time) float64 {
	return plotLeft + plotWidth*float64(d.since(t))/float64(d.since(d.To))
}

func (d *drawing) drawAxis(top, bottom float64) {
	for t := d.From; !t.After(d.To); t = t.Add(d.Tick) {
		d.line(d.x(t), top, d.x(t), bottom, "grid")
		d.text(d.x(t), bottom+17, "middle", "small quiet", fmt.Sprintf("%g s", d.since(t).Seconds()))
	}
}

// shortClash is too short to be seen: masters that take over from each other.
const shortClash = 20 * time.Millisecond

// drawSide draws the lanes of one side, and a frame around them while they clash.
func (d *drawing) drawSide(s Side, y float64) {
	for i := range s.Lanes {
		d.drawLane(&s.Lanes[i], y+float64(i)*laneStep)
	}
	for _, c := range s.Clashes {
		if c.To.Sub(c.From) >= shortClash {
			h := float64(len(s.Lanes)-1)*laneStep + laneHeight + 8
			d.rect(d.x(c.From), y-4, d.x(c.To)-d.x(c.From), h, 3, "clash", "two masters, "+d.times(c))
		}
	}
}

func (d *drawing) drawLane(l *Lane, y float64) {
	d.text(margin, y+17, "start", "name", l.Node)
	d.text(margin+38, y+17, "start", "quiet", l.What)
	for _, s := range l.Spans {
		if s.State == "" {
			d.line(d.x(s.From), y+laneHeight/2, d.x(s.To), y+laneHeight/2, "frame")
			continue
		}
		x, w := d.x(s.From), max(d.x(s.To)-d.x(s.From), 0.5)
		d.rect(x, y, w, laneHeight, 3, s.State, d.words(s))
		if letters := float64(len(s.State)); w > 8.5*letters+20 {
			d.text(x+12, y+16, "start", insideClass(s.State), s.State)
		}
	}
	var last time.Time
	for _, n := range l.Notes {
		d.line(d.x(n.At), y+2, d.x(n.At), y+laneHeight-2, "note")
		if n.At.Sub(last) >= d.LabelGap {
			d.label(d.x(n.At), 5, y+16, "", n.Text)
			last = n.At
		}
	}
}

// textWidth is about how wide a small text is.
func textWidth(s string) float64 { return 6.4 * float64(len(s)) }

// label writes beside x, on the side where there is room.
func (d *drawing) label(x, space, y float64, class, text string) {
	if x+space+textWidth(text) > width-margin/2 {
		d.text(x-space, y, "end", "small"+class, text)
		return
	}
	d.text(x+space, y, "start", "small"+class, text)
}

// insideClass is how to write on a span.
func insideClass(state string) string {
	switch state {
	case "MASTER", "ENABLED", "SYNCED", "KEPT", "LOST":
		return "inside"
	}
	return "inside dim"
}

func (d *drawing) words(s Span) string {
	w := s.State + ", " + d.times(s)
	if s.Reason != "" {
		w += ": " + s.Reason
	}
	return w
}

// times says when a span is.
func (d *drawing) times(s Span) string {
	return fmt.Sprintf("%.3f to %.3f s", d.since(s.From).Seconds(), d.since(s.To).Seconds())
}

// drawProbes draws runs of probes with the same fate: thousands of single ones
// would be thinner than a pixel. Those that were lost stand out.
func (d *drawing) drawProbes(y float64) {
	d.text(margin, y+17, "start", "name", "client")
	runs := d.runs()
	for _, r := range runs {
		x, w := d.x(r.From), d.x(r.To)-d.x(r.From)
		if !r.lost {
			d.rect(x, y+laneHeight/2-3, w, 6, 0, "answered", "")
		}
	}
	for _, r := range runs {
		if r.lost {
			x, w := d.x(r.From), max(d.x(r.To)-d.x(r.From), 2)
			d.rect(x, y, w, laneHeight, 1, "lost", fmt.Sprintf("%d probes lost, %s", r.count, d.times(r.Span)))
		}
	}
	for _, g := range d.losses(runs) {
		d.label(d.x(g.To), 7, y+6, " alarm", fmt.Sprintf("%d lost", g.count))
	}
}

// A run is probes in a row of which all were lost, or none.
type run struct {
	Span
	lost  bool
	count int
}

func (d *drawing) runs() []run {
	var runs []run
	for _, q := range d.Probes {
		if n := len(runs); n == 0 || runs[n-1].lost != q.Lost {
			runs = append(runs, run{Span: Span{From: q.Sent}, lost: q.Lost})
		}
		last := &runs[len(runs)-1]
		last.count++
		last.To = q.Sent.Add(d.Every)
	}
	return runs
}

// losses are the runs of lost probes, those close to each other as one.
func (d *drawing) losses(runs []run) []run {
	var out []run
	for _, r := range runs {
		if !r.lost {
			continue
		}
		if n := len(out); n > 0 && r.From.Sub(out[n-1].To) < d.LabelGap {
			out[n-1].To, out[n-1].count = r.To, out[n-1].count+r.count
			continue
		}
		out = append(out, r)
	}
	return out
}

// drawMarks marks what somebody did. Labels that are close to each other become one,
// and one that would cover another is a row higher.
func (d *drawing) drawMarks(top, bottom float64) {
	var at time.Time // of the last label
	var label string
	var rows [2]float64 // where the last label of each ends
	write := func() {
		if label == "" {
			return
		}
		row, x := 0, d.x(at)
		if x < rows[0] && rows[1] < rows[0] {
			row = 1
		}
		rows[row] = x + textWidth(label)
		d.label(x, 0, top-6-14*float64(row), "", label)
	}
	for _, m := range d.Marks {
		d.line(d.x(m.At), top, d.x(m.At), bottom, "mark")
		if label != "" && m.At.Sub(at) < d.LabelGap {
			label += ", " + m.Text
			continue
		}
		write()
		at, label = m.At, m.Text
	}
	write()
}
