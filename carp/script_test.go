package carp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/script"
)

// TestScripts runs testdata/script: rows of the event tables, each a machine and
// what happens to it; see package script. Its lines are
//
//	new DIALECT WORDS      a machine; words as for config, and v4, v6, linger=D
//	TIME EVENT WORDS       an event
//
// Events: up, down, timer, link up|unknown|down, allow on|off, advert BASE/SKEW
// [demote=N] [v6] [lower], demote N, force STATE, config WORDS, key, addrs [v4] [v6]
// [added], refused, stall.
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/script/*.txt", func(t *testing.T, row string) string {
		var m *Machine
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return script.Row(t, row, func(ws []string) {
			d, err := ParseDialect(ws[0])
			if err != nil {
				t.Fatal(err)
			}
			cfg, fam := words(t, Config{VHID: 1, Dialect: d}, ws[1:])
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			m = NewMachine(cfg, fam)
		}, func(at time.Duration, ws []string, out script.Outcome) {
			out("%s", outcome(m.Step(start.Add(at), event(t, m, ws)), start))
		})
	})
}

// words applies configuration words to c.
func words(t *testing.T, c Config, ws []string) (Config, Families) {
	t.Helper()
	fam := Families(0)
	for _, w := range ws {
		k, v, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "advbase":
			c.AdvBase = n
			if n == 0 {
				c.AdvBase = SubSecond
			}
		case "advskew":
			c.AdvSkew = uint8(n)
		case "preempt":
			c.Preempt = v != "off"
		case "deadratio":
			c.DeadRatio = n
		case "linger":
			c.Linger, _ = time.ParseDuration(v)
		case "v4":
			fam |= IPv4
		case "v6":
			fam |= IPv6
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	if fam == 0 {
		fam = IPv4
	}
	return c, fam
}

// event parses an event.
func event(t *testing.T, m *Machine, f []string) Event {
	t.Helper()
	has := func(w string) bool { return slices.Contains(f, w) }
	switch f[0] {
	case "up":
		return Event{Kind: EventUp}
	case "down":
		return Event{Kind: EventDown}
	case "timer":
		return Event{Kind: EventTimer}
	case "key":
		return Event{Kind: EventKey}
	case "refused":
		return Event{Kind: EventRefused}
	case "stall":
		return Event{Kind: EventStall}
	case "link":
		return Event{Kind: EventLink, Link: map[string]Link{"up": LinkUp, "unknown": LinkUnknown, "down": LinkDown}[f[1]]}
	case "allow":
		return Event{Kind: EventAllow, Allow: f[1] == "on"}
	case "force":
		return Event{Kind: EventForce, Force: map[string]State{"init": Init, "backup": Backup, "master": Master}[f[1]]}
	case "demote":
		n, _ := strconv.Atoi(f[1])
		return Event{Kind: EventDemote, Demote: n}
	case "config":
		c, _ := words(t, m.cfg, f[1:])
		return Event{Kind: EventConfig, Config: c}
	case "addrs":
		ev := Event{Kind: EventAddrs, Added: has("added")}
		if has("v4") {
			ev.Families |= IPv4
		}
		if has("v6") {
			ev.Families |= IPv6
		}
		return ev
	case "advert":
		ev := Event{Kind: EventAdvert, Family: IPv4, Lower: has("lower")}
		if has("v6") {
			ev.Family = IPv6
		}
		var base, skew, demote uint8
		if _, err := fmt.Sscanf(f[1], "%d/%d", &base, &skew); err != nil {
			t.Fatalf("advert %q: %v", f[1], err)
		}
		for _, w := range f[2:] {
			fmt.Sscanf(w, "demote=%d", &demote)
		}
		ev.Advert = Header{VHID: 1, AdvBase: base, AdvSkew: skew, Demote: demote}
		return ev
	}
	t.Fatalf("unknown event %q", f[0])
	return Event{}
}

// outcome is an Output in words.
func outcome(o Output, start time.Time) string {
	s := o.To.String()
	if o.From != o.To {
		s = fmt.Sprintf("%v -> %v (%v)", o.From, o.To, o.Reason)
	}
	if o.Send {
		s += fmt.Sprintf(", advert %d/%d", o.Advert.AdvBase, o.Advert.AdvSkew)
		if o.Advert.Demote != 0 {
			s += fmt.Sprintf(" demote %d", o.Advert.Demote)
		}
	}
	if o.Announce {
		s += ", announce"
	}
	if o.Reassert {
		s += ", reassert"
	}
	if o.Deadline.IsZero() {
		return s + ", no timer"
	}
	return fmt.Sprintf("%s, next %.6f", s, o.Deadline.Sub(start).Seconds())
}
