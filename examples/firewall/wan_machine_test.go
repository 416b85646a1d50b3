package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

var wanEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Each case is told in events, "time event", and what the machine did about them.
func TestWANMachine(t *testing.T) {
	master := wanEvent{kind: wanRoleIs, role: wanMaster}
	silent := wanEvent{kind: wanRoleIs, role: wanMaster, unplanned: true}
	leaving := wanEvent{kind: wanRoleIs, role: wanLeaving}
	backup := wanEvent{kind: wanRoleIs, role: wanBackup}
	lowered, raised := wanEvent{kind: wanLowered}, wanEvent{kind: wanRaised}
	failed := func(ev wanEvent) wanEvent { ev.failed = true; return ev }
	answered := func(seq uint64, a wanAnswer) wanEvent { return wanEvent{kind: wanAnswered, seq: seq, answer: a} }
	asked := func(from uint32, up bool) wanEvent { return wanEvent{kind: wanAsked, from: from, up: up} }
	timer := wanEvent{}
	type step struct {
		at   int // ms
		ev   wanEvent
		want string
	}
	boot := []step{{0, timer, "lower | going down"}, {0, backup, "| going down"}, {0, lowered, "| down"}}
	up := append(slices.Clone(boot), step{0, master, "ask 1 | waiting"}, step{5, answered(1, wanGranted), "raise | coming up"}, step{10, raised, "| up"})
	for _, tt := range []struct {
		name   string
		policy wanPolicy
		before []step
		steps  []step
	}{
		{"planned", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {9, answered(1, wanRefused), "| waiting"}, {59, timer, "ask 2 | waiting"},
			{60, answered(1, wanGranted), "| waiting"}, // of an old question
			{61, answered(2, wanLater), "| waiting"}, {111, timer, "ask 3 | waiting"}, {115, answered(3, wanGranted), "raise | coming up"}, {116, raised, "| up"}}},
		{"master fell silent", wanPolicy{}, boot, []step{
			{0, silent, "ask 1 | waiting"}, {900, answered(1, wanNoAnswer), "| waiting"}, {999, timer, "| waiting"}, {1000, timer, "raise | coming up"}}},
		{"master left, and falls silent", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {900, answered(1, wanNoAnswer), "| waiting"}, {1150, timer, "ask 2 | waiting"},
			{4999, timer, "| waiting"}, {5000, timer, "raise | coming up"}}},
		{"silence is broken by an advert", wanPolicy{}, boot, []step{
			{0, silent, "ask 1 | waiting"}, {1, answered(1, wanNoAnswer), "| waiting"},
			{900, wanEvent{kind: wanRoleIs, role: wanMaster, unplanned: true, heard: true}, "ask 2 | waiting"}, {901, answered(2, wanNoAnswer), "| waiting"},
			{1899, timer, "ask 3 | waiting"}, {1900, answered(3, wanNoAnswer), "raise | coming up"}}},
		{"silence is broken by a question", wanPolicy{}, boot, []step{
			{0, silent, "ask 1 | waiting"}, {990, answered(1, wanNoAnswer), "| waiting"}, {995, asked(1, false), "refused | waiting"},
			{1900, timer, "ask 2 | waiting"}, {1995, answered(2, wanNoAnswer), "raise | coming up"}}},
		{"without the peer never", wanPolicy{stayDown: true}, boot, []step{
			{0, silent, "ask 1 | waiting"}, {900, answered(1, wanNoAnswer), "| waiting"}, {9000, timer, "ask 2 | waiting"}, {9900, answered(2, wanNoAnswer), "| waiting"},
			{20000, timer, "ask 3 | waiting"}, {20001, answered(3, wanGranted), "raise | coming up"}}},
		{"nobody asked, no silence counts", wanPolicy{}, boot, []step{{0, silent, "ask 1 | waiting"}, {60000, timer, "| waiting"}}},
		{"leaves before the answer", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, backup, "| down"}, {2, answered(1, wanGranted), "| down"}}},
		{"grants, and forgets what it asked", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, asked(9, false), "granted | waiting"}, {2, answered(1, wanGranted), "| waiting"},
			{51, timer, "ask 2 | waiting"}, {52, answered(2, wanRefused), "| waiting"}}},
		{"has the higher number", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, asked(4, false), "refused | waiting"}, {2, answered(1, wanGranted), "raise | coming up"}}},
		{"the peer is up, whatever the numbers", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, asked(4, true), "granted | waiting"}}},
		{"gives way to its successor", wanPolicy{}, up, []step{
			{20, asked(9, false), "refused | up"}, {25, leaving, "| up"}, {30, asked(9, false), "lower later | going down"},
			{31, asked(9, false), "later | going down"}, {32, lowered, "| down"}, {33, asked(9, false), "granted | down"}}},
		{"nobody wants it", wanPolicy{}, up, []step{{20, leaving, "| up"}, {70, backup, "lower | going down"}, {71, lowered, "| down"}}},
		{"loses it while coming up", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, answered(1, wanGranted), "raise | coming up"}, {2, backup, "lower | going down"},
			{3, raised, "| going down"}, {4, asked(9, false), "later | going down"}, {5, lowered, "| down"}}},
		{"cannot come up", wanPolicy{}, boot, []step{
			{0, master, "ask 1 | waiting"}, {1, answered(1, wanGranted), "raise | coming up"}, {2, failed(raised), "lower | going down"},
			{3, lowered, "| waiting"}, {1001, timer, "| waiting"}, {1002, timer, "ask 2 | waiting"}}},
		{"cannot go down", wanPolicy{}, up, []step{
			{20, backup, "lower | going down"}, {30, failed(lowered), "| going down"}, {40, asked(9, false), "later | going down"},
			{1030, timer, "lower | going down"}, {1031, lowered, "| down"}}},
		{"both are up, and it is the lower", wanPolicy{}, up, []step{{20, asked(9, true), "lower later | going down"}, {21, lowered, "| waiting"}, {70, timer, "ask 2 | waiting"}}},
		{"both are up, and it is the higher", wanPolicy{}, up, []step{{20, asked(4, true), "refused | up"}}},
		{"both are up, says the peer", wanPolicy{}, up, []step{{10005, timer, "ask 2 | up"}, {10010, answered(2, wanRefused), "lower | going down"}}},
		{"asks again, though sure", wanPolicy{}, up, []step{
			{10004, timer, "| up"}, {10005, timer, "ask 2 | up"}, {10010, answered(2, wanGranted), "| up"}, {20010, timer, "ask 3 | up"}}},
		{"asks more often, unsure", wanPolicy{}, boot, []step{
			{0, silent, "ask 1 | waiting"}, {1000, answered(1, wanNoAnswer), "raise | coming up"}, {1001, raised, "| up"},
			{2000, timer, "ask 2 | up"}, {2900, answered(2, wanNoAnswer), "| up"}, {3900, timer, "ask 3 | up"}}},
		{"stops", wanPolicy{}, up, []step{
			{20, wanEvent{kind: wanStop}, "lower | going down"}, {21, master, "| going down"}, {22, lowered, "| down"}, {23, master, "| down"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.policy.confirm, tt.policy.wait = time.Second, 5*time.Second
			m := newWANMachine(tt.policy, 7, wanEpoch)
			for i, s := range append(slices.Clone(tt.before), tt.steps...) {
				out := m.step(wanEpoch.Add(time.Duration(s.at)*time.Millisecond), s.ev)
				if diff := gocmp.Diff(s.want, showWAN(m, s.ev, out)); diff != "" {
					t.Fatalf("step %d, at %d ms, %+v (-want +got):\n%s", i+1, s.at, s.ev, diff)
				}
			}
		})
	}
}

