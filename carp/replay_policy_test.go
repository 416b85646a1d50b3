package carp_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

func strict(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Replay = carp.ReplayStrict }

// recorder is an attacker who hears everything.
type recorder struct {
	port *carptest.Port
	mu   sync.Mutex
	last map[string]carp.Packet // by sender
}

func (w *world) recorder() *recorder {
	r := &recorder{port: w.seg.Attach("recorder"), last: make(map[string]carp.Packet)}
	w.seg.Tap(func(rec carptest.Record) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if rec.From != "recorder" {
			r.last[rec.From] = rec.Packet
		}
	})
	return r
}

// heard is the last advert of a node.
func (r *recorder) heard(who string) carp.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[who]
}

// replay sends the last advert of a node again, with an interval that the digest
// does not cover.
func (r *recorder) replay(who string, advbase, advskew uint8) {
	p := r.heard(who)
	p.Data = slices.Clone(p.Data)
	p.Data[2], p.Data[5] = advskew, advbase
	sum(p.Data)
	r.port.SendRaw(p)
}

// The attack of section 7.1: a recorded advert, made a bow-out, makes every
// backup master. With ReplayStrict it does nothing but count.
func TestReplayedBowOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.recorder()
		w.node("a")
		b := w.node("b", advskew(100))
		w.sleep(4500 * time.Millisecond)
		r.replay("a", 255, 255)
		b.want("falls for it, as the kernels do", carp.Master)
	})
	inWorld(t, func(t *testing.T, w *world) {
		r := w.recorder()
		a, b := w.node("a", strict), w.node("b", strict, advskew(100))
		w.sleep(4500 * time.Millisecond)
		b.before = b.Status().Stats
		r.replay("a", 255, 255)
		b.wantStats("counts it", carp.Stats{InPackets: 1, Replays: 1})
		b.want("does not fall for it", carp.Backup)
		r.replay("a", 1, 0)
		b.wantStats("counts a plain repetition", carp.Stats{InPackets: 1, Replays: 1})
		w.sleep(time.Minute)
		r.replay("a", 0, 0)
		a.want("is not silenced by its own advert", carp.Master)
		b.want("has a quiet minute", carp.Backup)
	})
}

// A dead master cannot be kept alive by its last advert.
func TestReplayKeepsNoDeadMasterAlive(t *testing.T) {
	for _, test := range []struct {
		policy carp.ReplayPolicy
		want   carp.State
	}{{carp.ReplayLoop, carp.Backup}, {carp.ReplayStrict, carp.Master}} {
		inWorld(t, func(t *testing.T, w *world) {
			r := w.recorder()
			policy := func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Replay = test.policy }
			w.node("a", policy)
			b := w.node("b", policy, advskew(100))
			w.sleep(4500 * time.Millisecond)
			dead := r.heard("a")
			w.seg.Partition([]string{"a"})
			for range 20 {
				r.port.SendRaw(dead)
				time.Sleep(time.Second)
			}
			b.want("with policy "+test.policy.String(), test.want)
		})
	}
}

// Whoever restarts is believed at once, and believes at once.
func TestReplayStrictRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a", strict, preempt), w.node("b", strict, preempt, advskew(100))
		for range 3 {
			w.sleep(5 * time.Second)
			a.want("is master", carp.Master)
			b.want("is backup", carp.Backup)
			a.stop()
			b.want("takes over", carp.Master)
			a = w.node("a", strict, preempt)
		}
		for range 3 {
			w.sleep(5 * time.Second)
			a.want("stays master", carp.Master)
			b.stop()
			b = w.node("b", strict, preempt, advskew(100))
			w.sleep(5 * time.Second)
			b.want("hears the master", carp.Backup)
		}
		if n := a.Status().Stats.Replays + b.Status().Stats.Replays; n != 0 {
			t.Errorf("%d adverts refused, want 0", n)
		}
	})
}

// A restarted node has forgotten what it has seen: an old advert works against
// it until the window closes, and no longer.
func TestReplayStrictWindow(t *testing.T) {
	for _, test := range []struct {
		after time.Duration
		want  carp.State
	}{{9 * time.Second, carp.Backup}, {11 * time.Second, carp.Master}} {
		inWorld(t, func(t *testing.T, w *world) {
			r := w.recorder()
			a := w.node("a", strict)
			w.sleep(3500 * time.Millisecond) // an advert at 3 s
			old := r.heard("a")
			w.seg.Partition([]string{"a"})
			b := w.node("b", strict)
			w.sleep(test.after - 500*time.Millisecond)
			b.want("is master alone", carp.Master)
			r.port.SendRaw(old)
			b.want("judges the age of "+test.after.String(), test.want)
			a.stop()
		})
	}
}

// Clocks that disagree by more than the window: refused, counted, and two
// masters, as the documentation warns.
func TestReplayStrictClocks(t *testing.T) {
	for _, test := range []struct {
		off    time.Duration
		window time.Duration
		want   bool
	}{
		{9 * time.Second, 0, true}, {-9 * time.Second, 0, true},
		{11 * time.Second, 0, false}, {-11 * time.Second, 0, false},
		{11 * time.Second, time.Minute, true}, {2 * time.Second, time.Second, false},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("a", advskew(100), strict, func(_ *carp.NodeConfig, g *carp.GroupConfig) {
				g.ReplayWindow = test.window
			})
			p := w.peer("p", host())
			w.sleep(3500 * time.Millisecond)
			a.before = a.Status().Stats
			p.counter = uint64(time.Now().Add(test.off).UnixNano())
			p.advertise(1, 0, 0)
			if test.want {
				a.wantStats("takes it", carp.Stats{InPackets: 1})
				a.want("yields", carp.Backup)
			} else {
				a.wantStats("refuses it", carp.Stats{InPackets: 1, Replays: 1})
				a.want("stays", carp.Master)
			}
		})
	}
}

