package carp_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// A node that cannot take its addresses claims nothing, leaves the field to
// others, tries again, and is whole again when it can.
func TestNodeCannotAcquire(t *testing.T) {
	for _, test := range []struct {
		dialect carp.Dialect
		demote  int
	}{{carp.OpenBSD, 1}, {carp.FreeBSD, 240}, {carp.NetBSD, 1}} {
		t.Run(test.dialect.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", dialect(test.dialect))
				a.addrs.FailAcquire(errors.New("no room"))
				w.skip(100 * time.Millisecond)
				w.sleep(3 * time.Second)
				w.want("only tries", "a acquire: no room")
				a.want("stays backup", carp.Backup)
				a.wantStats("counts it", carp.Stats{Refused: 1})
				if got := a.demote.Value(); got != test.demote {
					t.Errorf("demotion %d, want %d", got, test.demote)
				}
				if s := a.group(1); s.Seq != 1 || s.Demotion != test.demote {
					t.Errorf("status %+v: want 1 change and demotion %d", s, test.demote)
				}
				w.sleep(3 * time.Second)
				w.want("tries again after its master-down time", "a acquire: no room")

				a.addrs.FailAcquire(nil)
				w.sleep(3 * time.Second)
				a.want("is master when it could", carp.Master)
				if got := a.demote.Value(); got != 0 {
					t.Errorf("demotion %d after it could, want 0", got)
				}
			})
		})
	}
}

// A failure to acquire is forgotten, so that a healthy node that lost its turn by
// it gets another: here, it preempts again.
func TestNodeForgivesAcquire(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", preempt)
		w.node("b", preempt, advskew(100))
		a.addrs.FailAcquire(errors.New("no room"))
		w.sleep(4 * time.Second)
		a.addrs.FailAcquire(nil)
		a.want("has given way", carp.Backup)
		w.sleep(20 * time.Second)
		a.want("has another try", carp.Master)
		if n := a.demote.Value(); n != 0 {
			t.Errorf("demotion %d, want 0", n)
		}
	})
}

// Addresses that cannot be released are tried again, and the change is told when
// they are gone; and if they never go, Run says so.
func TestNodeCannotRelease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		p := w.peer("p", host())
		w.sleep(3500 * time.Millisecond)
		w.journal.Take()
		a.addrs.FailRelease(errors.New("busy"))
		p.advertise(0, 0, 0)
		w.sleep(1500 * time.Millisecond)
		w.wantOf("a", "tries", "release: busy", "release: busy")
		if s := a.group(1); !s.Held || s.State != carp.Backup {
			t.Errorf("status %+v, want a backup that holds the addresses", s)
		}
		a.addrs.FailRelease(nil)
		w.sleep(time.Second)
		w.wantOf("a", "succeeds", "release", "MASTER -> BACKUP (heard a faster master)")
	})
}

func TestRunCannotRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := &carptest.Addrs{}
		n, err := carp.NewNode(carp.NodeConfig{
			Transport: carptest.NewSegment(1).Attach("a"),
			Groups:    []carp.GroupConfig{{HostConfig: host(), Addrs: addrs}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		addrs.FailRelease(errors.New("busy"))
		if err := n.Run(ctx); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("Run: %v, want the reason", err)
		}
		if s := n.Status().Groups[0]; s.State != carp.Init || !s.Held {
			t.Errorf("status %+v, want INIT with the addresses held", s)
		}
	})
}

// What defends its addresses is told to let the successor have them.
func TestNodeYields(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		p := w.peer("p", host())
		w.sleep(3500 * time.Millisecond)
		p.advertise(0, 0, 0)
		w.sleep(0)
		if n := a.addrs.Calls("yield"); n != 1 {
			t.Errorf("yielded %d times to a better master, want 1", n)
		}
		w.sleep(5 * time.Second)
		a.want("is master again", carp.Master)
		a.do(a.Down(1))
		if n := a.addrs.Calls("yield"); n != 2 {
			t.Errorf("yielded %d times after the bow-out, want 2", n)
		}
	})
}