// showWAN is what the machine did, and what it is now.
func showWAN(m *wanMachine, ev wanEvent, out wanOutput) string {
	s := ""
	if out.raise {
		s += "raise "
	}
	if out.lower {
		s += "lower "
	}
	if out.ask != 0 {
		s += fmt.Sprintf("ask %d ", out.ask)
	}
	if ev.kind == wanAsked {
		s += [...]string{"", "granted ", "refused ", "later "}[out.answer]
	}
	return s + "| " + m.state.String()
}

// A wanSim is two machines and a channel between them, in virtual time.
type wanSim struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Time
	todo     []wanTask
	n        int
	m        [2]*wanMachine
	deadline [2]time.Time
	busy     [2]time.Time // when the last effect ends: they are done one by one
	power    [2]bool      // the interface may send
	want     [2]wanRole
	cut      [2]bool // what i sends does not arrive
	worked   time.Time
	bothUp   time.Duration // since when the channel works for sure, and both were up
	log      []string
}

type wanTask struct {
	at time.Time
	n  int
	do func()
}

func (s *wanSim) after(d time.Duration, do func()) {
	s.n++
	s.todo = append(s.todo, wanTask{s.now.Add(d), s.n, do})
}

// within is a random time up to d.
func (s *wanSim) within(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }

