package carp_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// The order of the comment of [carp.Addrs], there and back.
func TestNodeOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.want("starts as a backup", "a INIT -> BACKUP (up and running)")
		w.sleep(3100 * time.Millisecond)
		w.want("takes the addresses, advertises, announces, tells",
			"a acquire", "a advert 1/0", "a announce", "a BACKUP -> MASTER (master timed out)")
		w.sleep(2 * time.Second)
		w.want("announces once more, with the second advert after that",
			"a advert 1/0", "a announce", "a advert 1/0")
		w.sleep(2 * time.Second)
		w.want("is quiet then", "a advert 1/0", "a advert 1/0")

		peer := w.peer("p", host())
		peer.advertise(1, 0, 0)
		w.want("keeps its addresses for a moment", "p advert 1/0")
		a.want("has yielded at once all the same", carp.Backup)
		w.sleep(40 * time.Millisecond)
		w.want("still does")
		if !a.addrs.Held() || !a.group(1).Held {
			t.Error("the addresses are gone before the overlap is over")
		}
		w.sleep(20 * time.Millisecond)
		w.want("releases, then tells", "a release", "a MASTER -> BACKUP (heard an equal master)")
		if a.addrs.Held() || a.group(1).Held {
			t.Error("the addresses are still held after the overlap")
		}
	})
}

// No successor: the addresses stay for as long as Linger says.
func TestNodeBowsOutAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", advskew(100))
		w.skip(4 * time.Second)
		a.cancel()
		w.want("bows out", "a advert 255/255")
		a.want("still is master", carp.Master)
		if s := a.group(1); !s.Leaving || !s.Held {
			t.Errorf("status %+v: want leaving and held", s)
		}
		w.sleep(990 * time.Millisecond)
		w.want("lingers")
		w.sleep(20 * time.Millisecond)
		w.want("leaves", "a release", "a MASTER -> INIT (left without a successor)")
		<-a.ended
	})
}

// What is no reason to stop does not shorten the wait; what is, does.
func TestNodeLingersOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Down(1))
		a.do(a.SetAllow(false))
		a.do(a.SetAllow(true))
		a.links <- carp.LinkUnknown
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.AdvSkew, c.Preempt = 3, true }))
		a.demote.Adjust(5)
		w.sleep(900 * time.Millisecond)
		w.want("lingers on", "a advert 255/255")
		a.links <- carp.LinkDown
		w.want("leaves: no successor can be heard", "a release", "a MASTER -> INIT (interface down)")
	})
}

// A successor: make before break.
func TestNodeHandsOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b", advskew(100))
		w.skip(4 * time.Second)
		a.cancel()
		w.want("the successor takes over before the old master lets go",
			"a advert 255/255",
			"b acquire", "b advert 1/100", "b announce", "b BACKUP -> MASTER (master bowed out)")
		if !a.addrs.Held() || !b.addrs.Held() {
			t.Error("want both to hold the addresses for a moment")
		}
		w.sleep(49 * time.Millisecond)
		w.want("overlaps")
		w.sleep(2 * time.Millisecond)
		w.want("lets go", "a release", "a MASTER -> INIT (handed over)")
		select {
		case <-a.ended:
		default:
			t.Error("Run has not returned when everything was handed over")
		}
	})
}

// A silencer is an Addrs that can keep its addresses unnoticed, or says that it
// cannot.
type silencer struct {
	*carptest.Addrs
	err error
}

func (s *silencer) Silence() error {
	s.Journal.Add(s.Name, "silence")
	return s.err
}

func silent(err error) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) {
		g.LinkSrc = carp.OpenBSD.VirtualMAC(1)
		g.Addrs = &silencer{g.Addrs.(*carptest.Addrs), err}
	}
}

// With a MAC of its own for the virtual host, an answer from the old master
// would turn the switch round: no overlap, unless its addresses can be silenced.
func TestNodeSilence(t *testing.T) {
	errMute := errors.New("no")
	for _, test := range []struct {
		sentence string
		err      error
		overlap  time.Duration
		want     time.Duration // -1: released without silence
	}{
		{"by default", nil, 0, 50 * time.Millisecond},
		{"for longer", nil, time.Second, time.Second},
		{"never", nil, -1, -1},
		{"impossible", errMute, 0, 0},
		{"impossible, though asked for", errMute, time.Second, 0},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.node("a", advskew(100), silent(test.err), func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Overlap = test.overlap })
			p := w.peer("p", host())
			w.skip(4 * time.Second)
			p.advertise(1, 0, 0)
			w.sleep(max(test.want-time.Millisecond, 0))
			lines := []string{"p advert 1/0"}
			if test.want >= 0 {
				lines = append(lines, "a silence")
			}
			if test.want > 0 {
				w.want(test.sentence+", not yet", lines...)
				w.sleep(2 * time.Millisecond)
				lines = nil
			}
			w.want(test.sentence, append(lines, "a release", "a MASTER -> BACKUP (heard a faster master)")...)
		})
	}
}