// A master that cannot acquire does not keep another one from taking over.
func TestNodeCannotAcquireLetsOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b", advskew(200))
		a.addrs.FailAcquire(errors.New("no room"))
		w.sleep(4 * time.Second)
		a.want("stays backup", carp.Backup)
		b.want("takes over in its place", carp.Master)
		a.addrs.FailAcquire(nil)
		w.sleep(10 * time.Second)
		a.want("does not disturb a master that works", carp.Backup)
		b.want("goes on", carp.Master)
	})
}

// Three failures in a row demote, three successes undo it: carp_send_ad.
func TestNodeSendErrors(t *testing.T) {
	for _, test := range []struct {
		dialect carp.Dialect
		demote  int
	}{{carp.OpenBSD, 1}, {carp.FreeBSD, 240}, {carp.NetBSD, 1}} {
		t.Run(test.dialect.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", dialect(test.dialect))
				w.skip(3500 * time.Millisecond) // one advert at 3 s
				a.port.FailWrites(syscall.ENOBUFS)
				w.sleep(2 * time.Second)
				if got := a.demote.Value(); got != 0 {
					t.Errorf("demotion %d after 2 errors, want 0", got)
				}
				a.port.FailWrites(nil)
				w.sleep(time.Second)
				a.port.FailWrites(syscall.EPERM)
				w.sleep(time.Second)
				wantDemote := 0 // OpenBSD forgets few errors at one success, FreeBSD at three
				if test.dialect == carp.FreeBSD {
					wantDemote = test.demote
				}
				if got := a.demote.Value(); got != wantDemote {
					t.Errorf("demotion %d after 2 errors, a success, an error, want %d", got, wantDemote)
				}
				w.sleep(3 * time.Second)
				if got := a.demote.Value(); got != test.demote {
					t.Errorf("demotion %d while nothing gets out, want %d", got, test.demote)
				}
				a.want("stays master: nobody else is there", carp.Master)
				a.port.FailWrites(nil)
				w.journal.Take()
				for range 20 {
					if w.sleep(500 * time.Millisecond); a.demote.Value() == 0 {
						break
					}
				}
				adverts := 0
				for _, e := range w.journal.Take() {
					if e != "a announce" {
						adverts++
					}
				}
				// FreeBSD tells of the end of the demotion with one more.
				if want := 3; adverts != want && adverts != want+1 {
					t.Errorf("recovered after %d adverts, want %d", adverts, want)
				}
			})
		})
	}
}

func TestNodeSendErrorStats(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", addresses("10.0.0.1/24", "2001:db8::1/64"))
		w.skip(3500 * time.Millisecond)
		a.wantStats("sends both families", carp.Stats{OutPackets: 1, OutPackets6: 1, Preempt: 1})
		a.port.FailWrites(syscall.ENOBUFS)
		w.sleep(time.Second)
		a.wantStats("counts failures as sent, too", carp.Stats{OutPackets: 1, OutPackets6: 1, OutErrors: 2, OutNoMem: 2})
	})
}

// A unicast peer that is off is not our fault.
func TestNodePeerDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", peers("10.0.0.77"))
		a.port.FailWrites(syscall.EHOSTDOWN)
		w.sleep(10 * time.Second)
		if got := a.demote.Value(); got != 0 {
			t.Errorf("demotion %d, want 0", got)
		}
		if s := a.Status().Stats; s.OutErrors != 0 {
			t.Errorf("%d errors, want 0", s.OutErrors)
		}
	})
}

// A send error moves the group to a node that can send.
func TestNodeSendErrorsFailOver(t *testing.T) {
	for _, d := range []carp.Dialect{carp.OpenBSD, carp.FreeBSD} {
		t.Run(d.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", dialect(d), preempt)
				b := w.node("b", dialect(d), preempt, advskew(100))
				w.sleep(5 * time.Second)
				a.want("is master", carp.Master)
				a.port.FailWrites(syscall.EPERM)
				w.sleep(6 * time.Second)
				a.want("has yielded to the one that can", carp.Backup)
				b.want("took over", carp.Master)
			})
		})
	}
}

