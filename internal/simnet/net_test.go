package simnet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A lab is a net of numbered packets, and what its nodes told of them.
type lab struct {
	*Net[int]
	t     *testing.T
	ears  []*ear
	heard []string
}

// An ear is a node that writes down what happens to it.
type ear struct {
	lab   *lab
	id    NodeID
	timer func() // more to do at a timer
}

var dawn = time.Unix(1000, 0)

// newLab makes nodes with two timers each, on one segment.
func newLab(t *testing.T, seed uint64, nodes int, f Faults) *lab {
	l := &lab{Net: New[int](dawn, seed), t: t}
	var all []NodeID
	for range nodes {
		e := &ear{lab: l}
		e.id = l.AddNode(e, 2)
		l.ears, all = append(l.ears, e), append(all, e.id)
	}
	l.AddSegment(f, all...)
	return l
}

func (l *lab) ms() int64 { return l.Now().Sub(dawn).Milliseconds() }

// Packet implements Handler.
func (e *ear) Packet(_ SegmentID, from NodeID, p int) {
	e.lab.heard = append(e.lab.heard, fmt.Sprintf("%d: %d hears %d of %d", e.lab.ms(), e.id, p, from))
}

// Timer implements Handler.
func (e *ear) Timer(n int) {
	e.lab.heard = append(e.lab.heard, fmt.Sprintf("%d: %d timer %d", e.lab.ms(), e.id, n))
	if e.timer != nil {
		e.timer()
	}
}

// at is a time on the lab's clock.
func at(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }

func (l *lab) run(ms int) { l.RunUntil(at(ms)) }

// want wants these things to have happened since the last time, in this order.
func (l *lab) want(why string, want ...string) {
	l.t.Helper()
	if d := cmp.Diff(want, l.heard); d != "" {
		l.t.Errorf("%s (-want +got):\n%s", why, d)
	}
	l.heard = nil
}

func TestOrder(t *testing.T) {
	l := newLab(t, 1, 3, Faults{MinDelay: 5 * time.Millisecond})
	l.SetTimer(1, 0, at(5))
	l.Broadcast(0, 0, 1)
	l.Send(0, 2, 1, 2)
	l.SetTimer(0, 1, at(3))
	l.run(4)
	l.want("nothing ahead of its time", "3: 0 timer 1")
	l.run(5)
	l.want("at the same time, as it came", "5: 1 timer 0", "5: 1 hears 1 of 0", "5: 2 hears 1 of 0", "5: 1 hears 2 of 2")
	l.run(100)
	if l.want("all done"); l.ms() != 100 {
		t.Errorf("the clock shows %d ms", l.ms())
	}
	if l.run(50); l.ms() != 100 {
		t.Errorf("the clock went back to %d ms", l.ms())
	}
}

func TestTimers(t *testing.T) {
	l := newLab(t, 1, 1, Faults{})
	set := func(ms int) { l.SetTimer(0, 0, at(ms)) }

	set(10)
	set(30)
	l.run(29)
	l.want("set later")
	l.run(31)
	l.want("set later, and due", "30: 0 timer 0")

	set(60)
	set(40)
	l.run(70)
	l.want("set earlier: once", "40: 0 timer 0")

	set(80)
	l.SetTimer(0, 0, time.Time{})
	l.run(90)
	l.want("stopped")
	set(100)
	l.SetTimer(0, 0, time.Time{})
	set(100)
	l.run(110)
	l.want("stopped and set again: once", "100: 0 timer 0")

	set(50)
	l.run(110)
	l.want("already past: at once", "110: 0 timer 0")

	set(140)
	set(120) // leaves an event at 140 in the queue
	l.run(120)
	set(140)
	l.SetTimer(0, 1, at(140))
	l.run(150)
	l.want("set to where an old event waits: once", "120: 0 timer 0", "140: 0 timer 0", "140: 0 timer 1")

	n := 0
	l.ears[0].timer = func() {
		if n++; n < 3 {
			set(160 + 10*n)
		}
	}
	set(160)
	l.run(300)
	l.want("set by itself", "160: 0 timer 0", "170: 0 timer 0", "180: 0 timer 0")
}

