package carp_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
	"github.com/gocarp/gocarp/demote"
)

// An election is a recording of two real nodes. Ours takes the place of one of
// them: it gets the same commands and hears the adverts of the other, each at
// its time, and must be master when the real one was, as the adverts tell.
type election struct {
	Timeline []command `json:"timeline"` // of OpenBSD captures
	Commands []command `json:"commands"` // of FreeBSD captures
}

type command struct {
	T     float64 `json:"t"`
	On    string  `json:"on"`    // the node, in OpenBSD captures
	Guest string  `json:"guest"` // the node, in FreeBSD captures
	Cmd   string  `json:"cmd"`
	Note  string  `json:"note"`
}

// A place is a node of a recording.
type place struct {
	node    string       // in the recording
	dialect carp.Dialect // what it was
	addr    [2]string    // its addresses on LAN and WAN
	six     string       // a part of its link-local address that the other one lacks
}

// How late the kernels are. OpenBSD's clock ticks every 10 ms; the emulator's
// FreeBSD runs up to 7 % late, and the recordings' clock was another machine's.
const (
	openBSDLate = 150 * time.Millisecond
	freeBSDLate = 500 * time.Millisecond
)

func TestElectionsOpenBSD(t *testing.T) {
	fw1 := place{"fw1", carp.OpenBSD, [2]string{"10.1.0.11", "203.0.113.11"}, ":ff:fe0b:10"}
	fw2 := place{"fw2", carp.OpenBSD, [2]string{"10.1.0.12", "203.0.113.12"}, ":ff:fe0b:20"}
	pcaps := [2]string{".pcap", "-wan.pcap"}
	for _, name := range []string{
		"carp-election-nopreempt", "carp-election-preempt", "carp-linkdown", "carp-unicast", "carp-badauth",
	} {
		for _, p := range []place{fw1, fw2} {
			replayElection(t, filepath.Join("openbsd", name), pcaps, p, openBSDLate)
		}
	}
	for _, name := range []string{"carp-down", "carp-v4-multi"} {
		replayElection(t, filepath.Join("openbsd", name), pcaps, fw1, openBSDLate)
	}
	// The kernel also advertises at a raise that changes nothing, the sum being 255
	// already, and is out of step with us from then on.
	replayElection(t, filepath.Join("openbsd", "carp-demote"), pcaps, fw1, time.Second)
}

func TestElectionsFreeBSD(t *testing.T) {
	fw1 := place{"fw1", carp.FreeBSD12, [2]string{"10.1.0.2", "10.2.0.2"}, ":ff:fe01:"}
	fw2 := place{"fw2", carp.FreeBSD12, [2]string{"10.1.0.3", "10.2.0.3"}, ":ff:fe02:"}
	pcaps := [2]string{".lan.pcap", ".wan.pcap"}
	for _, name := range []string{
		"carp-election-nopreempt", "carp-election-preempt", "carp-group-failover", "carp-forced-state",
		"carp-mismatch", "carp-sysctls",
	} {
		for _, p := range []place{fw1, fw2} {
			replayElection(t, filepath.Join("freebsd", name), pcaps, p, freeBSDLate)
		}
	}
	for _, name := range []string{"carp-demotion", "carp-interface-down-one-guest"} {
		replayElection(t, filepath.Join("freebsd", name), pcaps, fw1, freeBSDLate)
	}
	// Two equals that began 15 ms apart. The first one won; in the place of the
	// other, whether its time-out or that advert comes first is up to the emulator.
	replayElection(t, filepath.Join("freebsd", "carp-equal-skew"), pcaps, fw2, freeBSDLate)
}

