package carp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// Where we do better than the kernels on purpose; see also TestReplayLoop,
// TestReplayedBowOut and TestNodeReasserts.

// No kernel looks at the type. The digest does not cover it, so another type is a
// mistake or an attack; AnyType has the kernels' way.
func TestBetterType(t *testing.T) {
	for _, any := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("a", advskew(100), func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.AnyType = any })
			p := w.peer("p", host())
			w.sleep(3500 * time.Millisecond)
			pkt := p.packet(1, 0, 0)
			pkt.Data[0] = 0x23
			sum(pkt.Data)
			p.port.SendRaw(pkt)
			if any {
				a.want("takes it", carp.Backup)
			} else {
				a.want("refuses it", carp.Master)
			}
		})
	}
}

// Two equals that become master at the same instant hear each other and both
// yield, and with equal clocks would do so for ever. The jitter parts them, and
// the addresses are somewhere nearly all of the time.
func TestBetterEqualSkew(t *testing.T) {
	for _, d := range []carp.Dialect{carp.OpenBSD, carp.FreeBSD, carp.NetBSD, carp.UCarp} {
		for seed := range uint64(5) {
			inWorld(t, func(t *testing.T, w *world) {
				w.seg.SetFaults(carptest.Faults{Delay: time.Millisecond})
				equal := func(n uint64) func(*carp.NodeConfig, *carp.GroupConfig) {
					return func(_ *carp.NodeConfig, g *carp.GroupConfig) {
						g.Dialect, g.Preempt, g.Seed = d, true, 2*seed+n
						g.Source = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + n)})} // for ucarp
					}
				}
				a, b := w.node("a", equal(1)), w.node("b", equal(2))
				w.sleep(20 * time.Second)
				before := a.group(1).Seq + b.group(1).Seq
				w.sleep(time.Minute)
				if a.group(1).State == b.group(1).State {
					t.Errorf("%v: both are %v", d, a.group(1).State)
				}
				if after := a.group(1).Seq + b.group(1).Seq; after != before {
					t.Errorf("%v: %d changes in a quiet minute", d, after-before)
				}
			})
		}
	}
}

// FreeBSD up to 12 sends a negative demotion modulo 256 and so fears its own
// best node; FreeBSD since, and we, stop at 0.
func TestBetterNegativeDemotion(t *testing.T) {
	for d, want := range map[carp.Dialect]uint8{carp.FreeBSD: 0, carp.FreeBSD12: 226} {
		inWorld(t, func(t *testing.T, w *world) {
			var last carp.Header
			w.seg.Tap(func(r carptest.Record) { last = r.Header() })
			a := w.node("a", dialect(d), advskew(20))
			w.sleep(3500 * time.Millisecond)
			a.demote.Adjust(-50)
			w.sleep(100 * time.Millisecond)
			if last.AdvSkew != want {
				t.Errorf("%v: advskew %d, want %d", d, last.AdvSkew, want)
			}
		})
	}
}
