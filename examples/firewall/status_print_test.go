package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
)

// TestStatusPrint is what an operator sees of a failover, and of a wrong passphrase.
func TestStatusPrint(t *testing.T) {
	fw1, fw2 := exampleNode("fw1", "BACKUP"), exampleNode("fw2", "MASTER")
	fw2.Local = false
	fw1.Maintenance = "on"
	fw1.Demotions = []demotionStatus{{"carp", "host", "maintenance", 240}}
	fw1.Interfaces[0].Heard = carp.Heard{At: noon.Add(-300 * time.Millisecond), Src: netip.MustParseAddr("172.16.0.2"), AdvBase: 1, AdvSkew: 128}
	fw2.Interfaces = fw2.Interfaces[:1]
	r := statusReport{
		Time: noon, Nodes: []nodeStatus{fw1, fw2},
		Peer: peerReport{
			State: peerUp, Address: netip.MustParseAddr("10.10.10.2"), Since: noon.Add(-time.Hour), Answered: noon.Add(-time.Second),
			Conflicts: []string{"carp1: BOTH HOSTS ARE MASTER of vhid 1"}, Differences: []string{"carp1: the passphrase differs at 10.10.10.2"},
		},
	}
	want := `!!! carp1: BOTH HOSTS ARE MASTER of vhid 1
peer 10.10.10.2: up since 11:00:00, 1h0m0s, answered 1s ago
!!! carp1: the passphrase differs at 10.10.10.2
          fw1 (this host)                                 fw2 (10.10.10.2)
          BACKUP, preempt, maintenance on                 MASTER, preempt, maintenance off
carp1     BACKUP for 1h0m0s                               MASTER for 1h0m0s
          link up                                         link up
          172.16.0.100/24                                 172.16.0.100/24
          vhid 1 on em0, advbase 1 advskew 0 demotion 0   vhid 1 on em0, advbase 1 advskew 0 demotion 0
          heard 172.16.0.2 300ms ago: advbase 1 advskew
            128 demote 0
carp2     BACKUP for 1h0m0s                               -
          link up
          192.0.2.100/24
          vhid 2 on em0, advbase 1 advskew 0 demotion 0
pfsync0   em1: in sync, 1000 states                       em1: in sync, 1000 states
demotions demoted: group carp by 240: host, maintenance   -
`
	var b strings.Builder
	r.print(&b)
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}

	// The other host is silent: what it said last is shown as such.
	r.Peer.State, r.Peer.Error, r.Peer.Answered = peerDown, "peer 10.10.10.2: it does not answer", noon.Add(-time.Hour)
	r.Peer.Conflicts, r.Peer.Differences = nil, nil
	b.Reset()
	r.print(&b)
	for _, want := range []string{
		"!!! peer 10.10.10.2: it does not answer (since 11:00:00, 1h0m0s)\n",
		"fw2 (10.10.10.2) AS IT WAS 1h0m0s AGO\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