// A FreeBSD and an OpenBSD kernel in one virtual host.
func TestElectionsMixed(t *testing.T) {
	fw1 := place{"fw1", carp.FreeBSD12, [2]string{"10.1.0.2"}, ":ff:fe01:"}
	ob := place{"ob (OpenBSD)", carp.OpenBSD, [2]string{"10.1.0.3"}, ":ff:fe02:"}
	for _, name := range []string{"mixed-carp-ipv4", "mixed-carp-ipv4-openbsd-master", "mixed-carp-dual"} {
		replayElection(t, filepath.Join("freebsd", name), [2]string{".lan.pcap", ".wan.pcap"}, fw1, freeBSDLate)
		replayElection(t, filepath.Join("freebsd", name), [2]string{".lan.pcap", ".wan.pcap"}, ob, openBSDLate)
	}
}

// replayElection runs one place of one recording, wherever it is found.
func replayElection(t *testing.T, name string, pcaps [2]string, p place, late time.Duration) {
	for i, dir := range captureDirs() {
		file := filepath.Join(dir, name)
		if !exists(file+".json") && i > 0 {
			continue
		}
		t.Run(fmt.Sprintf("%s/%s/%s", filepath.Base(dir), filepath.Base(name), p.node), func(t *testing.T) {
			e := readJSON[election](t, file+".json")
			inWorld(t, func(t *testing.T, w *world) {
				s := newStandIn(w, p, e, [2][]capturedPacket{readFrames(t, file+pcaps[0]), readFrames(t, file+pcaps[1])})
				s.run()
				for i := range s.real {
					compareReigns(t, []string{"LAN", "WAN"}[i], s.real[i], s.ours[i], late)
				}
			})
		})
	}
}

// A standIn is our node in the place of a real one.
type standIn struct {
	w     *world
	place place
	start time.Time // of the recording

	segs    [2]*carptest.Segment
	ports   [2]*carptest.Port
	nodes   [2]*carp.Node
	links   [2]chan carp.Link
	hosts   demote.Groups
	members map[string]*demote.Member // by OpenBSD interface
	shared  demote.Counter
	vhids   map[string]uint8 // by OpenBSD interface
	dev     map[uint8]int    // LAN or WAN, by vhid
	preempt bool             // net.inet.carp.preempt

	events []event
	end    time.Time
	real   [2][]capturedPacket // what the real node sent, IPv4
	ours   [2][]capturedPacket // what ours sent, in the recording's time
}

// An event is something that happens to the node.
type event struct {
	at time.Time
	do func()
}

func newStandIn(w *world, p place, e election, frames [2][]capturedPacket) *standIn {
	s := &standIn{w: w, place: p, vhids: make(map[string]uint8), members: make(map[string]*demote.Member), dev: make(map[uint8]int)}
	for _, c := range append(e.Timeline, e.Commands...) {
		at := time.UnixMicro(int64(c.T * 1e6))
		if s.start.IsZero() {
			s.start = at.Add(-time.Second)
		}
		switch {
		case strings.HasPrefix(c.Note, p.node+" killed"),
			c.On == p.node && strings.HasSuffix(c.Cmd, " destroy"): // we bow out then, OpenBSD does not
			s.end = at
		case c.On == p.node || c.Guest == p.node:
			for part := range strings.SplitSeq(c.Cmd, ";") {
				s.events = append(s.events, event{at, func() { s.command(strings.Fields(part)) }})
			}
		}
	}
	killed := !s.end.IsZero()
	for i := range s.segs {
		s.segs[i] = carptest.NewSegment(1)
		other := s.segs[i].Attach("other")
		for _, f := range frames[i] {
			if f.at.After(s.end) && !killed {
				s.end = f.at
			}
			own := f.packet.Src == netip.MustParseAddr("::") || f.packet.Src.String() == p.addr[i] ||
				p.six != "" && strings.Contains(f.packet.Src.String(), p.six)
			switch {
			case !own:
				s.events = append(s.events, event{f.at, func() { other.SendRaw(f.packet) }})
			case f.packet.Src.Is4():
				s.real[i] = append(s.real[i], f)
			}
		}
	}
	return s
}
