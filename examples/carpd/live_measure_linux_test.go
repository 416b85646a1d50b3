package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestMeasure is no test but a measurement, and only runs if the environment has
// GOCARP_MEASURE with the number of failures that each kind is measured with. It
// prints the time until the other host is master, and the outage that a client
// sees with a probe in each millisecond. Have the machine to yourself, and leave
// -race out.
func TestMeasure(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("GOCARP_MEASURE"))
	if n <= 0 {
		t.Skip("a measurement, for as many failures as GOCARP_MEASURE says")
	}
	for _, pace := range []struct {
		name string
		a, b []string
		runs int
	}{
		{"advbase 0 advskew 13", []string{"-advbase", "0", "-advskew", "13"}, []string{"-advbase", "0", "-advskew", "14"}, n},
		{"advbase 0 advskew 2", []string{"-advbase", "0", "-advskew", "2"}, []string{"-advbase", "0", "-advskew", "3"}, n},
		{"advbase 1", nil, []string{"-advskew", "1"}, max(n/5, 1)},
	} {
		for _, rt := range [][]string{nil, {"-rt", "50"}} {
			for _, powerOff := range []bool{true, false} {
				name := fmt.Sprintf("%s, rt %t, power-off %t", pace.name, rt != nil, powerOff)
				t.Run(name, func(t *testing.T) {
					args := append([]string{"-addr", vip4}, rt...)
					measure(t, pace.runs, append(slices.Clone(args), pace.a...), append(slices.Clone(args), pace.b...), powerOff)
				})
			}
		}
	}
}

func measure(t *testing.T, runs int, argsA, argsB []string, powerOff bool) {
	b := newBench(t)
	x := b.carpd("a", argsA...)
	b.awaitHolders("first", vip4, "a")
	y := b.carpd("b", argsB...)
	y.awaitHeard()
	b.echo()
	p := b.probe(vip4)
	p.answers()
	var detected, outage []time.Duration
	lost := 0
	for range runs {
		time.Sleep(500*time.Millisecond + rand.N(time.Second)) // any phase of the interval
		from, mark := p.count()-20, y.mark()                   // the outage starts with one that was answered
		died := time.Now()
		if powerOff {
			b.lab.Detach("lan", "a")
			died = time.Now()
		}
		x.kill()
		took := y.awaitLog(mark, "BACKUP -> MASTER").Time
		detected = append(detected, took.Sub(died))
		b.awaitHolders("the dead one's address expires", vip4, "b")
		p.answers()
		if powerOff {
			b.lab.Attach("lan", "a")
		}
		n := p.count()
		p.settle(n)
		l := p.lost(from, n)
		outage, lost = append(outage, l.gap), lost+l.lost

		mark = y.mark()
		x = b.carpd("a", append(argsA, "-preempt")...)
		y.awaitLog(mark, "MASTER -> BACKUP")
		b.awaitHolders("back", vip4, "a")
		p.answers()
	}
	p.end()
	t.Logf("takeover after the crash: %s", distribution(detected))
	t.Logf("outage of the client:     %s, %d probes lost in all", distribution(outage), lost)
}

func distribution(d []time.Duration) string {
	slices.Sort(d)
	at := func(q float64) string {
		return fmt.Sprintf("%.1f", float64(d[int(q*float64(len(d)-1)+0.5)].Microseconds())/1000)
	}
	return fmt.Sprintf("n=%d min %s p50 %s p99 %s max %s ms", len(d), at(0), at(0.5), at(0.99), at(1))
}
