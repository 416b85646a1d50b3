package carp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// lazy is a transport whose reader never gets to run.
type lazy struct {
	carp.Transport
	closed chan struct{}
}

func (l *lazy) ReadPacket(p *carp.Packet) error {
	<-l.closed
	return l.Transport.ReadPacket(p)
}

func (l *lazy) Close() error {
	close(l.closed)
	return l.Transport.Close()
}

// lazyDrainer can be asked.
type lazyDrainer struct {
	lazy
	carp.Drainer
}

// A master is dead only if its advert is not even in the socket: not behind a
// thousand forged ones either, but if there are too many the node goes on.
func TestDrainOnceMore(t *testing.T) {
	for _, test := range []struct {
		sentence string
		drainer  bool
		forged   int
		want     carp.State
	}{
		{"looks once more", true, 0, carp.Backup},
		{"looks behind a flood", true, 1000, carp.Backup},
		{"does not look for ever", true, 2000, carp.Master},
		{"cannot look", false, 0, carp.Master},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				port := w.seg.Attach("port", netip.MustParseAddr("10.0.0.50"))
				port.SetQueue(5000)
				slow := lazy{port, make(chan struct{})}
				a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) {
					if c.Transport = &slow; test.drainer {
						c.Transport = &lazyDrainer{slow, port}
					}
				})
				a.port.Close()
				p := w.peer("p", host())
				w.sleep(2900 * time.Millisecond)
				forged := p.packet(1, 0, 0)
				forged.Data[35]++
				sum(forged.Data)
				for range test.forged {
					p.port.SendRaw(forged)
				}
				p.advertise(1, 0, 0)
				w.sleep(200 * time.Millisecond)
				a.want(test.sentence, test.want)
			})
		})
	}
}

// A standing node can be made to stand still, as if its process was stopped.
type standing struct {
	*testNode
	still *atomic.Int64
}

// stand is such a node. It stands still where it looks whether the host slept,
// which is the first thing it does when it wakes.
func (w *world) stand(name string, change ...func(*carp.NodeConfig, *carp.GroupConfig)) standing {
	still := new(atomic.Int64)
	freeze := func(c *carp.NodeConfig, _ *carp.GroupConfig) {
		c.Suspended = func() time.Duration {
			time.Sleep(time.Duration(still.Swap(0)))
			return 0
		}
	}
	return standing{w.node(name, append(change, freeze)...), still}
}

// standStill makes it so for d; it returns at once.
func (n standing) standStill(d time.Duration) {
	n.still.Store(int64(d))
	go n.Up(1) // which it is: this wakes it
}

// A backup that stood still finds the adverts of its master waiting.
func TestStalledBackupReadsFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.stand("a", advskew(100))
		p := w.peer("p", host())
		defer p.every(time.Second, 1, 0)()
		w.sleep(5 * time.Second)
		a.standStill(10 * time.Second)
		w.skip(20 * time.Second)
		a.want("has noticed nothing", carp.Backup)
		if s := a.group(1); s.Seq != 1 {
			t.Errorf("%d changes, want 1", s.Seq)
		}
	})
}

// A backup that stood still and finds nothing listens for a whole master-down
// time: the adverts may just be lost.
func TestStalledBackupListens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.stand("a", advskew(100))
		p := w.peer("p", host())
		stop := p.every(time.Second, 1, 0)
		w.sleep(5500 * time.Millisecond)
		stop()
		a.standStill(10 * time.Second)
		w.sleep(10 * time.Second)
		a.want("listens", carp.Backup)
		if n := a.Status().Stats.Stalls; n == 0 {
			t.Error("no stall counted")
		}
		w.sleep(3380 * time.Millisecond)
		a.want("still listens", carp.Backup)
		w.sleep(20 * time.Millisecond)
		a.want("takes over in the end", carp.Master)
	})
}

