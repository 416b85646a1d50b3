//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge compares what came out with what the scenario wants, of our pair. Of others it
// only says what came out.
func (m *summary) judge(t timers) {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if m.Error != "" {
		complain("it ended early: %s", m.Error)
	}
	if m.Runs == 0 {
		complain("no run says anything")
	}
	if m.pair == ours {
		m.compare(t, complain)
	}
	m.OK = len(wrong) == 0
	m.Verdict = m.sentence()
	if !m.OK {
		m.Verdict += " NOT AS IT MUST BE: " + strings.Join(wrong, "; ") + "."
	}
}

func (m *summary) compare(t timers, complain func(string, ...any)) {
	w := m.scenario.want
	if w.lost != nil {
		switch limit := w.lost(t); {
		case limit == 0 && m.Lost > 0:
			complain("no probe may be lost")
		case limit > 0 && m.GapMS.Max > milliseconds(limit):
			complain("the longest gap may be %v", limit.Round(time.Millisecond))
		}
	}
	if !w.sessions {
		return
	}
	for name, s := range m.Sessions {
		if s.Survived < m.Runs {
			complain("every %s session must survive", name)
		}
	}
	if m.Mappings < m.Runs {
		complain("every UDP mapping must survive")
	}
}

// sentence says what came out.
func (m *summary) sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s: %d of %d probes lost in %s", m.Pair, m.Scenario, m.Lost, m.Probes, plural(m.Runs, "run"))
	if m.Lost > 0 {
		fmt.Fprintf(&b, ", longest gap %s ms", number(m.GapMS.Max))
	}
	b.WriteString("; ")
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(m.Sessions))) { // TCP, SSH
		fmt.Fprintf(&b, "%s session kept %d of %d, ", name, m.Sessions[name].Survived, m.Runs)
	}
	fmt.Fprintf(&b, "UDP mapping kept %d of %d", m.Mappings, m.Runs)
	for _, segment := range []string{lan, wan} {
		if d := m.BothMS[segment]; d.Max >= 2*milliseconds(lookInterval) {
			fmt.Fprintf(&b, "; both had the %s address for up to %s ms", strings.ToUpper(segment), number(d.Max))
		}
	}
	b.WriteString(".")
	if m.Excused > 0 {
		fmt.Fprintf(&b, " %s not counted: this machine stood still.", plural(m.Excused, "run"))
	}
	return b.String()
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
