package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// stamp is RFC 3339 with all nanoseconds, so that the times line up and sort.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// printJSON prints one object for each event, and one for the verdict.
func printJSON(out io.Writer, r *record) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, e := range r.events {
		line := struct {
			Time string `json:"time"`
			event
		}{e.Time.Format(stamp), e}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return enc.Encode(map[string]verdict{"verdict": r.verdict})
}

// printText prints the timeline and the verdict for people.
func printText(out io.Writer, r *record) error {
	if _, err := fmt.Fprintf(out, "%s: %s (seed %d)\n\n", r.scenario.name, r.scenario.title, r.seed); err != nil {
		return err
	}
	for i, e := range r.events {
		if e.Kind == kindAction && i > 0 && r.events[i-1].Kind != kindAction {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(out, "%9.3f s  %-6s  %-6s  %s\n", since(e.Time).Seconds(), e.Node, e.where(), e.words()); err != nil {
			return err
		}
	}
	v := &r.verdict
	_, err := fmt.Fprintf(out, "\nverdict: %s\n         %s\n", v, v.connections())
	return err
}

// since is the time since the beginning.
func since(t time.Time) time.Duration { return t.Sub(epoch) }

// String is the verdict in a line.
func (v *verdict) String() string {
	return fmt.Sprintf("%d probes sent, %d lost, longest gap %.1f ms, two masters for %.1f ms",
		v.Probes, v.Lost, v.MaxGapMS, v.TwoMastersMS)
}

// connections says what became of them.
func (v *verdict) connections() string {
	session, states := "alive", "the same on both firewalls"
	if !v.SessionAlive {
		session = "dead"
	}
	if !v.StatesEqual {
		states = "different on the two firewalls"
	}
	return fmt.Sprintf("TCP session %s, states %s", session, states)
}

// where is the interface, and the virtual host on it.
func (e *event) where() string {
	if e.VHID == 0 {
		return e.Interface
	}
	return fmt.Sprintf("%s %d", e.Interface, e.VHID)
}

// words say what happened.
func (e *event) words() string {
	switch e.Kind {
	case kindAction:
		return "==> " + e.Text
	case kindState:
		return fmt.Sprintf("%s -> %s: %s", e.From, e.To, e.Reason)
	case kindBowOut:
		return "bows out, but keeps " + e.Address + " until a successor is heard"
	case kindAcquire:
		return "takes " + e.Address
	case kindRelease:
		return "lets go of " + e.Address
	case kindDemotion:
		return fmt.Sprintf("demotion is %d now (%s)", *e.Demotion, e.Reason)
	case kindEnable:
		return "the hook has enabled the interface, " + e.Address
	case kindDisable:
		return "the hook has disabled the interface"
	case kindNeighbour:
		return fmt.Sprintf("%s is at %s (%s)", e.Address, e.MAC, e.At)
	case kindBulkStart:
		return "asks for the states of its peer"
	case kindBulkEnd:
		return fmt.Sprintf("%s: has %d states", e.Reason, *e.States)
	case kindSession:
		return "TCP session: " + e.Text
	case kindLost:
		return "no answer any more"
	case kindBack:
		return fmt.Sprintf("answers again: %d probes lost, %.1f ms without an answer", e.Lost, e.GapMS)
	}
	return string(e.Kind)
}
