package timeline

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// A canvas is an SVG picture in the making. What is drawn has a class, and the
// style below gives each class its colours, for light and for dark viewers.
type canvas struct{ bytes.Buffer }

const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2933; }
.paper { fill: #ffffff; }
.title { font-size: 19px; font-weight: 600; }
.name { font-weight: 600; }
.quiet, .quiet tspan { fill: #5b6876; }
.small { font-size: 12px; }
.inside { font-size: 11px; font-weight: 600; letter-spacing: 0.06em; fill: #ffffff; }
.dim { fill: #445160; }
.alarm { fill: #c22f2f; font-weight: 600; }
.grid { stroke: #e4e8ee; }
.mark { stroke: #5b6876; stroke-dasharray: 3 3; }
.frame { fill: none; stroke: #d5dbe3; }
.MASTER { fill: #1f8a5b; }
.LEAVING { fill: #8ccfae; }
.BACKUP { fill: #cdd8e6; }
.INIT { fill: #f1c761; }
.OFF { fill: #ffffff; stroke: #aab4c0; stroke-dasharray: 4 3; }
.ENABLED { fill: #2f6fb5; }
.DISABLED { fill: #cdd8e6; }
.SYNCED { fill: #6d6bb5; }
.BULK { fill: #f1c761; }
.answered { fill: #7fb2e5; }
.lost { fill: #d63c3c; }
.clash { fill: none; stroke: #d63c3c; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf1; }
  .paper { fill: #10161d; }
  .quiet, .quiet tspan { fill: #9aa7b5; }
  .inside { fill: #ffffff; }
  .dim { fill: #c3ccd6; }
  .alarm { fill: #ff8080; }
  .grid { stroke: #232c37; }
  .mark { stroke: #9aa7b5; }
  .frame { stroke: #2f3a47; }
  .MASTER { fill: #23865b; }
  .LEAVING { fill: #4f8f70; }
  .BACKUP, .DISABLED { fill: #37465a; }
  .INIT { fill: #b98a22; }
  .OFF { fill: #10161d; stroke: #5b6876; }
  .ENABLED { fill: #3b7fc9; }
  .SYNCED { fill: #6f6cc4; }
  .BULK { fill: #b98a22; }
  .answered { fill: #4d88c4; }
  .lost { fill: #f05252; }
  .clash { stroke: #f05252; }
}
`

// newCanvas begins a picture of that size with paper below it. more is added to the
// style.
func newCanvas(width, height float64, title, more string) *canvas {
	c := new(canvas)
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %[1]g %[2]g" role="img">`+"\n",
		width, height)
	fmt.Fprintf(c, "<title>%s</title>\n<style>%s</style>\n", escape(title), style+more)
	c.rect(0, 0, width, height, 0, "paper", "")
	return c
}

// close ends the picture and returns it.
func (c *canvas) close() []byte {
	c.WriteString("</svg>\n")
	return c.Bytes()
}

// rect is a box with round corners; tip is shown when pointed at.
func (c *canvas) rect(x, y, w, h, round float64, class, tip string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%g" class="%s"`, x, y, w, h, round, class)
	if tip == "" {
		c.WriteString("/>\n")
		return
	}
	fmt.Fprintf(c, "><title>%s</title></rect>\n", escape(tip))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// text is anchored at its start, middle or end.
func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, escape(s))
}

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a Buffer does not fail
	return b.String()
}
