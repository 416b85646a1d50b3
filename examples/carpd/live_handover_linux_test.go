package main

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// TestHandOver counts the probes that are lost, of one in each millisecond, while
// the addresses are handed over on purpose: 10 times because the master is
// stopped, and 10 times because it is there again and preempts. None must be.
//
// It is not parallel to the other tests: those make and delete interfaces all the
// time, under a lock that the kernel needs to put an address on.
func TestHandOver(t *testing.T) {
	for _, tt := range []struct {
		name, addr string
		args       []string
	}{
		{"real v4", vip4, nil},
		{"real v6", vip6, nil},
		{"virtual v4", vip4, []string{"-mac", "virtual"}},
		{"virtual v6", vip6, []string{"-mac", "virtual"}},
		{"rewritten v4", vip4, []string{"-mac", "rewritten"}},
		{"rewritten v6", vip6, []string{"-mac", "rewritten"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			args := append(tt.args, "-addr", tt.addr)
			x, y := b.pair(args...)
			b.echo()
			p := b.probe(tt.addr)
			p.answers()

			var stopped, preempted []handOver
			for range 10 {
				from, mark := p.count(), y.mark()
				x.stop()
				stopped = append(stopped, b.handOver(p, from, tt.addr,
					x.awaitLog(0, "MASTER -> INIT"), y.awaitLog(mark, "BACKUP -> MASTER")))

				from, mark = p.count(), y.mark()
				x = b.carpd("a", append(args, "-preempt")...)
				preempted = append(preempted, b.handOver(p, from, tt.addr,
					y.awaitLog(mark, "MASTER -> BACKUP"), x.awaitLog(0, "BACKUP -> MASTER")))
			}
			p.end()
			report(t, "stopped", stopped)
			report(t, "preempted", preempted)
		})
	}
}

// A handOver is what a hand-over has lost.
type handOver struct {
	loss

	// late is the time from the old master's hearing of the new one, at its advert,
	// to the end of the announcement that follows the advert.
	late time.Duration
}

// handOver waits for the end of a hand-over, which is when the logs say, and adds
// up. Half a second is longer than all that comes after.
func (b *bench) handOver(p *probe, from int, addr string, old, next logLine) handOver {
	b.t.Helper()
	b.awaitHolders("handed over", addr, map[string]string{"a": "b", "b": "a"}[old.host])
	p.answers()
	time.Sleep(500 * time.Millisecond)
	n := p.count()
	p.settle(n)
	return handOver{p.lost(from, n), next.Time.Sub(old.Time)}
}

// report fails for each hand-over that has lost something, with one exception: if
// this machine stood still, or did not let the new master speak, for longer than
// an old one keeps the addresses, nothing that either could have done helps.
func report(t *testing.T, how string, all []handOver) {
	t.Helper()
	var sent, lost int
	var gap, late time.Duration
	for i, h := range all {
		sent, lost, gap, late = sent+h.sent, lost+h.lost, max(gap, h.gap), max(late, h.late)
		switch {
		case h.lost > 0 && max(h.late, h.stall) > carp.DefaultOverlap:
			t.Logf("%s, number %d, not counted: the announcement took %v, and the probe stood still for %v: %v",
				how, i+1, h.late, h.stall, h.loss)
		case h.lost > 0:
			t.Errorf("%s, number %d: %v", how, i+1, h.loss)
		}
	}
	t.Logf("%s %d times: %d of %d probes lost, longest gap %v, slowest announcement %v",
		how, len(all), lost, sent, gap.Round(time.Microsecond), late.Round(time.Microsecond))
}
