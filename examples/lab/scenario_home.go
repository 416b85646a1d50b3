//go:build linux

package main

import (
	"errors"
	"time"
)

// moveTimeout is more than it takes to take the WAN down on one firewall, up on the
// other, and to get the lease there.
const moveTimeout = 5 * time.Second

var singleWAN = &scenario{
	name: "single-wan", title: "one WAN address by DHCP for both: maintenance, back, power off, back",
	shape: oneAddress, able: oursOnly,
	want:  want{lost: detectionAndMove, sessions: true},
	steps: homeSteps,
}

var homelabPair = &scenario{
	name: "homelab", title: "an ISP's box with one lease and NAT, DHCP by both firewalls: maintenance, back, power off, back",
	shape: homelab, able: oursOnly,
	want:  want{lost: detectionAndMove, sessions: true},
	steps: homeSteps,
}

// oursOnly: what moves one WAN address is not a part of the other pairs, but scripts of
// whoever runs them.
func oursOnly(p *pair) error {
	if p != ours {
		return errors.New("one WAN address for both takes scripts that it does not come with")
	}
	return lookTools("dnsmasq", "udhcpc")
}

// detectionAndMove is the loss while the WAN is moved as well.
func detectionAndMove(t timers) time.Duration { return detection(t) + moveTimeout }

func homeSteps(p *play) {
	maintenance.steps(p)
	p.recovered()
	power.steps(p)
}
