//go:build linux

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// A record is everything about a run that anybody wants to see.
type record struct {
	scenario *scenario
	pair     *pair
	number   int // from 1
	from, to time.Time

	shots    []shot
	loss     loss
	moved    []time.Time // when the NAT gave the probe another port
	sessions []sessionRecord
	claims   map[claim][]span
	both     map[string]time.Duration // by segment: both firewalls had its address
	marks    []mark
	hooks    []hookCall
	downs    []down
}

// A sessionRecord is what became of a session.
type sessionRecord struct {
	name    string
	failed  error // nil: it goes on
	silence []span
	gap     time.Duration // the longest silence, 0 if none is worth a word
}

// A hookCall is when a hook was called, and with what words.
type hookCall struct {
	node string
	at   time.Time
	text string
}

// newRecord draws the conclusions of a run that is over.
func newRecord(p *play, s *scenario, number, first, last int) *record {
	r := &record{
		scenario: s, pair: p.pair, number: number, from: p.begun, to: time.Now(),
		shots: p.probe.shots(first, last), moved: p.probe.moves(p.begun), marks: p.marks, downs: p.downs,
		claims: make(map[claim][]span), both: make(map[string]time.Duration),
	}
	r.loss = lossOf(r.shots)
	for _, q := range p.sessions {
		sr := sessionRecord{name: q.name, failed: q.failed(), silence: q.quiet(r.from)}
		for _, quiet := range sr.silence {
			sr.gap = max(sr.gap, quiet.length())
		}
		r.sessions = append(r.sessions, sr)
	}
	for _, segment := range []string{lan, wan} {
		for _, n := range p.nodes() {
			c := claim{n.Name, segment}
			r.claims[c] = p.eye.between(c, r.from, r.to)
		}
		r.both[segment] = overlap(r.claims[claim{"fw1", segment}], r.claims[claim{"fw2", segment}])
	}
	speak := func(node string) []span { return p.eye.between(claim{node, wanFrames}, r.from, r.to) }
	r.both[wan] = max(r.both[wan], overlap(speak("fw1"), speak("fw2")))
	for _, n := range p.nodes() {
		r.hooks = append(r.hooks, n.hookCalls(r.from)...)
	}
	return r
}

// hookCalls are those since a time.
func (n *node) hookCalls(since time.Time) []hookCall {
	b, _ := os.ReadFile(n.hookFile()) // none was called
	var calls []hookCall
	for line := range strings.Lines(string(b)) {
		stamp, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(stamp, 10, 64)
		if at := time.Unix(0, ns); err == nil && at.After(since) {
			calls = append(calls, hookCall{n.Name, at, text})
		}
	}
	return calls
}

// stoodStill is from when on the machine, not the pair, may be what lost a probe: a
// master that hands over keeps the addresses for about as long.
const stoodStill = 100 * time.Millisecond

// excused reports whether a run says nothing because this machine stood still in it,
// for a good part of the gap.
func (r *record) excused() bool {
	return r.loss.lost > 0 && r.loss.stall > stoodStill && r.loss.stall > r.loss.gap/4
}
