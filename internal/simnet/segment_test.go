package simnet

import (
	"math"
	"testing"
	"time"
)

// A counter is a node that counts and clocks what reaches it.
type counter struct {
	net       *Net[time.Time] // packets carry the time they were sent
	arrived   int
	least     time.Duration
	most      time.Duration
	last      time.Time
	overtaken int
}

func (c *counter) Packet(_ SegmentID, _ NodeID, sent time.Time) {
	d := c.net.Now().Sub(sent)
	if c.arrived == 0 {
		c.least = d
	}
	c.arrived++
	c.least, c.most = min(c.least, d), max(c.most, d)
	if sent.Before(c.last) {
		c.overtaken++
	}
	c.last = sent
}

func (c *counter) Timer(int) {}

// send sends packets from one node to another, a millisecond apart, and reports
// how many Send said were on their way.
func send(f Faults, packets int) (c *counter, underWay int) {
	n := New[time.Time](dawn, 1)
	c = &counter{net: n}
	from, to := n.AddNode(c, 0), n.AddNode(c, 0)
	seg := n.AddSegment(f, from, to)
	for range packets {
		if n.Send(seg, from, to, n.Now()) {
			underWay++
		}
		n.RunUntil(n.Now().Add(time.Millisecond))
	}
	n.RunUntil(n.Now().Add(time.Hour))
	return c, underWay
}

func TestFaults(t *testing.T) {
	const packets = 50_000
	near := func(got int, want float64) bool { return math.Abs(float64(got)-want*packets) < 0.01*packets }
	for _, tt := range []struct {
		name     string
		f        Faults
		underWay float64 // of the packets
		arrived  float64
	}{
		{"perfect", Faults{}, 1, 1},
		{"loss", Faults{Loss: 0.3}, 0.7, 0.7},
		{"duplicates", Faults{Duplicate: 0.3}, 1, 1.3},
		{"both", Faults{Loss: 0.5, Duplicate: 0.5}, 0.5, 0.75},
		{"all lost", Faults{Loss: 1, Duplicate: 1}, 0, 0},
		{"always twice", Faults{Duplicate: 1}, 1, 2},
	} {
		c, underWay := send(tt.f, packets)
		if !near(underWay, tt.underWay) || !near(c.arrived, tt.arrived) || c.most != 0 {
			t.Errorf("%s: of %d packets %d were under way and %d arrived, after up to %v",
				tt.name, packets, underWay, c.arrived, c.most)
		}
	}
}

func TestDelay(t *testing.T) {
	const ms = time.Millisecond
	c, _ := send(Faults{MinDelay: 5 * ms, MaxDelay: 25 * ms}, 10_000)
	if c.least < 5*ms || c.least > 6*ms || c.most < 24*ms || c.most > 25*ms || c.overtaken == 0 {
		t.Errorf("took %v to %v, %d overtaken", c.least, c.most, c.overtaken)
	}
	c, _ = send(Faults{MinDelay: 5 * ms, MaxDelay: 25 * ms, Duplicate: 0.5, InOrder: true}, 10_000)
	if c.least < 5*ms || c.most > 25*ms || c.overtaken != 0 {
		t.Errorf("in order: took %v to %v, %d overtaken", c.least, c.most, c.overtaken)
	}
	c, _ = send(Faults{MinDelay: 5 * ms}, 100) // no MaxDelay: exactly MinDelay
	if c.least != 5*ms || c.most != 5*ms {
		t.Errorf("fixed delay: took %v to %v", c.least, c.most)
	}
}

// Other senders do not overtake either: a port of a switch has one queue.
func TestInOrderAcrossSenders(t *testing.T) {
	for seed := range uint64(50) {
		l := newLab(t, seed, 3, Faults{MaxDelay: 50 * time.Millisecond, InOrder: true})
		l.Send(0, 0, 2, 1)
		l.run(1)
		l.Send(0, 1, 2, 2)
		l.run(100)
		if len(l.heard) != 2 || l.heard[0][len(l.heard[0])-1] != '0' {
			t.Fatalf("seed %d: %q", seed, l.heard)
		}
	}
}

func TestCut(t *testing.T) {
	l := newLab(t, 1, 3, Faults{})
	l.Cut(0, 0, 1)
	if l.Reaches(0, 0, 1) || !l.Reaches(0, 1, 0) || !l.Reaches(0, 0, 2) || l.Send(0, 0, 1, 1) {
		t.Error("the cut is not where it was made")
	}
	l.Broadcast(0, 0, 1)
	l.Broadcast(0, 1, 2)
	l.run(1)
	l.want("one way only", "0: 2 hears 1 of 0", "0: 0 hears 2 of 1", "0: 2 hears 2 of 1")
	l.Join(0, 0, 1)
	l.Send(0, 0, 1, 3)
	l.run(2)
	l.want("joined", "1: 1 hears 3 of 0")
}

// What is under way when a cable is cut still arrives.
func TestCutUnderWay(t *testing.T) {
	l := newLab(t, 1, 2, Faults{MinDelay: 5 * time.Millisecond})
	l.Send(0, 0, 1, 1)
	l.Cut(0, 0, 1)
	l.run(10)
	l.want("under way", "5: 1 hears 1 of 0")
}

func TestSplit(t *testing.T) {
	l := newLab(t, 1, 4, Faults{})
	other := l.AddSegment(Faults{}, 0, 3)
	l.Split(0, 0, 1)
	for from := range NodeID(4) {
		for to := range NodeID(4) {
			if want := (from < 2) == (to < 2); from != to && l.Reaches(0, from, to) != want {
				t.Errorf("%d reaches %d: %v", from, to, !want)
			}
		}
	}
	l.Broadcast(0, 0, 1)
	l.Broadcast(other, 0, 2)
	l.run(1)
	l.want("each side for itself, another segment untouched", "0: 1 hears 1 of 0", "0: 3 hears 2 of 0")

	l.Split(0, 0) // of what is left
	l.Broadcast(0, 0, 3)
	l.run(2)
	l.want("alone")
	l.Cut(0, 3, 2)
	l.Heal(0)
	l.Broadcast(0, 3, 4)
	l.run(3)
	l.want("healed", "2: 0 hears 4 of 3", "2: 1 hears 4 of 3", "2: 2 hears 4 of 3")
}

// Who is not on a segment hears nothing of it.
func TestMembers(t *testing.T) {
	l := newLab(t, 1, 3, Faults{})
	seg := l.AddSegment(Faults{}, 1, 2)
	l.Broadcast(seg, 1, 1)
	l.run(1)
	l.want("members", "0: 2 hears 1 of 1")
}

func TestSetFaults(t *testing.T) {
	l := newLab(t, 1, 2, Faults{Loss: 1})
	l.Cut(0, 1, 0)
	l.Broadcast(0, 0, 1)
	l.SetFaults(0, Faults{MinDelay: 3 * time.Millisecond})
	l.Broadcast(0, 0, 2)
	l.Broadcast(0, 1, 3)
	l.run(9)
	l.want("new faults, old cuts", "3: 1 hears 2 of 0")
}
