package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/netns"
)

// TestAble: what each of the other pairs has no means for, which is said in a line. They
// can do everything else.
func TestAble(t *testing.T) {
	want := map[string][]string{
		"ucarp":                 {"maintenance", "cable-lan", "cable-wan", "single-wan", "homelab"},
		"keepalived":            {"single-wan", "homelab"},
		"keepalived+conntrackd": {"single-wan", "homelab"},
	}
	for _, p := range pairs {
		if p == ours {
			continue
		}
		var got []string
		for _, s := range scenarios {
			if s.able != nil && s.able(p) != nil {
				got = append(got, s.name)
			}
		}
		if diff := cmp.Diff(want[p.name], got); diff != "" {
			t.Errorf("%s: %s", p.name, diff)
		}
	}
}

// TestUnable: asked for by name, it is a failure.
func TestUnable(t *testing.T) {
	need(t)
	var out, errs bytes.Buffer
	code := lab(t.Context(), []string{"-scenario", "cable-lan", "-pair", "ucarp", "-firewall", program}, &out, &errs)
	const want = "lab: no cable-lan with ucarp: it has a process for each side, and nothing moves the other side too\n"
	if code != cli.Failure || out.Len() > 0 || errs.String() != want {
		t.Errorf("exit %d\n%s%s", code, &out, &errs)
	}
}

// TestOthers: the other pairs run, and are measured, with what they can do. How well is
// theirs to answer for.
func TestOthers(t *testing.T) {
	t.Parallel()
	need(t)
	netns.Require(t, "ucarp", "keepalived", "conntrackd")
	names := slices.DeleteFunc(pairNames(), func(name string) bool { return name == ours.name })
	m := run(t, "-scenario", "cable-sync", "-pair", strings.Join(names, ","))
	if len(m.runs) != len(names) {
		t.Errorf("%d runs, want %d", len(m.runs), len(names))
	}
	for i, r := range m.runs {
		if r.Pair != names[i] || r.Probes < 1000 || len(r.Sessions) != 2 {
			t.Errorf("%s: %d probes, sessions %v", r.Pair, r.Probes, r.Sessions)
		}
	}
}
