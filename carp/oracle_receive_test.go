package carp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
)

// A reception is a series of frames that an OpenBSD kernel was sent, with its
// state and counters after each.
type reception struct {
	Carp one[struct {
		VHID    uint8    `json:"vhid"`
		Pass    string   `json:"pass"`
		AdvBase int      `json:"advbase"`
		AdvSkew uint8    `json:"advskew"`
		Inet    []string `json:"inet"`
		Inet6   []string `json:"inet6"`
	}] `json:"carp"`
	Injected []struct {
		T       float64           `json:"t"`
		What    string            `json:"what"`
		Frame   hexBytes          `json:"frame"`
		Times   int               `json:"times"`
		Changed map[string]uint64 `json:"counters_changed"`
		State   string            `json:"state_after"`
	} `json:"injected"`
}

// openBSDCounters are the counters as netstat words them.
var openBSDCounters = map[string]func(*carp.Stats) *uint64{
	"packets received (IPv4)":              func(s *carp.Stats) *uint64 { return &s.InPackets },
	"packets received (IPv6)":              func(s *carp.Stats) *uint64 { return &s.InPackets6 },
	"packets discarded for wrong TTL":      func(s *carp.Stats) *uint64 { return &s.BadTTL },
	"discarded for bad checksum":           func(s *carp.Stats) *uint64 { return &s.BadSum },
	"discarded for bad checksums":          func(s *carp.Stats) *uint64 { return &s.BadSum },
	"discarded packets with a bad version": func(s *carp.Stats) *uint64 { return &s.BadVersion },
	"discarded because packet too short":   func(s *carp.Stats) *uint64 { return &s.BadLen },
	"discarded for bad authentication":     func(s *carp.Stats) *uint64 { return &s.BadAuth },
	"discarded for unknown vhid":           func(s *carp.Stats) *uint64 { return &s.BadVHID },
	"packets sent (IPv4)":                  func(s *carp.Stats) *uint64 { return &s.OutPackets },
	"packets sent (IPv6)":                  func(s *carp.Stats) *uint64 { return &s.OutPackets6 },
	"transitions to master":                func(s *carp.Stats) *uint64 { return &s.Preempt },
}

func TestReceiveOpenBSD(t *testing.T) {
	for _, family := range []string{"", "-v6"} {
		eachOracle(t, "openbsd-receive"+family+".json", "openbsd/carp-receive"+family+".json", testReception)
	}
}

func testReception(t *testing.T, r reception) {
	c := r.Carp.value
	inWorld(t, func(t *testing.T, w *world) {
		n := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) {
			g.VHID, g.AdvBase, g.AdvSkew, g.AnyType, g.Addresses = c.VHID, c.AdvBase, c.AdvSkew, true, nil
			g.Linger, g.Overlap = -1, -1
			g.Secret, _ = carp.Passphrase(c.Pass)
			for _, a := range append(c.Inet, c.Inet6...) {
				g.Addresses = append(g.Addresses, netip.MustParsePrefix(a))
			}
			if len(c.Inet6) > 0 { // it gets one by itself, made from its MAC
				g.Addresses = append(g.Addresses, netip.MustParsePrefix(fmt.Sprintf("fe80::200:5eff:fe00:1%02x/64", c.VHID)))
			}
		})
		w.sleep(3300 * time.Millisecond) // master since 3.195 s
		n.wantVHID(c.VHID, "begins", carp.Master)
		kernel := w.seg.Attach("kernel")
		for i, f := range r.Injected {
			n.before = n.Status().Stats
			for range max(f.Times, 1) {
				if p, ok := parse(f.Frame); ok {
					kernel.SendRaw(p)
				}
			}
			// The state was read some 0.3 s later. What has been counted by then is
			// the frame and what it caused, but for a periodic advert.
			looked, gap := 350*time.Millisecond, time.Second
			if i+1 < len(r.Injected) {
				gap = time.Duration((r.Injected[i+1].T - f.T) * float64(time.Second))
				looked = min(looked, gap-time.Millisecond)
			}
			w.sleep(looked)
			r.compare(t, n, i)
			w.sleep(gap - looked)
		}
	})
}

// compare compares what the node has come to with what the kernel had.
func (r *reception) compare(t *testing.T, n *testNode, i int) {
	t.Helper()
	synctest.Wait()
	f := r.Injected[i]
	var want carp.Stats
	for name, by := range f.Changed {
		counter := openBSDCounters[name]
		if counter == nil {
			t.Fatalf("%s: unknown counter %q", f.What, name)
		}
		*counter(&want) += by
	}
	if diff := cmp.Diff(want, gained(n.Status().Stats, n.before)); diff != "" {
		t.Errorf("%s: counters (-kernel +ours):\n%s", f.What, diff)
	}
	if got := n.group(r.Carp.value.VHID).State.String(); got != f.State {
		t.Errorf("%s: state %s, the kernel was %s", f.What, got, f.State)
	}
}
