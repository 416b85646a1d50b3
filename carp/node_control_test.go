package carp_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// peers sends unicast.
func peers(addrs ...string) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) {
		g.Peers = nil
		for _, a := range addrs {
			g.Peers = append(g.Peers, netip.MustParseAddr(a))
		}
	}
}

func TestNodeDownUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Down(1))
		a.do(a.Down(1))
		w.want("bows out once", "a advert 255/255")
		w.sleep(1010 * time.Millisecond)
		w.want("leaves", "a release", "a MASTER -> INIT (left without a successor)")
		a.do(a.Down(1))
		w.sleep(time.Minute)
		w.want("stays down")
		a.do(a.Up(1))
		a.do(a.Up(1))
		w.want("listens", "a INIT -> BACKUP (up and running)")

		w.skip(3500 * time.Millisecond)
		a.do(a.Down(1))
		a.do(a.Up(1))
		w.want("that changed its mind listens, having said goodbye",
			"a advert 255/255", "a release", "a MASTER -> BACKUP (up and running)")
	})
}

func TestNodeStartsDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Down = true })
		w.sleep(time.Minute)
		w.want("waits")
		a.do(a.Up(1))
		a.want("listens", carp.Backup)
	})
}

func TestNodeForce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.journal.Take()
		a.do(a.Force(1, carp.Master))
		w.want("is master at once", "a INIT -> BACKUP (up and running)",
			"a acquire", "a advert 1/0", "a announce", "a BACKUP -> MASTER (forced)")
		a.do(a.Force(1, carp.Init))
		w.want("cannot be forced to INIT")
		a.do(a.Force(1, carp.Backup))
		w.want("is backup at once, without a bow-out", "a release", "a MASTER -> BACKUP (forced)")
		if err := a.Force(1, 7); err == nil {
			t.Error("state 7 was taken")
		}
	})
}

func TestNodeUpdateInterval(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.AdvBase, c.AdvSkew = 2, 128 }))
		w.sleep(2490 * time.Millisecond)
		w.want("waits for the new interval, from now on")
		w.sleep(20 * time.Millisecond)
		w.want("uses it", "a advert 2/128")
		if s := a.group(1); s.State != carp.Master || s.AdvBase != 2 || s.AdvSkew != 128 {
			t.Errorf("status %+v: want MASTER 2/128", s)
		}
	})
}

// The failover of the PF FAQ: raise advskew above the other's.
func TestNodeUpdateSkewFailsOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a", preempt), w.node("b", preempt, advskew(100))
		w.sleep(5 * time.Second)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.AdvSkew = 200 }))
		w.sleep(3 * time.Second)
		a.want("yields", carp.Backup)
		b.want("takes over", carp.Master)
		b.do(b.Update(1, func(c *carp.GroupConfig) { c.Preempt = false }))
		b.do(b.Update(1, func(c *carp.GroupConfig) { c.AdvSkew = 240 }))
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Preempt = false }))
		w.sleep(10 * time.Second)
		b.want("stays without preempt", carp.Master)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Preempt = true }))
		w.sleep(3 * time.Second)
		a.want("preempts again", carp.Master)
	})
}

func TestNodeUpdatePassphrase(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b", advskew(100))
		w.sleep(5 * time.Second)
		key, _ := carp.Passphrase("another")
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Secret = key }))
		w.sleep(5 * time.Second)
		a.want("keeps its state", carp.Master)
		b.want("does not believe a stranger", carp.Master)
		if n := b.Status().Stats.BadAuth; n == 0 {
			t.Error("b has counted no bad authentication")
		}
		b.do(b.Update(1, func(c *carp.GroupConfig) { c.Secret = key }))
		w.sleep(3 * time.Second)
		a.want("is master", carp.Master)
		b.want("believes again", carp.Backup)
	})
}

func TestNodeUpdateAddresses(t *testing.T) {
	second := netip.MustParsePrefix("10.0.0.2/24")
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Addresses = append(c.Addresses, second) }))
		w.want("starts over with one more", "a set", "a release", "a MASTER -> BACKUP (addresses changed)")
		if got := a.addrs.Addresses(); !slices.Equal(got, []netip.Prefix{testAddr, second}) {
			t.Errorf("addresses %v", got)
		}
		w.skip(3500 * time.Millisecond)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Addresses = c.Addresses[1:] }))
		w.want("goes on with one less", "a set")
		a.want("keeps its state", carp.Master)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Addresses = nil }))
		w.want("has nothing to do without any", "a set", "a release", "a MASTER -> INIT (addresses changed)")
	})
}

func TestNodeUpdatePeers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var dsts []string
		w.seg.Tap(func(r carptest.Record) { dsts = append(dsts, r.Packet.Dst.String()) })
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.do(a.Update(1, func(c *carp.GroupConfig) {
			c.Peers = []netip.Addr{netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9")}
		}))
		w.sleep(time.Second)
		synctest.Wait()
		if got := strings.Join(dsts, " "); got != "224.0.0.18 10.0.0.8 10.0.0.9" {
			t.Errorf("adverts went to %s", got)
		}
	})
}