// feed gives machine i an event and does what it says.
func (s *wanSim) feed(i int, ev wanEvent) wanAnswer {
	m := s.m[i]
	out := m.step(s.now, ev)
	s.log = append(s.log, fmt.Sprintf("%8.3f %d %+v -> %+v, %v", s.now.Sub(wanEpoch).Seconds(), i, ev, out, m.state))
	if s.deadline[i] = out.deadline; !out.deadline.IsZero() && out.deadline.Before(s.now) {
		s.fail("host %d wants to be called in the past", i)
	}
	for _, effect := range []struct {
		on   bool
		up   bool
		kind wanEventKind
	}{{out.raise, true, wanRaised}, {out.lower, false, wanLowered}} {
		if !effect.on {
			continue
		}
		// Up counts from its beginning, down from its end.
		start := s.busy[i]
		if start.Before(s.now) {
			start = s.now
		}
		end := start.Add(s.within(30 * time.Millisecond))
		s.busy[i] = end
		failed := s.rng.IntN(20) == 0
		if effect.up {
			s.after(start.Sub(s.now), func() { s.power[i] = true; s.check() })
		}
		s.after(end.Sub(s.now), func() {
			if !effect.up && !failed {
				s.power[i] = false
			}
			s.feed(i, wanEvent{kind: effect.kind, failed: failed})
		})
	}
	if out.ask != 0 {
		s.ask(i, out.ask)
	}
	return out.answer
}

// ask carries a question to the other host, and its answer back.
func (s *wanSim) ask(i int, seq uint64) {
	const timeout = 900 * time.Millisecond
	peer, over := 1-i, false
	done := func(a wanAnswer) {
		if !over {
			over = true
			s.feed(i, wanEvent{kind: wanAnswered, seq: seq, answer: a})
		}
	}
	question := wanEvent{kind: wanAsked, from: s.m[i].id, up: s.m[i].state == wanUp}
	s.after(timeout, func() { done(wanNoAnswer) })
	s.after(s.within(200*time.Millisecond), func() {
		if s.cut[i] {
			return
		}
		a := s.feed(peer, question)
		s.after(s.within(200*time.Millisecond), func() {
			if !s.cut[peer] {
				done(a)
			}
		})
	})
}

// check is the invariant: two hosts that can speak are never both up.
func (s *wanSim) check() {
	if s.power[0] && s.power[1] && !s.worked.IsZero() && s.now.Sub(s.worked) > s.bothUp {
		s.fail("both are up, with a channel that works since %v", s.worked.Sub(wanEpoch))
	}
}

func (s *wanSim) fail(format string, args ...any) {
	s.t.Helper()
	for _, l := range s.log[max(len(s.log)-40, 0):] {
		s.t.Log(l)
	}
	s.t.Fatalf(format, args...)
}

