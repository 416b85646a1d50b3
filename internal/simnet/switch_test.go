package simnet

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// station is a host behind a switch that keeps what it hears.
type station struct {
	id    NodeID
	cable SegmentID
	heard []string
}

func (s *station) Packet(_ SegmentID, _ NodeID, f []byte) { s.heard = append(s.heard, string(f[14:])) }
func (s *station) Timer(int)                              {}

// office is a switch with stations, whose address is their number.
type office struct {
	t        *testing.T
	net      *Net[[]byte]
	sw       *Switch
	stations []*station
}

func newOffice(t *testing.T, stations int) *office {
	o := &office{t: t, net: New[[]byte](time.Unix(0, 0), 1)}
	o.sw = NewSwitch(o.net)
	for range stations {
		s := new(station)
		s.id = o.net.AddNode(s, 0)
		s.cable = o.sw.Connect(s.id, Faults{MinDelay: time.Microsecond, MaxDelay: time.Millisecond, InOrder: true})
		o.stations = append(o.stations, s)
	}
	return o
}

const everybody = 0xff

// send sends a frame of station from to the address dst, with the source src.
func (o *office) send(from int, dst, src byte, text string) {
	addr := func(n byte) []byte {
		if n == everybody {
			return slices.Repeat([]byte{0xff}, 6)
		}
		return []byte{2, 0, 0, 0, 0, n}
	}
	f := slices.Concat(addr(dst), addr(src), []byte{0x88, 0xb5}, []byte(text))
	s := o.stations[from]
	o.net.Broadcast(s.cable, s.id, f)
	o.net.RunUntil(o.net.Now().Add(10 * time.Millisecond))
}

// want wants each station to have heard these texts since the last time.
func (o *office) want(why string, want ...[]string) {
	o.t.Helper()
	var got [][]string
	for _, s := range o.stations {
		got = append(got, s.heard)
		s.heard = nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Errorf("%s:\n%s", why, diff)
	}
}

func TestSwitchLearns(t *testing.T) {
	o := newOffice(t, 3)
	o.send(0, 1, 0, "hello")
	o.want("an address that was not learnt is flooded, but not back", nil, []string{"hello"}, []string{"hello"})
	o.send(1, 0, 1, "yes?")
	o.want("one that was learnt is not flooded", []string{"yes?"}, nil, nil)
	o.send(2, everybody, 2, "hi all")
	o.want("a broadcast is", []string{"hi all"}, []string{"hi all"}, nil)
	o.send(0, 0, 0, "echo")
	o.want("what is for the port it came from goes nowhere", nil, nil, nil)

	o.send(2, everybody, 1, "I am 1")
	o.want("one may use another's address", []string{"I am 1"}, []string{"I am 1"}, nil)
	o.send(0, 1, 0, "for 1")
	o.want("an address follows its last frame", nil, nil, []string{"for 1"})
}

func TestSwitchLearnsNoGroup(t *testing.T) {
	o := newOffice(t, 3)
	o.send(0, 1, everybody, "from nobody")
	o.want("a group as source", nil, []string{"from nobody"}, []string{"from nobody"})
	o.send(1, everybody, 1, "all")
	o.want("is not learnt", []string{"all"}, nil, []string{"all"})
}

func TestSwitchUnplug(t *testing.T) {
	o := newOffice(t, 3)
	o.send(1, everybody, 1, "here")
	o.want("all hear it", []string{"here"}, nil, []string{"here"})

	o.sw.Unplug(o.stations[1].cable)
	o.send(1, everybody, 1, "out")
	o.send(0, 1, 0, "in")
	o.want("nothing passes a dead link, and its addresses are flooded", nil, nil, []string{"in"})

	o.sw.Plug(o.stations[1].cable)
	o.send(0, 1, 0, "again")
	o.want("plugged in, not learnt yet", nil, []string{"again"}, []string{"again"})
}

// TestSwitchUnplugUnderWay pulls a cable while a frame is on it.
func TestSwitchUnplugUnderWay(t *testing.T) {
	o := newOffice(t, 2)
	s := o.stations[0]
	o.net.Broadcast(s.cable, s.id, slices.Concat(slices.Repeat([]byte{0xff}, 6), []byte{2, 0, 0, 0, 0, 0, 0x88, 0xb5, 'x'}))
	o.sw.Unplug(s.cable)
	o.net.RunUntil(o.net.Now().Add(time.Second))
	o.want("lost", nil, nil)
	o.sw.Plug(s.cable)
	o.send(1, 0, 1, "who")
	o.want("flooded to one", []string{"who"}, nil)
}

func TestSwitchDrop(t *testing.T) {
	o := newOffice(t, 3)
	a, b := o.stations[0].cable, o.stations[1].cable
	o.sw.Drop = func(f []byte, in, out SegmentID) bool { return f[0] == 0xff && in == a && out == b }
	o.send(0, everybody, 0, "one")
	o.want("from the first to the third only", nil, nil, []string{"one"})
	o.send(1, everybody, 1, "two")
	o.want("the other way to all", []string{"two"}, nil, []string{"two"})
	o.send(1, 0, 1, "three")
	o.want("the source of a dropped frame was learnt", []string{"three"}, nil, nil)
}

func TestSwitchShortFrames(t *testing.T) {
	o := newOffice(t, 2)
	for n := range ethernetLen {
		o.net.Broadcast(o.stations[0].cable, o.stations[0].id, make([]byte, n))
	}
	o.net.RunUntil(o.net.Now().Add(time.Second))
	o.want("no frame without a header passes", nil, nil)
}