// What is wrong changes nothing, not even the slices that the caller was shown.
func TestNodeUpdateRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		refuse := func(sentence string, change func(*carp.GroupConfig)) {
			t.Helper()
			if err := a.Update(1, change); err == nil {
				t.Errorf("%s: no error", sentence)
			}
			w.want(sentence + " changes nothing")
		}
		other := netip.MustParsePrefix("10.0.0.7/24")
		refuse("advskew 255", func(c *carp.GroupConfig) { c.AdvSkew = 255 })
		refuse("another vhid", func(c *carp.GroupConfig) { c.VHID, c.Addresses[0] = 2, other })
		refuse("another dialect", func(c *carp.GroupConfig) { c.Dialect, c.Addresses[0] = carp.FreeBSD, other })
		refuse("a multicast address", func(c *carp.GroupConfig) {
			c.Addresses[0] = netip.MustParsePrefix("224.0.0.1/32")
		})
		a.addrs.FailAcquire(errors.New("no room"))
		if err := a.Update(1, func(c *carp.GroupConfig) { c.Addresses[0] = other }); err == nil {
			t.Error("no error from addresses that cannot be set")
		}
		w.want("addresses that cannot be set change nothing", "a set: no room")
		a.addrs.FailAcquire(nil)
		a.do(a.Update(1, func(c *carp.GroupConfig) {
			if c.Addresses[0] != testAddr {
				t.Errorf("the configuration has %v", c.Addresses)
			}
		}))
	})
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Addrs = struct{ carp.Addrs }{g.Addrs} })
		if err := a.Update(1, func(c *carp.GroupConfig) { c.Addresses = nil }); err == nil {
			t.Error("addresses were changed without an AddrSetter")
		}
	})
}

func TestNodeAddRemove(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		addrs := &carptest.Addrs{Name: "a2", Journal: w.journal}
		second := carp.GroupConfig{HostConfig: host(), Addrs: addrs}
		second.VHID = 2
		a.do(a.Add(second))
		if err := a.Add(second); !errors.Is(err, carp.ErrExists) {
			t.Errorf("a second vhid 2: %v, want ErrExists", err)
		}
		if err := a.Add(carp.GroupConfig{}); err == nil {
			t.Error("vhid 0 was taken")
		}
		w.skip(3500 * time.Millisecond)
		a.wantVHID(2, "runs what was added", carp.Master)
		if got := len(a.Status().Groups); got != 2 {
			t.Errorf("%d groups, want 2", got)
		}
		a.do(a.Remove(2))
		w.want("bows out and lets go at once", "a advert 255/255", "a2 release", "a MASTER -> INIT (taken down)")
		if got := len(a.Status().Groups); got != 1 {
			t.Errorf("%d groups, want 1", got)
		}
		if err := a.Remove(2); !errors.Is(err, carp.ErrNotFound) {
			t.Errorf("removed twice: %v, want ErrNotFound", err)
		}
		a.do(a.Add(second))
		w.skip(3500 * time.Millisecond)
		a.wantVHID(2, "runs what was added again", carp.Master)

		// In the middle of lingering, and of an overlap.
		a.do(a.Down(2))
		a.do(a.Remove(2))
		if addrs.Held() {
			t.Error("removed while lingering, and still held")
		}
		p := w.peer("p", host())
		p.advertise(1, 0, 0)
		synctest.Wait()
		a.do(a.Remove(1))
		if a.addrs.Held() {
			t.Error("removed during the overlap, and still held")
		}
	})
}

func TestNodeCallsAfterTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.skip(3500 * time.Millisecond)
		a.cancel()
		synctest.Wait() // lingering
		for name, call := range map[string]func() error{
			"Up":  func() error { return a.Up(1) },
			"Add": func() error { return a.Add(carp.GroupConfig{HostConfig: host()}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrStopped) {
				t.Errorf("%s while the node stops: %v, want ErrStopped", name, err)
			}
		}
		w.journal.Take()
		a.do(a.SetAllow(false)) // changes nothing about its leaving
		<-a.ended
		for name, call := range map[string]func() error{
			"Up":       func() error { return a.Up(1) },
			"Down":     func() error { return a.Down(1) },
			"Force":    func() error { return a.Force(1, carp.Backup) },
			"Add":      func() error { return a.Add(carp.GroupConfig{HostConfig: host()}) },
			"Remove":   func() error { return a.Remove(1) },
			"SetAllow": func() error { return a.SetAllow(true) },
			"Update":   func() error { return a.Update(1, func(*carp.GroupConfig) {}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrStopped) {
				t.Errorf("%s after the end: %v, want ErrStopped", name, err)
			}
		}
		if s := a.group(1); s.State != carp.Init || s.Held {
			t.Errorf("status after the end %+v: want INIT and nothing held", s)
		}
	})
}

func TestNodeCallsForUnknownGroups(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		for name, call := range map[string]func() error{
			"Up":     func() error { return a.Up(9) },
			"Down":   func() error { return a.Down(9) },
			"Force":  func() error { return a.Force(9, carp.Backup) },
			"Update": func() error { return a.Update(9, func(*carp.GroupConfig) {}) },
		} {
			if err := call(); !errors.Is(err, carp.ErrNotFound) || !strings.Contains(err.Error(), "9@em0") {
				t.Errorf("%s: %v, want ErrNotFound for 9@em0", name, err)
			}
		}
	})
}