// A clock that is set back does not lock its node out for as long as it was ahead.
func TestReplayStrictClockSetBack(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := host()
	c.Replay, c.Seed = carp.ReplayStrict, 1
	a, err := carp.NewVirtualHost(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Seed, c.AdvSkew = 2, 100
	b, err := carp.NewVirtualHost(c)
	if err != nil {
		t.Fatal(err)
	}
	send := func(now time.Time) error {
		_, err := b.Receive(start, &a.AppendPackets(nil, now, carp.Header{VHID: c.VHID, AdvBase: 1})[0])
		return err
	}
	b.Step(start, carp.Event{Kind: carp.EventUp})
	a.Step(start, carp.Event{Kind: carp.EventUp})
	if err := send(start.Add(time.Hour)); !errors.Is(err, carp.ErrReplay) {
		t.Errorf("an hour ahead: %v, want ErrReplay", err)
	}
	if err := send(start); err != nil {
		t.Errorf("set right: %v", err)
	}
	if err := send(start.Add(-time.Second)); err != nil {
		t.Errorf("a second back: %v", err)
	}
}

// Two nodes that are alike to the nanosecond do not take each other for a loop.
func TestReplayStrictEqualNodes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.seg.SetFaults(carptest.Faults{Delay: time.Millisecond})
		a, b := w.node("a", strict), w.node("b", strict)
		w.sleep(time.Minute)
		if x, y := a.group(1).State, b.group(1).State; x == y {
			t.Errorf("both are %v", x)
		}
		if n := a.Status().Stats.Loops + b.Status().Stats.Loops; n != 0 {
			t.Errorf("%d loops", n)
		}
	})
}

// A switch that sends our adverts back: OpenBSD's own check, for all dialects.
func TestReplayLoop(t *testing.T) {
	for _, d := range []carp.Dialect{carp.OpenBSD, carp.FreeBSD, carp.NetBSD, carp.UCarp} {
		for _, policy := range []carp.ReplayPolicy{carp.ReplayLoop, carp.ReplayStrict} {
			inWorld(t, func(t *testing.T, w *world) {
				w.seg.SetReflect(true)
				w.seg.SetFaults(carptest.Faults{Delay: 3 * time.Millisecond})
				a := w.node("a", dialect(d), func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Replay = policy })
				w.sleep(time.Minute + 500*time.Millisecond)
				a.want("as "+d.String()+" is not fooled", carp.Master)
				s := a.Status().Stats
				if s.Loops == 0 || s.Loops != s.OutPackets || s.Preempt != 1 {
					t.Errorf("%v: %d loops of %d adverts, %d times master; want all, once", d, s.Loops, s.OutPackets, s.Preempt)
				}
			})
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.seg.SetReflect(true)
		a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Replay = carp.ReplayOff })
		w.sleep(time.Minute)
		if n := a.Status().Stats.Preempt; n < 2 {
			t.Error("without the check a reflection does no harm: this test tests nothing")
		}
	})
}

// Our advert comes back days later, from a queue or an attacker: the last 32 are
// known, older ones would not be.
func TestReplayLoopLate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.recorder()
		a := w.node("a")
		w.sleep(4500 * time.Millisecond)
		first := r.heard("a")
		w.sleep(30 * time.Second)
		r.port.SendRaw(first)
		a.want("knows its own advert", carp.Master)
		if n := a.Status().Stats.Loops; n != 1 {
			t.Errorf("%d loops, want 1", n)
		}
	})
}

// FreeBSD goes on from the counters it hears and so may use one of ours, with an
// interval of its own: no loop.
func TestReplayLoopSparesFreeBSD(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.recorder()
		a := w.node("a", dialect(carp.FreeBSD), advskew(100))
		w.sleep(3500 * time.Millisecond)
		r.replay("a", 1, 50)
		a.want("yields", carp.Backup)
	})
}

// Never 0, never a value twice, and random at the start: section 1.7.
func TestCounters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		seen := make(map[uint64]string)
		w.seg.Tap(func(r carptest.Record) {
			c := binary.BigEndian.Uint64(r.Packet.Data[8:])
			if _, dup := seen[c]; dup || c == 0 {
				t.Errorf("%s sent counter %#x, which %q had sent before", r.From, c, seen[c])
			}
			seen[c] = r.From
		})
		dual := addresses("10.0.0.1/24", "2001:db8::1/64")
		w.node("a", dual, preempt)
		w.node("b", dual, preempt, advskew(50))
		w.node("c", dual, preempt, advskew(100), func(_ *carp.NodeConfig, g *carp.GroupConfig) {
			g.Counter = 1<<64 - 3 // about to wrap
		})
		for i := range 20 {
			w.sleep(4 * time.Second)
			w.seg.Partition([]string{"abc"[i%3 : i%3+1]})
		}
		if len(seen) < 200 {
			t.Errorf("%d adverts, want more", len(seen))
		}
	})
}