// Whoever bows out has nothing to be silent about before a successor is there, and
// a second hand-over within the overlap of the first has one of its own.
func TestNodeHandsOverTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", advskew(100), silent(nil))
		p := w.peer("p", host())
		w.skip(4 * time.Second)
		p.advertise(1, 0, 0)
		w.sleep(30 * time.Millisecond)
		p.advertise(255, 255, 0)
		w.want("returns in the middle of the overlap", "p advert 1/0", "a silence", "p advert 255/255",
			"a acquire", "a advert 1/100", "a announce",
			"a MASTER -> BACKUP (heard a faster master)", "a BACKUP -> MASTER (master bowed out)")
		a.cancel()
		w.want("bows out", "a advert 255/255")
		w.sleep(5 * time.Millisecond)
		p.advertise(1, 0, 0)
		w.want("has a successor once more", "p advert 1/0", "a silence")
		w.sleep(49 * time.Millisecond)
		w.want("overlaps again, as long as before")
		w.sleep(2 * time.Millisecond)
		w.want("lets go", "a release", "a MASTER -> INIT (handed over)")
	})
}

// The last advert of a master, which a successor's may have overtaken, must not
// turn the switch round; and those before must turn it.
func TestNodeLastAdvert(t *testing.T) {
	vmac := carp.OpenBSD.VirtualMAC(1)
	for _, test := range []struct {
		sentence string
		change   func(*carp.NodeConfig, *carp.GroupConfig)
		leave    func(*testNode, *peer)
		last     string
	}{
		{"a bow-out", dialect(carp.OpenBSD), func(a *testNode, _ *peer) { a.cancel() }, "255/255"},
		{"a bow-out without a wait", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Linger = -1 },
			func(a *testNode, _ *peer) { a.cancel() }, "255/255"},
		{"ucarp's answer to a better master", dialect(carp.UCarp), func(_ *testNode, p *peer) { p.advertise(1, 0, 0) }, "1/100"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			var sent []string
			w.seg.Tap(func(r carptest.Record) {
				if h := r.Header(); r.From == "a" {
					sent = append(sent, fmt.Sprintf("%d/%d %v", h.AdvBase, h.AdvSkew, r.Packet.LinkSrc))
				}
			})
			a := w.node("a", advskew(100), test.change, func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.LinkSrc = vmac })
			p := w.peer("p", host())
			w.skip(4 * time.Second)
			test.leave(a, p)
			synctest.Wait()
			want := []string{fmt.Sprint("1/100 ", vmac), fmt.Sprint(test.last, " ", carp.HardwareAddr{})}
			if diff := cmp.Diff(want, sent); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.sentence, diff)
			}
		})
	}
}

// Addresses that cannot be silenced are kept if nothing turns the switch round.
func TestNodeOverlap(t *testing.T) {
	for _, test := range []struct {
		sentence string
		overlap  time.Duration
		mac      carp.HardwareAddr
		want     time.Duration
	}{
		{"by default", 0, carp.HardwareAddr{}, 50 * time.Millisecond},
		{"with a virtual MAC", 0, carp.OpenBSD.VirtualMAC(1), 0},
		{"with a virtual MAC if asked for", time.Second, carp.OpenBSD.VirtualMAC(1), time.Second},
		{"never", -1, carp.HardwareAddr{}, 0},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) {
				g.Overlap, g.LinkSrc, g.AdvSkew = test.overlap, test.mac, 100
			})
			p := w.peer("p", host())
			w.skip(4 * time.Second)
			p.advertise(1, 0, 0)
			if test.want > 0 {
				w.sleep(test.want - time.Millisecond)
				w.want(test.sentence, "p advert 1/0")
				w.sleep(2 * time.Millisecond)
				w.want(test.sentence, "a release", "a MASTER -> BACKUP (heard a faster master)")
				return
			}
			w.want(test.sentence, "p advert 1/0", "a release", "a MASTER -> BACKUP (heard a faster master)")
		})
	}
}

// Who is master again before the overlap is over has never let go, and its hooks
// hear of both changes, in order.
func TestNodeReturnsWithinOverlap(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", advskew(100))
		p := w.peer("p", host())
		w.skip(4 * time.Second)
		p.advertise(1, 0, 0)
		w.sleep(10 * time.Millisecond)
		p.advertise(255, 255, 0)
		w.want("returns", "p advert 1/0", "p advert 255/255",
			"a acquire", "a advert 1/100", "a announce",
			"a MASTER -> BACKUP (heard a faster master)", "a BACKUP -> MASTER (master bowed out)")
		w.sleep(500 * time.Millisecond)
		w.want("keeps the addresses")
		if !a.addrs.Held() {
			t.Error("the overlap took the addresses from a master")
		}
	})
}

// A master that hears a worse one tells the neighbours again where it is; the
// worse one would have told them otherwise.
func TestNodeReasserts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.node("a")
		p := w.peer("p", host())
		w.skip(6500 * time.Millisecond)
		for range 50 {
			p.port.SendRaw(p.packet(2, 0, 0))
		}
		w.wantOf("a", "announces once, whatever the number of adverts", "announce")
		w.sleep(2 * time.Second)
		w.wantOf("a", "repeats it with the second advert", "advert 1/0", "announce", "advert 1/0")
	})
}
