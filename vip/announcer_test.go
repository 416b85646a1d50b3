package vip

import (
	"testing"
	"time"
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// step is one call of Step with what it shall return; times are after the epoch.
type step struct {
	at   time.Duration
	ev   AnnouncerEvent
	send bool
	next time.Duration // -1: no deadline
}

func TestAnnouncer(t *testing.T) {
	const s, ms, none = time.Second, time.Millisecond, time.Duration(-1)
	tests := []struct {
		name    string
		refresh time.Duration
		steps   []step
	}{
		{"as told", 0, []step{
			{0, AnnounceNow, true, none},
			{2 * s, AnnounceNow, true, none},
			{3 * s, AnnounceTimer, false, none},
		}},
		{"refresh", 60 * s, []step{
			{0, AnnounceTimer, false, none},
			{0, AnnounceNow, true, 60 * s},
			{10 * s, AnnounceNow, true, 70 * s},
			{60 * s, AnnounceTimer, false, 70 * s},
			{71 * s, AnnounceTimer, true, 131 * s},
			{80 * s, AnnounceStop, false, none},
			{140 * s, AnnounceTimer, false, none},
		}},
		{"contests of one who is not master are none of ours", 0, []step{
			{0, AnnounceContested, false, none},
			{0, AnnounceNow, true, none},
			{1 * s, AnnounceStop, false, none},
			{2 * s, AnnounceContested, false, none},
		}},
		{"a lasting contest is answered ever more slowly", 0, []step{
			{0, AnnounceNow, true, none},
			{2 * s, AnnounceContested, false, 2*s + 10*ms},
			{2*s + 5*ms, AnnounceContested, false, 2*s + 10*ms},
			{2*s + 10*ms, AnnounceTimer, true, none},
			{2*s + 20*ms, AnnounceContested, false, 3*s + 10*ms},
			{3*s + 10*ms, AnnounceTimer, true, none},
			{3*s + 20*ms, AnnounceContested, false, 5*s + 10*ms},
			{5*s + 10*ms, AnnounceTimer, true, none},
			{6 * s, AnnounceContested, false, 9*s + 10*ms},
			{9*s + 10*ms, AnnounceTimer, true, none},
			{100 * s, AnnounceContested, false, 100*s + 10*ms}, // a new one
			{100*s + 10*ms, AnnounceTimer, true, none},
			{100*s + 20*ms, AnnounceContested, false, 101*s + 10*ms},
		}},
		{"a predecessor that goes on is answered at once", 0, []step{
			{0, AnnounceNow, true, none},
			{0, AnnounceContested, true, none},
			{1 * ms, AnnounceContested, false, 10 * ms},
			{10 * ms, AnnounceTimer, true, none},
			{30 * ms, AnnounceContested, true, none},
			{900 * ms, AnnounceContested, true, none},
			{1 * s, AnnounceContested, false, 1*s + 10*ms},
		}},
		{"a repeated announcement is no take-over", 0, []step{
			{0, AnnounceNow, true, none},
			{2 * s, AnnounceNow, true, none},
			{2*s + 1*ms, AnnounceContested, false, 2*s + 11*ms},
			{2*s + 5*ms, AnnounceStop, false, none},
			{3 * s, AnnounceNow, true, none},
			{3*s + 1*ms, AnnounceContested, true, none},
		}},
		{"a contest by the one we yield to is not answered", 0, []step{
			{0, AnnounceNow, true, none},
			{1 * s, AnnounceContested, false, 1*s + 10*ms},
			{1*s + 5*ms, AnnounceStop, false, none},
			{1*s + 10*ms, AnnounceTimer, false, none},
		}},
		{"a told announcement answers a waiting contest", 0, []step{
			{0, AnnounceNow, true, none},
			{2 * s, AnnounceContested, false, 2*s + 10*ms},
			{2*s + 5*ms, AnnounceNow, true, none},
			{2*s + 10*ms, AnnounceTimer, false, none},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := Announcer{Refresh: tt.refresh}
			for i, st := range tt.steps {
				send, deadline := a.Step(epoch.Add(st.at), st.ev)
				next := time.Duration(-1)
				if !deadline.IsZero() {
					next = deadline.Sub(epoch)
				}
				if send != st.send || next != st.next {
					t.Errorf("step %d at %v: send %t, next %v, want %t, %v", i, st.at, send, next, st.send, st.next)
				}
			}
		})
	}
}

// A storm of claims for an hour is answered a bounded number of times, and the
// deadlines alone keep the answers coming.
func TestAnnouncerStorm(t *testing.T) {
	var a Announcer
	a.Step(epoch, AnnounceNow)
	sent := 0
	for at := time.Duration(0); at < time.Hour; at += 50 * time.Millisecond {
		if send, _ := a.Step(epoch.Add(at), AnnounceContested); send {
			sent++
		}
	}
	// Each of the first second's 20, then after 1+2+4+...+32 s, then one every 64 s.
	if sent < 70 || sent > 90 {
		t.Errorf("%d answers in an hour, want one a minute", sent)
	}
}
