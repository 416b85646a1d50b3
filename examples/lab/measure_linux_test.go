package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
)

func at(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }

// shotsOf are probes 1 ms apart, answered where the word has a '.'; '_' is a millisecond
// in which none was sent.
func shotsOf(word string) []shot {
	var all []shot
	for i, c := range word {
		s := shot{at: at(i)}
		switch c {
		case '_':
			continue
		case '.':
			s.answered = at(i + 1)
		}
		all = append(all, s)
	}
	return all
}

func TestLoss(t *testing.T) {
	const ms = time.Millisecond
	for word, want := range map[string]loss{
		"":           {},
		"...":        {sent: 3, stall: ms},
		"..x..":      {sent: 5, lost: 1, gap: 2 * ms, stall: ms},
		".xxx.x.":    {sent: 7, lost: 4, gap: 4 * ms, stall: ms},
		"xx.":        {sent: 3, lost: 2, gap: 2 * ms, stall: ms},
		".xx":        {sent: 3, lost: 2, gap: 2 * ms, stall: ms},
		".____.":     {sent: 2, stall: 5 * ms},
		".x____.___": {sent: 3, lost: 1, gap: 6 * ms, stall: 5 * ms},
	} {
		if got := lossOf(shotsOf(word)); got != want {
			t.Errorf("%q: %+v, want %+v", word, got, want)
		}
	}
}

func TestDistribute(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for _, tt := range []struct {
		values []float64
		want   distribution
	}{
		{nil, distribution{}},
		{[]float64{7}, distribution{7, 7, 7}},
		{[]float64{3, 1, 2}, distribution{2, 3, 3}},
		{hundred, distribution{50, 99, 100}},
	} {
		if got := distribute(tt.values); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	s := func(from, to int) span { return span{at(from), at(to)} }
	for _, tt := range []struct {
		a, b []span
		want time.Duration
	}{
		{nil, []span{s(0, 9)}, 0},
		{[]span{s(0, 5)}, []span{s(5, 9)}, 0},
		{[]span{s(0, 6)}, []span{s(5, 9)}, time.Millisecond},
		{[]span{s(0, 10), s(20, 30)}, []span{s(8, 22)}, 4 * time.Millisecond},
	} {
		if got := overlap(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestVerdict: what must not be is said, and is not for others to answer for.
func TestVerdict(t *testing.T) {
	good := func() *record {
		return &record{scenario: planned, pair: ours, loss: loss{sent: 1000}, sessions: []sessionRecord{{name: "TCP"}, {name: "SSH"}}}
	}
	lossy, stalled, dead, moved := good(), good(), good(), good()
	lossy.loss = loss{sent: 1000, lost: 1, gap: 2 * time.Millisecond, stall: 3 * time.Millisecond}
	stalled.loss = loss{sent: 1000, lost: 9, gap: 200 * time.Millisecond, stall: 150 * time.Millisecond}
	dead.sessions[1].failed = errors.New("reset")
	moved.moved = []time.Time{at(7)}
	for _, tt := range []struct {
		name    string
		pair    *pair
		records []*record
		err     error
		ok      bool
		says    string
	}{
		{"good", ours, []*record{good(), good()}, nil, true, "0 of 2000 probes lost in 2 runs; TCP session kept 2 of 2, SSH session kept 2 of 2, UDP mapping kept 2 of 2."},
		{"one probe lost", ours, []*record{good(), lossy}, nil, false, "no probe may be lost"},
		{"others lose", keepalived, []*record{lossy}, nil, true, "1 of 1000 probes lost in 1 run, longest gap 2 ms"},
		{"stood still", ours, []*record{good(), stalled}, nil, true, "1 run not counted"},
		{"nothing but that", ours, []*record{stalled}, nil, false, "no run says anything"},
		{"dead", ours, []*record{dead}, nil, false, "every SSH session must survive"},
		{"moved", ours, []*record{moved}, nil, false, "every UDP mapping must survive"},
		{"broken off", ours, []*record{good()}, errors.New("no switch"), false, "it ended early: no switch"},
	} {
		m := summarise(planned, tt.pair, tt.records, tt.err, timers{advBase: 1})
		if m.OK != tt.ok || !strings.Contains(m.Verdict, tt.says) {
			t.Errorf("%s: ok %t: %s; want %t, %q", tt.name, m.OK, m.Verdict, tt.ok, tt.says)
		}
	}
	slow := good()
	slow.scenario, slow.loss = crash, loss{sent: 5000, lost: 4000, gap: 4 * time.Second}
	if m := summarise(crash, ours, []*record{slow}, nil, timers{advBase: 1}); m.OK || !strings.Contains(m.Verdict, "the longest gap may be 3.891s") {
		t.Errorf("a slow takeover: ok %t: %s", m.OK, m.Verdict)
	}
}

func TestOptions(t *testing.T) {
	for _, args := range []string{
		"-scenario nothing", "-pair nobody", "-n 0", "-n 1x", "-advbase 0 -advskew 0", "more",
	} {
		var out, errs bytes.Buffer
		if code := lab(t.Context(), strings.Fields(args), &out, &errs); code != cli.Usage || out.Len() > 0 || !strings.HasPrefix(errs.String(), "lab: ") {
			t.Errorf("lab %s: exit %d, %q, %q", args, code, &out, &errs)
		}
	}
	o, err := parseOptions(strings.Fields("-scenario all -pair ucarp,ours -n 7 -advbase 0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.scenarios) != len(scenarios) || o.runs != 7 || o.timers != (timers{0, 5}) {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff([]string{o.pairs[0].name, o.pairs[1].name}, []string{"ucarp", "ours"}); diff != "" {
		t.Error(diff)
	}
	var out, errs bytes.Buffer
	if code := lab(t.Context(), []string{"-h"}, &out, &errs); code != cli.OK {
		t.Errorf("-h: exit %d", code)
	}
	for _, name := range append(scenarioNames(), pairNames()...) {
		if !strings.Contains(out.String(), name) {
			t.Errorf("-h says nothing about %s", name)
		}
	}
}

// TestMissing: a tool that is not there is named with its package.
func TestMissing(t *testing.T) {
	if err := lookTools("ip", "no-such-tool"); err == nil || !strings.Contains(err.Error(), "no-such-tool is not installed") {
		t.Errorf("%v", err)
	}
	if got := (missingError{"sshd"}).Error(); got != "sshd is not installed: apt-get install openssh-server" {
		t.Error(got)
	}
}
