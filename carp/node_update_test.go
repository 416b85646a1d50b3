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

// 0 in an update means the default, as it does at the start.
func TestNodeUpdateLinger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Linger = -1 })
		w.skip(3500 * time.Millisecond)
		a.do(a.Update(1, func(c *carp.GroupConfig) { c.Linger = 0 }))
		a.do(a.Down(1))
		w.sleep(carp.DefaultLinger - time.Millisecond)
		w.want("lingers", "a advert 255/255")
		w.sleep(2 * time.Millisecond)
		w.want("leaves", "a release", "a MASTER -> INIT (left without a successor)")
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
