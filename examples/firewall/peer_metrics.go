package main

import (
	"fmt"
	"io"
)

// writePeerMetrics writes how the channel to the other host is, if there is one.
func (r statusReport) writePeerMetrics(w io.Writer) {
	if r.Peer.State == peerNone {
		return
	}
	gauge := func(name, help string, v float64) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s %g\n", name, help, name, name, v)
	}
	up := 0.0
	if r.Peer.State == peerUp {
		up = 1
	}
	gauge("firewall_peer_up", "Whether the other host answers on the channel.", up)
	if !r.Peer.Answered.IsZero() {
		gauge("firewall_peer_answer_age_seconds", "How long ago the other host answered last.", r.Time.Sub(r.Peer.Answered).Seconds())
	}
	gauge("firewall_peer_conflicts", "Carp interfaces that both hosts are MASTER of.", float64(len(r.Peer.Conflicts)))
	gauge("firewall_peer_differences", "What should be the same on both hosts, and is not.", float64(len(r.Peer.Differences)))
}
