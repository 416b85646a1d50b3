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

// stand is a node with vhid 1 and 2, on which everything stands still for d when
// vhid 2, of advskew 9, becomes master for the first time.
func (w *world) stand(name string, d time.Duration, change ...func(*carp.NodeConfig, *carp.GroupConfig)) *testNode {
	block := func(c *carp.NodeConfig, g *carp.GroupConfig) {
		second := carp.GroupConfig{HostConfig: host(), Down: true}
		second.VHID, second.AdvSkew = 2, 9
		c.Groups = append(c.Groups, second)
		told := c.Hooks.StateChanged
		c.Hooks.StateChanged = func(change carp.Change) {
			if change.VHID == 1 {
				told(change)
			} else if change.To == carp.Master {
				time.Sleep(d)
				d = 0
			}
		}
	}
	return w.node(name, append(change, block)...)
}

// standStill makes it so; it returns at once.
func (n *testNode) standStill() {
	n.do(n.Up(2))
	go n.Force(2, carp.Master)
}

// A backup that stood still finds the adverts of its master waiting.
func TestStalledBackupReadsFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.stand("a", 10*time.Second, advskew(100))
		p := w.peer("p", host())
		defer p.every(time.Second, 1, 0)()
		w.sleep(5 * time.Second)
		a.standStill()
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
		a := w.stand("a", 10*time.Second, advskew(100))
		p := w.peer("p", host())
		stop := p.every(time.Second, 1, 0)
		w.sleep(5500 * time.Millisecond)
		stop()
		a.standStill()
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
				a := w.stand("a", test.still)
				w.sleep(5500 * time.Millisecond) // half way between two adverts
				a.standStill()
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
		a := w.stand("a", 10*time.Second)
		b := w.node("b", advskew(100))
		w.sleep(5500 * time.Millisecond)
		a.standStill()
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
