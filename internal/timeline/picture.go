package timeline

import (
	"time"
)

// A Picture is one or more timelines, one below the other.
type Picture struct {
	Title string
	Head  string // over it all
	Note  string // at the right of the head
	Style string // CSS for states that are not in the legend of the demo, light and dark

	Legend []Item
	Panels []Panel
}

// An Item explains a colour. Its class is a state, or "answered", "lost" or "clash".
type Item struct{ Class, Words string }

// A Panel is one timeline.
type Panel struct {
	Name    string
	Title   string
	Verdict string

	From, To time.Time
	Tick     time.Duration // between the lines of the axis
	LabelGap time.Duration // labels closer than this become one, or are left out

	Sides  []Side
	Probes []Probe // of the client
	Every  time.Duration
	Marks  []Mark
}

// A Side is lanes that belong together, and when their hosts had both what only one
// should have.
type Side struct {
	Lanes   []Lane
	Clashes []Span
}

// A Lane is what a host was over time, and moments in it.
type Lane struct {
	Node, What string
	Spans      []Span
	Notes      []Mark
}

// A Span is a time and what was during it. The state is the class of its colour; without
// one there is a line to put notes on.
type Span struct {
	From, To time.Time
	State    string
	Reason   string // why it began
}

// A Probe is something that was sent at a time, and lost or not. The next one follows
// after [Panel.Every].
type Probe struct {
	Sent time.Time
	Lost bool
}

// A Mark is something that happened at a time.
type Mark struct {
	At   time.Time
	Text string
}

// The measures of the picture, in pixels.
const (
	width      = 1240.0
	margin     = 28.0
	plotLeft   = 178.0
	plotWidth  = width - plotLeft - margin
	headHeight = 92.0 // name of the picture, legend
	laneHeight = 24.0
	laneStep   = 30.0
	sideStep   = 14.0 // more between sides, and before the client
	aboveLanes = 78.0
	belowLanes = 66.0
)

// SVG is the picture.
func (p *Picture) SVG() []byte {
	height := headHeight
	for i := range p.Panels {
		height += p.Panels[i].height()
	}
	c := newCanvas(width, height, p.Title, p.Style)
	c.text(margin, 40, "start", "title", p.Head)
	c.text(width-margin, 40, "end", "quiet", p.Note)
	x := margin
	for _, i := range p.Legend {
		c.rect(x, 60, 18, 13, 3, i.Class, "")
		c.text(x+25, 71, "start", "small", i.Words)
		x += 25 + 7*float64(len(i.Words)) + 16
	}
	top := headHeight
	for i := range p.Panels {
		d := drawing{c, &p.Panels[i], top}
		d.draw()
		top += p.Panels[i].height()
	}
	return c.close()
}

// lanes is the height of what is between the title and the axis.
func (p *Panel) lanes() float64 {
	h := laneHeight + 6 // of the client
	for _, s := range p.Sides {
		h += float64(len(s.Lanes))*laneStep + sideStep
	}
	return h
}

func (p *Panel) height() float64 { return aboveLanes + p.lanes() + belowLanes }