// A master that stood still for long enough to have been replaced listens before
// it speaks; one that only was late goes on.
func TestStalledMaster(t *testing.T) {
	for _, test := range []struct {
		still time.Duration
		want  carp.State
	}{
		{1500 * time.Millisecond, carp.Master},
		{2400 * time.Millisecond, carp.Master},
		{2600 * time.Millisecond, carp.Backup},
		{10 * time.Second, carp.Backup},
	} {
		t.Run(test.still.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				// Alone first: it must listen even if nobody speaks.
				a := w.stand("a")
				w.sleep(5500 * time.Millisecond) // half way between two adverts
				a.standStill(test.still)
				w.skip(test.still - time.Millisecond)
				w.sleep(2 * time.Millisecond)
				if spoke := slices.Contains(w.journal.Take(), "a advert 1/0"); spoke != (test.want == carp.Master) {
					t.Errorf("spoke: %v", spoke)
				}
				a.want("decides", test.want)
				w.sleep(4 * time.Second)
				a.want("is master in the end", carp.Master)
			})
		})
	}
}

// The one that replaced it stays, if nobody preempts, and nobody hears a word
// from the one that stood still.
func TestStalledMasterIsReplaced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.stand("a")
		b := w.node("b", advskew(100))
		w.sleep(5500 * time.Millisecond)
		a.standStill(10 * time.Second)
		w.skip(9 * time.Second)
		b.want("takes over", carp.Master)
		w.sleep(10 * time.Second)
		if slices.Contains(w.journal.Take(), "a advert 1/0") {
			t.Error("a spoke")
		}
		a.want("listens", carp.Backup)
		b.want("stays", carp.Master)
	})
}

// A host that was suspended does not see it on its monotonic clock: Suspended
// tells.
func TestSuspended(t *testing.T) {
	for _, state := range []carp.State{carp.Backup, carp.Master} {
		t.Run(fmt.Sprint(state), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var slept atomic.Int64
				a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) {
					c.Suspended = func() time.Duration { return time.Duration(slept.Load()) }
				})
				w.skip(map[carp.State]time.Duration{carp.Backup: 1500 * time.Millisecond, carp.Master: 3500 * time.Millisecond}[state])
				a.want("begins", state)
				slept.Add(int64(time.Millisecond)) // a clock that is read twice
				w.sleep(1000 * time.Millisecond)
				w.journal.Take()
				slept.Add(int64(time.Hour))
				w.sleep(1000 * time.Millisecond)
				if state == carp.Master {
					w.want("listens before it speaks", "a release", "a MASTER -> BACKUP (this host stood still)")
					w.sleep(2400 * time.Millisecond)
				} else {
					w.sleep(2400 * time.Millisecond) // it looked at 3 s, and waits until 6 s
				}
				a.want("listens", carp.Backup)
				if n := a.Status().Stats.Stalls; n != 1 {
					t.Errorf("%d stalls, want 1", n)
				}
				w.sleep(700 * time.Millisecond)
				a.want("is master again", carp.Master)
			})
		})
	}
}

// A frozen master that finds its successor's adverts waiting does not answer them
// before it has listened.
func TestStalledMasterReadsNothingFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.stand("a")
		p := w.peer("p", host())
		w.sleep(5500 * time.Millisecond)
		w.journal.Take()
		a.still.Store(int64(10 * time.Second))
		for range 5 {
			p.advertise(1, 100, 0) // the first one wakes it
			w.sleep(2 * time.Second)
		}
		w.sleep(time.Second)
		w.wantOf("a", "listens", "release", "MASTER -> BACKUP (this host stood still)")
	})
}

// Addresses that take long to put on or to announce do not make the node suspect
// itself.
func TestSlowAddressesAreNoStall(t *testing.T) {
	for _, c := range []struct {
		name    string
		advbase int
		slow    time.Duration
	}{{"advbase 1", 1, 3500 * time.Millisecond}, {"sub-second", carp.SubSecond, 60 * time.Millisecond}} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.AdvBase = c.advbase })
				a.addrs.Slow(c.slow)
				w.sleep(time.Minute)
				a.want("is master", carp.Master)
				if s := a.Status().Stats; s.Stalls != 0 || s.Preempt != 1 {
					t.Errorf("%d stalls, %d times master; want none, once", s.Stalls, s.Preempt)
				}
			})
		})
	}
}

// Slow addresses delay only as long as they take.
func TestSlowAddresses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b", advskew(100))
		a.addrs.Slow(300 * time.Millisecond)
		w.sleep(20 * time.Second)
		a.want("is master", carp.Master)
		b.want("waits", carp.Backup)
		if n := a.Status().Stats.Stalls; n != 0 {
			t.Errorf("%d stalls, want 0", n)
		}
	})
}
