package carp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// A probe is a series of frames that a FreeBSD kernel was sent, each by itself.
type probe struct {
	Receiver struct {
		VHID      uint8    `json:"vhid"`
		Key       string   `json:"key"`
		AdvBase   int      `json:"advbase"`
		AdvSkew   uint8    `json:"advskew"`
		Addresses []string `json:"addresses"`
		Preempt   int      `json:"preempt"`
	} `json:"receiver"`
	Cases []struct {
		Case        string            `json:"case"`
		Frame       hexBytes          `json:"frame"`
		StateBefore string            `json:"state_before"`
		StateAfter  string            `json:"state_after"`
		Delta       map[string]uint64 `json:"stats_delta"`
	} `json:"cases"`
}

var freeBSDCounters = map[string]func(*carp.Stats) *uint64{
	"ipackets":  func(s *carp.Stats) *uint64 { return &s.InPackets },
	"ipackets6": func(s *carp.Stats) *uint64 { return &s.InPackets6 },
	"badttl":    func(s *carp.Stats) *uint64 { return &s.BadTTL },
	"badsum":    func(s *carp.Stats) *uint64 { return &s.BadSum },
	"badver":    func(s *carp.Stats) *uint64 { return &s.BadVersion },
	"badlen":    func(s *carp.Stats) *uint64 { return &s.BadLen },
	"badauth":   func(s *carp.Stats) *uint64 { return &s.BadAuth },
	"badvhid":   func(s *carp.Stats) *uint64 { return &s.BadVHID },
}

func TestProbeFreeBSD(t *testing.T) {
	for _, name := range []string{"probe-master", "probe-backup-preempt", "probe-backup-nopreempt"} {
		eachOracle(t, "freebsd-"+name+".json", "freebsd/carp-"+name+".json", testProbe)
	}
}

func testProbe(t *testing.T, p probe) {
	if len(p.Cases) == 0 {
		t.Fatal("no cases")
	}
	inWorld(t, func(t *testing.T, w *world) {
		six := false // the IPv6 address was added in the middle
		for _, c := range p.Cases {
			six = six || strings.HasPrefix(c.Case, "with IPv6 VIP added")
			here := &world{t: t, seg: carptest.NewSegment(1), journal: w.journal}
			n := here.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) {
				g.VHID, g.AdvBase, g.AdvSkew, g.AnyType = p.Receiver.VHID, p.Receiver.AdvBase, p.Receiver.AdvSkew, true
				g.Dialect, g.Preempt, g.Linger, g.Overlap = carp.FreeBSD12, p.Receiver.Preempt == 1, -1, -1
				g.Secret, _ = carp.Passphrase(p.Receiver.Key)
				g.Addresses = nil
				for _, s := range p.Receiver.Addresses {
					if a := netip.MustParseAddr(s); a.Is4() || six {
						g.Addresses = append(g.Addresses, netip.PrefixFrom(a, a.BitLen()))
					}
				}
			})
			here.sleep(0)
			if c.StateBefore == "MASTER" {
				n.do(n.Force(p.Receiver.VHID, carp.Master))
			}
			here.sleep(50 * time.Millisecond)
			n.before = n.Status().Stats
			if pkt, ok := parse(c.Frame); ok {
				here.seg.Attach("kernel").SendRaw(pkt)
			}
			here.sleep(100 * time.Millisecond)

			var want carp.Stats
			for name, by := range c.Delta {
				if counter := freeBSDCounters[name]; counter != nil {
					*counter(&want) += by
				}
			}
			got := gained(n.Status().Stats, n.before)
			got.OutPackets, got.OutPackets6, got.Preempt = 0, 0, 0 // the kernel's were not noted
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: counters (-kernel +ours):\n%s", c.Case, diff)
			}
			if state := n.group(p.Receiver.VHID).State.String(); state != c.StateAfter {
				t.Errorf("%s: %s to %s, the kernel went to %s", c.Case, c.StateBefore, state, c.StateAfter)
			}
			n.stop()
		}
	})
}
