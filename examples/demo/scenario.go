package main

import (
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/simnet"
)

// A scenario is something that happens to the pair.
type scenario struct {
	name      string
	title     string
	singleWAN bool
	unsynced  bool // the sync cable is missing
	length    time.Duration
	steps     func(*world) []step
}

// A step is what somebody does, up to [stepSpread] after at.
type step struct {
	at   time.Duration
	node string // to which node; empty: to the network
	text string
	do   func() error
}

var scenarios = []scenario{
	{
		name: "planned", title: "the master is taken down for maintenance, and comes back",
		length: 32 * time.Second,
		steps: func(w *world) []step {
			return []step{
				{10 * time.Second, "fw1", "ifconfig down", always(w.fw1.down)},
				{20 * time.Second, "fw1", "ifconfig up", always(w.fw1.up)},
			}
		},
	},
	{
		name: "crash", title: "the master loses power, and comes back",
		length: 34 * time.Second,
		steps: func(w *world) []step {
			return []step{
				{10 * time.Second, "fw1", "power off", always(w.fw1.powerOff)},
				{22 * time.Second, "fw1", "power on", w.fw1.powerOn},
			}
		},
	},
	{
		name: "cable", title: "the LAN cable of the master is pulled, and plugged in again",
		length: 34 * time.Second,
		steps: func(w *world) []step {
			return []step{
				{10 * time.Second, "fw1", "LAN cable out", func() error { w.fw1.pull(&w.fw1.lan); return nil }},
				{22 * time.Second, "fw1", "LAN cable in", func() error { w.fw1.plug(&w.fw1.lan); return nil }},
			}
		},
	},
	{
		name: "partition", title: "the LAN switch stops passing multicast between the two, and is mended",
		length: 42 * time.Second,
		steps: func(w *world) []step {
			return []step{
				{10 * time.Second, "", "LAN multicast blocked", func() error { w.lan.Drop = w.betweenFirewalls; return nil }},
				{22 * time.Second, "", "LAN multicast passes", func() error { w.lan.Drop = nil; return nil }},
			}
		},
	},
	{
		name: "single-wan", title: "one WAN address and MAC for both: a hook enables the WAN on the master only",
		singleWAN: true,
		length:    54 * time.Second,
		steps: func(w *world) []step {
			return []step{
				{10 * time.Second, "fw1", "maintenance on", func() error { w.fw1.demote("maintenance", maintenance); return nil }},
				{20 * time.Second, "fw1", "maintenance off", func() error { w.fw1.demote("maintenance", 0); return nil }},
				{30 * time.Second, "fw1", "power off", always(w.fw1.powerOff)},
				{42 * time.Second, "fw1", "power on", w.fw1.powerOn},
			}
		},
	},
}

// maintenance is the demotion of OPNsense's and pfSense's maintenance mode.
const maintenance = 240

// always makes a step of what cannot fail.
func always(do func()) func() error {
	return func() error { do(); return nil }
}

// betweenFirewalls is a switch that does not let the adverts of one firewall
// through to the other, but everything else, as one does whose IGMP snooping has
// no querier.
func (w *world) betweenFirewalls(f []byte, in, out simnet.SegmentID) bool {
	a, b := w.fw1.lan.cable, w.fw2.lan.cable
	return mac(f) == carpGroup && (in == a && out == b || in == b && out == a)
}

// chosen are the scenarios that go by a name, nil if none does.
func chosen(name string) []scenario {
	if name == "all" {
		return scenarios
	}
	for i := range scenarios {
		if scenarios[i].name == name {
			return scenarios[i : i+1]
		}
	}
	return nil
}

// scenarioNames are all that chosen knows.
func scenarioNames() string {
	names := []string{"all"}
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}