// The link: INIT and a demotion while it is down; what unknown means depends.
func TestNodeLink(t *testing.T) {
	for _, test := range []struct {
		dialect carp.Dialect
		unknown carp.State
		demote  int
	}{{carp.OpenBSD, carp.Master, 1}, {carp.FreeBSD, carp.Init, 240}, {carp.NetBSD, carp.Master, 1}} {
		t.Run(test.dialect.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", dialect(test.dialect))
				w.skip(3500 * time.Millisecond)
				a.links <- carp.LinkDown
				w.want("gives up without a bow-out", "a release", "a MASTER -> INIT (interface down)")
				if got := a.demote.Value(); got != test.demote {
					t.Errorf("demotion %d with the link down, want %d", got, test.demote)
				}
				a.links <- carp.LinkDown
				w.want("does not mind hearing it twice")
				a.links <- carp.LinkUp
				w.want("listens when it is back", "a INIT -> BACKUP (up and running)")
				if got := a.demote.Value(); got != 0 {
					t.Errorf("demotion %d with the link up, want 0", got)
				}
				w.sleep(3500 * time.Millisecond)
				a.want("is master again", carp.Master)
				a.links <- carp.LinkUnknown
				a.want("takes an unknown link its own way", test.unknown)
				close(a.links)
				w.sleep(time.Second)
				a.want("does not mind the end of the news", test.unknown)
			})
		})
	}
}

// A link that is down from the start.
func TestNodeStartsWithoutLink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		links := make(chan carp.Link, 1)
		links <- carp.LinkDown
		a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) { c.Links = links })
		w.sleep(10 * time.Second)
		a.want("waits", carp.Init)
	})
}

// net.inet.carp.allow: OpenBSD and NetBSD go deaf, FreeBSD stops.
func TestNodeAllow(t *testing.T) {
	t.Run("openbsd", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			a, b := w.node("a"), w.node("b", advskew(100))
			w.sleep(5 * time.Second)
			b.before = b.Status().Stats
			b.do(b.SetAllow(false))
			w.sleep(2500 * time.Millisecond)
			b.want("does not hear the master any more", carp.Backup)
			b.wantStats("counts what it ignored", carp.Stats{InPackets: 2, Ignored: 2})
			w.sleep(2 * time.Second)
			b.want("times out", carp.Master)
			a.want("knows better", carp.Master)
			b.do(b.SetAllow(true))
			w.sleep(time.Second)
			b.want("hears again", carp.Backup)
		})
	})
	t.Run("freebsd", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("a", dialect(carp.FreeBSD))
			w.skip(3500 * time.Millisecond)
			a.do(a.SetAllow(false))
			w.want("stops", "a release", "a MASTER -> INIT (not allowed (allow=0))")
			if got := a.demote.Value(); got != 240 {
				t.Errorf("demotion %d, want 240", got)
			}
			a.do(a.SetAllow(true))
			w.want("listens", "a INIT -> BACKUP (up and running)")
			if got := a.demote.Value(); got != 0 {
				t.Errorf("demotion %d, want 0", got)
			}
		})
	})
}

// A transport that breaks ends Run, and nothing is left behind.
func TestNodeReadError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		broken := &breaking{Transport: w.seg.Attach("x"), broken: make(chan struct{})}
		a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) { c.Transport = broken })
		w.skip(3500 * time.Millisecond)
		close(broken.broken)
		<-a.ended
		if !errors.Is(a.err, errBroken) {
			t.Errorf("Run returned %v, want %v in it", a.err, errBroken)
		}
		w.wantOf("a", "leaves", "release", "MASTER -> INIT (taken down)")
		a.err = nil
		a.port.Close()
	})
}

// Broken in the middle of an overlap.
func TestNodeReadErrorReleases(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", advskew(100))
		p := w.peer("p", host())
		w.skip(3500 * time.Millisecond)
		p.advertise(1, 0, 0)
		w.sleep(10 * time.Millisecond)
		a.port.Close()
		<-a.ended
		if !errors.Is(a.err, net.ErrClosed) {
			t.Errorf("Run returned %v, want net.ErrClosed in it", a.err)
		}
		a.err = nil
		if s := a.group(1); s.Held || s.State != carp.Init {
			t.Errorf("status %+v after the end: want INIT and nothing held", s)
		}
		w.wantOf("a", "leaves", "release", "MASTER -> BACKUP (heard a faster master)", "BACKUP -> INIT (taken down)")
	})
}

var errBroken = errors.New("broken")

// breaking is a transport whose reads fail when broken is closed.
type breaking struct {
	carp.Transport
	broken chan struct{}
}

func (b *breaking) ReadPacket(*carp.Packet) error {
	<-b.broken
	return errBroken
}
