package main

import (
	"os"
	"strings"
	"testing"
)

// TestSettingsAfterKill: the settings of conntrack are in the end what they were before a
// firewall that was killed, and nothing is left of the note about them.
func TestSettingsAfterKill(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	dir := t.TempDir()
	p.env = append(p.env, runDirEnv+"="+dir)
	p.write("fw1", faqFiles(t, ""))
	settings := func() string {
		ns := p.lab.NS("fw1")
		return ns.Sysctl("net.netfilter.nf_conntrack_events") + " " + ns.Sysctl("net.netfilter.nf_conntrack_tcp_be_liberal")
	}
	const events, liberal, whileItRuns = "2", "0", "1 1"
	p.lab.NS("fw1").SetSysctl("net.netfilter.nf_conntrack_events", events)
	p.lab.NS("fw1").SetSysctl("net.netfilter.nf_conntrack_tcp_be_liberal", liberal)
	for range 2 {
		d := p.start("fw1")
		p.await("the settings of one that runs", func() bool { return settings() == whileItRuns })
		d.kill()
	}
	d := p.start("fw1")
	p.await("started again", func() bool { return strings.Contains(d.said(), "running") })
	d.stop()
	if got := settings(); got != events+" "+liberal {
		t.Errorf("nf_conntrack_events and tcp_be_liberal are %s in the end", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
