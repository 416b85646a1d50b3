package timeline

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"slices"
	"testing"
	"time"
)

func at(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }

// picture has all that there is to draw.
func picture() *Picture {
	return &Picture{Title: "t", Head: "<head> & more", Legend: []Item{{"MASTER", "master"}}, Panels: []Panel{{
		Name: "n", From: at(0), To: at(10), Tick: time.Second, LabelGap: time.Second, Every: time.Millisecond,
		Sides: []Side{{
			Lanes: []Lane{
				{Node: "a", What: "x", Spans: []Span{{From: at(0), To: at(5), State: "MASTER"}, {From: at(5), To: at(10), State: "BACKUP"}}},
				{Node: "b", Spans: []Span{{From: at(0), To: at(10)}}, Notes: []Mark{{at(1), "first"}, {at(1.5), "too close"}, {at(9.95), "at the edge"}}},
			},
			Clashes: []Span{{From: at(4), To: at(5)}, {From: at(6), To: at(6.001)}},
		}},
		Probes: []Probe{{at(1), false}, {at(2), true}, {at(2.001), true}, {at(3), false}, {at(9), true}},
		Marks:  []Mark{{at(1), "a rather long label that needs room"}, {at(2.5), "next"}, {at(2.6), "merged"}},
	}}}
}

// TestSVG wants a picture that a viewer can read.
func TestSVG(t *testing.T) {
	svg := picture().SVG()
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for want, n := range map[string]int{
		`class="MASTER"`: 2, `class="clash"`: 1, `class="lost"`: 2, "2 lost": 1, "1 lost": 1,
		"next, merged": 1, "too close": 0, "first": 1, "&lt;head&gt; &amp; more": 1,
	} {
		if got := bytes.Count(svg, []byte(want)); got != n {
			t.Errorf("%q is there %d times, want %d", want, got, n)
		}
	}
}

// TestLabels: one does not cover another, and none goes beyond the edge.
func TestLabels(t *testing.T) {
	svg := picture().SVG()
	where := func(text string) []string {
		m := regexp.MustCompile(`y="([0-9.]+)" text-anchor="(\w+)"[^>]*>` + text).FindSubmatch(svg)
		if m == nil {
			t.Fatalf("no label %q", text)
		}
		return []string{string(m[1]), string(m[2])}
	}
	if long, next := where("a rather long"), where("next"); long[0] == next[0] {
		t.Errorf("both labels are at y %s", long[0])
	}
	if edge := where("at the edge"); !slices.Contains(edge, "end") {
		t.Errorf("the label at the edge begins there: %v", edge)
	}
}