// play runs nodes that talk and fall asleep at random, and returns what they told.
func play(l *lab) string {
	l.heard = nil
	for i := range 200 {
		l.Broadcast(0, NodeID(i%3), i)
		l.SetTimer(NodeID(i%3), i%2, l.Now().Add(time.Duration(l.Rand().IntN(30))*time.Millisecond))
		switch id := NodeID(l.Rand().IntN(3)); l.Rand().IntN(6) {
		case 0:
			l.Pause(id)
		case 1:
			l.Thaw(id)
		case 2:
			l.Crash(id)
		case 3:
			l.Restart(id)
		}
		l.run(i * 5)
	}
	return strings.Join(l.heard, "\n")
}

func TestSeedDecides(t *testing.T) {
	f := Faults{Loss: 0.2, Duplicate: 0.2, MaxDelay: 20 * time.Millisecond}
	first := play(newLab(t, 7, 3, f))
	if strings.Count(first, "\n") < 200 {
		t.Fatalf("little happened:\n%s", first)
	}
	if second := play(newLab(t, 7, 3, f)); first != second {
		t.Error("the same seed, another run")
	}
	if other := play(newLab(t, 8, 3, f)); first == other {
		t.Error("another seed, the same run")
	}

	// A net that was used before is as good as new.
	used := newLab(t, 9, 3, f)
	play(used)
	used.Cut(0, 0, 1)
	used.Reset(dawn, 7)
	for _, e := range used.ears {
		used.AddNode(e, 2)
	}
	used.AddSegment(f, 0, 1, 2)
	if again := play(used); first != again {
		t.Error("after Reset, another run")
	}
}

// quiet is a node that tells nothing.
type quiet struct{}

func (quiet) Packet(SegmentID, NodeID, int) {}
func (quiet) Timer(int)                     {}

func TestNoAllocs(t *testing.T) {
	n := New[int](dawn, 1)
	for range 4 {
		n.AddNode(quiet{}, 1)
	}
	n.AddSegment(Faults{Loss: 0.1, Duplicate: 0.5, MaxDelay: time.Second, InOrder: true}, 0, 1, 2, 3)
	talk := func() {
		for i := range 500 {
			id := NodeID(i % 4)
			n.Broadcast(0, id, i)
			n.SetTimer(id, 0, n.Now().Add(time.Duration(500-i)*time.Millisecond))
			if i == 250 {
				n.Pause(1)
			}
		}
		n.RunUntil(n.Now().Add(2 * time.Second))
		n.Thaw(1)
		n.RunUntil(n.Now().Add(time.Second))
	}
	// The numbers of packets that are duplicated or lost differ a little.
	for range 100 {
		talk()
	}
	if mean := testing.AllocsPerRun(20, talk); mean != 0 {
		t.Errorf("%v allocations for 1500 packets", mean)
	}
	if all, spare := len(n.slots.all), len(n.slots.spare); all != spare || n.queue.len() != 0 {
		t.Errorf("at rest %d of %d slots are spare and %d events wait", spare, all, n.queue.len())
	}
}

// A timer that is set later each time, as a backup's is, must not fill the queue,
// and what setting it earlier leaves there must not last.
func TestTimersDoNotPileUp(t *testing.T) {
	l := newLab(t, 1, 1, Faults{})
	for i := range 100 {
		l.SetTimer(0, 0, at(1000+i))
	}
	if n := l.queue.len(); n != 1 {
		t.Errorf("%d events for one timer", n)
	}
	for i := range 100 {
		l.SetTimer(0, 0, at(900-i))
	}
	l.ears[0].timer = func() { l.SetTimer(0, 0, l.Now().Add(10*time.Millisecond)) }
	l.run(2000)
	if n := l.queue.len(); n != 1 {
		t.Errorf("%d events for one timer after a while", n)
	}
}
