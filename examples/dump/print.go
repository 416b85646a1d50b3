package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// newPrinter returns a function that writes a record, in one Write: a line, and as
// text perhaps some more below it.
func newPrinter(opt options, w io.Writer) func(record) error {
	if opt.json {
		enc := json.NewEncoder(w)
		return func(r record) error { return enc.Encode(r) }
	}
	return func(r record) error {
		_, err := io.WriteString(w, lines(r, opt.verbose))
		return err
	}
}

// lines is a record as text, with the time of day of this host as in tcpdump.
func lines(r record, verbose bool) string {
	var b strings.Builder
	e := r.head()
	if e.time.IsZero() {
		b.WriteString("-")
	} else {
		b.WriteString(e.time.Local().Format("15:04:05.000000"))
	}
	if e.Src != "" {
		fmt.Fprintf(&b, " %s > %s:", e.Src, e.Dst)
	}
	b.WriteString(" " + r.text(verbose))
	if verbose && e.SrcMAC != "" {
		fmt.Fprintf(&b, " lladdr=%s", e.SrcMAC)
	}
	if verbose && len(e.VLAN) > 0 {
		fmt.Fprintf(&b, " vlan=%d", e.VLAN)
	}
	if r.reason() != "" {
		fmt.Fprintf(&b, " [malformed: %s]", r.reason())
	}
	b.WriteString("\n" + r.details(verbose))
	return b.String()
}