// run runs until end.
func (s *wanSim) run(end time.Duration) {
	for {
		for i, d := range s.deadline {
			if !d.IsZero() {
				s.deadline[i] = time.Time{}
				s.after(d.Sub(s.now), func() { s.feed(i, wanEvent{}) })
			}
		}
		slices.SortFunc(s.todo, func(a, b wanTask) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.n, b.n)) })
		if len(s.todo) == 0 || s.todo[0].at.Sub(wanEpoch) > end {
			s.now = wanEpoch.Add(end)
			return
		}
		task := s.todo[0]
		s.todo = s.todo[1:]
		s.now = task.at
		task.do()
		s.check()
	}
}

// role tells machine i what CARP makes of it.
func (s *wanSim) role(i int, role wanRole) {
	s.want[i] = role
	s.feed(i, wanEvent{kind: wanRoleIs, role: role, unplanned: s.rng.IntN(2) == 0, heard: s.rng.IntN(4) == 0})
}

func newWANSim(t *testing.T, seed uint64, policy wanPolicy) *wanSim {
	s := &wanSim{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: wanEpoch, worked: wanEpoch}
	for i := range s.m {
		s.m[i] = newWANMachine(policy, s.rng.Uint32(), s.now)
		s.power[i] = s.rng.IntN(2) == 0 // left up by somebody before us
		s.feed(i, wanEvent{})
	}
	if s.power[0] && s.power[1] {
		s.power[1] = false
	}
	return s
}

// TestWANNeverBoth has roles change at random, as no CARP would: two hosts that can
// speak are never both up, whatever the order of things, and with stay-down they are
// not without a channel either. A single master gets the interface in the end.
func TestWANNeverBoth(t *testing.T) {
	for seed := range uint64(150) {
		policy := wanPolicy{confirm: time.Second, wait: 5 * time.Second, stayDown: seed%4 == 3}
		s := newWANSim(t, seed, policy)
		for at := time.Second; at < 60*time.Second; at += s.within(2 * time.Second) {
			s.run(at)
			if policy.stayDown && s.rng.IntN(5) == 0 {
				s.cut[s.rng.IntN(2)] = s.rng.IntN(2) == 0
			}
			s.role(s.rng.IntN(2), wanRole(s.rng.IntN(3)))
		}
		s.cut = [2]bool{}
		s.role(0, wanBackup)
		s.role(1, wanMaster)
		s.run(s.now.Sub(wanEpoch) + 20*time.Second)
		if !s.power[1] || s.power[0] || s.m[1].state != wanUp {
			s.fail("seed %d: in the end %v, %v", seed, s.m[0].state, s.m[1].state)
		}
		s.role(0, wanMaster) // two masters for good: the one that is up stays so
		s.run(s.now.Sub(wanEpoch) + 30*time.Second)
		if !s.power[1] || s.m[1].state != wanUp {
			s.fail("seed %d: the second of two masters took it", seed)
		}
	}
}

// TestWANHeals cuts the channel while both are masters: then both are up, which nobody
// can prevent but with stay-down. Soon after it works again one of them is, for good.
func TestWANHeals(t *testing.T) {
	split := 0
	for seed := range uint64(150) {
		s := newWANSim(t, seed, wanPolicy{confirm: time.Second, wait: 5 * time.Second})
		s.worked = time.Time{}
		s.run(time.Second)
		s.role(0, wanMaster)
		s.run(s.now.Sub(wanEpoch) + s.within(8*time.Second))
		s.cut = [2]bool{true, seed%2 == 0} // or only one way
		s.role(1, wanMaster)
		s.run(s.now.Sub(wanEpoch) + 10*time.Second)
		if s.power[0] && s.power[1] {
			split++
		}
		s.cut = [2]bool{}
		s.worked, s.bothUp = s.now, 4*time.Second // a question that waits, one a second, a lower that fails once
		s.run(s.now.Sub(wanEpoch) + 30*time.Second)
		if s.power[0] == s.power[1] {
			s.fail("seed %d: both are %v", seed, s.m[0].state)
		}
	}
	if split < 50 {
		t.Errorf("both were up in %d of 150 runs: the test does not show what it is for", split)
	}
}
