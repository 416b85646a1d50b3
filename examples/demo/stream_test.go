package main

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/simnet"
)

// TestStream wants a session to open and to go on over a cable that loses almost
// half of the packets for a while, and none to go on without an answer.
func TestStream(t *testing.T) {
	faults := func(w *world, loss float64) step {
		f := cable
		f.Loss = loss
		return step{do: func() error { w.net.SetFaults(w.client.cable, f); return nil }}
	}
	at := func(d time.Duration, s step) step { s.at = d; return s }
	for _, tt := range []struct {
		name  string
		from  time.Duration // when the loss begins
		loss  float64
		until time.Duration
		alive bool
	}{
		{"lossy from the start", 4500 * time.Millisecond, 0.45, 12 * time.Second, true},
		{"silence", 12 * time.Second, 1, time.Hour, false},
	} {
		s := scenario{length: 25 * time.Second, steps: func(w *world) []step {
			steps := []step{at(tt.from, faults(w, tt.loss))}
			if tt.until < time.Hour {
				steps = append(steps, at(tt.until, faults(w, 0)))
			}
			return steps
		}}
		for seed := range uint64(10) {
			r := mustRun(t, &s, seed)
			if r.verdict.SessionAlive != tt.alive || count(r, kindSession) != 1 {
				t.Errorf("%s, seed %d: %s", tt.name, seed, r.verdict.connections())
			}
		}
	}
}

// TestRetry wants a segment that is lost to be sent again later and later.
func TestRetry(t *testing.T) {
	var sent []time.Time
	s := scenario{length: 18 * time.Second, steps: func(w *world) []step {
		w.lan.Drop = func(f []byte, in, _ simnet.SegmentID) bool {
			_, ip, payload, _ := parseIP(f)
			p, ok := parsePacket(ip, payload)
			lost := ok && p.proto == protoTCP && in == w.client.cable
			if lost {
				sent = append(sent, w.net.Now())
			}
			return lost
		}
		return nil
	}}
	mustRun(t, &s, 1)
	if len(sent) < 5 {
		t.Fatalf("%d segments were sent, want some", len(sent))
	}
	for i, want := range []time.Duration{200, 400, 800, 1000, 1000} {
		between(t, "wait", float64(sent[i+1].Sub(sent[i]).Milliseconds()), float64(want)-5, float64(want)+20)
	}
}
