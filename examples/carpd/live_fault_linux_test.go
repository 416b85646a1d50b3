package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// TestCrash: a master is killed. Its address goes by itself, and the other host
// takes over when it must have, not before.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, mac := range []string{"real", "virtual", "rewritten"} {
		t.Run(mac, func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			c := b.capture()
			x, y := b.pair("-mac", mac, "-addr", vip4, vip6)
			x.kill()
			y.awaitState("crash", "MASTER")
			b.awaitHolders("crash", vip4, "b")
			b.awaitHolders("crash", vip6, "b")
			b.ping("crash", vip4, vip6)

			// The capture has the kernel's clock: 3 advbases and advskew 100.
			last, first := c.adverts("192.0.2.11"), c.adverts("192.0.2.12")
			gap := first[0].At.Sub(last[len(last)-1].At)
			dead := 3*time.Second + 100*time.Second/256
			if gap < dead {
				t.Errorf("b took over %v after a's last advert, want no less than %v", gap, dead)
			}
			t.Logf("b took over %v after a's last advert, %v more than it had to wait", gap, gap-dead)
		})
	}
}

// TestFrozen: a master is stopped for longer than it takes to replace it. When it
// goes on it listens before it says anything, and stays what it should be.
func TestFrozen(t *testing.T) {
	t.Parallel()
	for _, mac := range []string{"real", "virtual", "rewritten"} {
		t.Run(mac, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c := b.capture()
			x, y := b.pair("-mac", mac, "-addr", vip4)
			x.signal(sigFreeze)
			b.awaitHolders("frozen", vip4, "b") // a's has expired, too
			sent := y.status().Counters["opackets"]
			y.awaitStatus("b is well established", func(s status) bool { return s.Counters["opackets"] > sent+1 })
			frozen, from := len(c.adverts("192.0.2.11")), y.mark()

			x.signal(sigThaw)
			x.awaitState("thawed", "BACKUP")
			x.awaitHeard()
			sent = y.status().Counters["opackets"]
			y.awaitStatus("three more adverts of b", func(s status) bool { return s.Counters["opackets"] > sent+2 })
			if n := len(c.adverts("192.0.2.11")); n != frozen {
				t.Errorf("a sent %d adverts after it was frozen", n-frozen)
			}
			if l, moved := y.said(from, "->"); moved {
				t.Errorf("b moved: %s", l.Text)
			}
			b.awaitHolders("thawed", vip4, "b")
			if n := x.status().Counters["stalls"]; n == 0 {
				t.Error("a did not notice that it stood still")
			}
		})
	}
}

// TestFrozenAlone: with nobody to replace it, a thawed master takes its addresses
// again.
func TestFrozenAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x := b.carpd("a", "-addr", vip4)
	b.awaitHolders("alone", vip4, "a")
	x.signal(sigFreeze)
	b.awaitHolders("frozen", vip4)
	from := x.mark()
	time.Sleep(3 * time.Second) // a master may be late by its dead time, that is no stall
	x.signal(sigThaw)
	x.awaitLog(from, "BACKUP -> MASTER")
	b.awaitHolders("thawed", vip4, "a")
}

// TestInterface: the interface is deleted, and made again under its name.
func TestInterface(t *testing.T) {
	t.Parallel()
	for _, mac := range []string{"real", "virtual", "rewritten"} {
		t.Run(mac, func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			x, _ := b.pair("-mac", mac, "-addr", vip4, vip6, "-preempt")
			b.lab.Switch().IP("link del %s", b.lab.Port("lan", "a"))
			x.awaitState("deleted", "INIT")
			b.awaitHolders("deleted", vip4, "b")

			b.lab.Switch().Veth("again", b.lab.NS("a"), "lan")
			b.lab.Switch().IP("link set again master lan")
			b.lab.NS("a").Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
			x.awaitState("made again", "MASTER")
			b.awaitHolders("made again", vip4, "a")
			b.awaitHolders("made again", vip6, "a")
			b.ping("made again", vip4, vip6)
			x.stop()
			b.awaitHolders("stopped", vip4, "b")
		})
	}
}

// TestCarrier: the cable is pulled, and put in again.
func TestCarrier(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x, y := b.pair("-addr", vip4, vip6, "-preempt")
	b.lab.Carrier("lan", "a", false)
	x.awaitState("cable out", "INIT")
	b.awaitHolders("cable out", vip4, "b")
	b.lab.Carrier("lan", "a", true)
	x.awaitState("cable in", "MASTER")
	b.awaitHolders("cable in", vip4, "a")
	b.awaitHolders("cable in", vip6, "a")
	if s := x.status(); s.State != "MASTER" || !s.Held {
		t.Errorf("a has the status %s", s.Text)
	}
	y.awaitState("cable in", "BACKUP")
}

// TestPartition: both are masters while they cannot hear each other, and one of
// them when they can.
func TestPartition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	x, y := b.pair("-addr", vip4)
	from := x.mark()
	b.lab.Detach("lan", "b")
	b.awaitHolders("apart", vip4, "a", "b")
	b.lab.Attach("lan", "b")
	b.awaitHolders("together", vip4, "a")
	y.awaitState("together", "BACKUP")
	if l, moved := x.said(from, "->"); moved {
		t.Errorf("the better one moved: %s", l.Text)
	}
}

// TestRepair: what somebody else takes off is put on again.
func TestRepair(t *testing.T) {
	t.Parallel()
	for mac, link := range map[string]string{"real": "lan", "virtual": "lan-07", "rewritten": "lan"} {
		t.Run(mac, func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			x := b.carpd("a", "-mac", mac, "-addr", vip4, vip6)
			b.awaitHolders("alone", vip6, "a")
			for _, addr := range []string{vip4 + "/32", vip6 + "/128"} {
				from := x.mark()
				b.lab.NS("a").IP("addr del %s dev %s", addr, link)
				x.awaitLog(from, "addresses were missing")
				b.awaitHolders("deleted", strings.Split(addr, "/")[0], "a")
			}
			b.ping("repaired", vip4, vip6)
			if got := x.state(); got != "MASTER" {
				t.Errorf("a is %s", got)
			}
		})
	}
}

// TestLeftovers: a killed process is started again at once. It removes what it
// left, and leaves nothing when it ends.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	for _, mac := range []string{"real", "virtual", "rewritten"} {
		t.Run(mac, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.lab.NS("a").SetSysctl("net.ipv4.conf.lan.arp_announce", "1")
			before := b.setup("a")
			x := b.carpd("a", "-mac", mac, "-addr", vip4)
			b.awaitHolders("alone", vip4, "a")
			x.kill()
			killed := time.Now()
			again := b.carpd("a", "-mac", mac, "-addr", vip4)
			again.awaitState("again", "MASTER")
			b.awaitHolders("again", vip4, "a")
			// A macvlan stays, but an address has a lifetime, of which at least 1.5 s
			// were left, and this machine can be slow.
			soon := again.log(0)[0].Time.Sub(killed) < time.Second
			if _, said := again.said(0, "leftover"); !said && (mac == "virtual" || soon) {
				t.Error("no leftovers were seen")
			}
			if mac == "virtual" && b.setup("a") == before {
				t.Fatal("nothing was changed that could be restored")
			}
			again.stop()
			if after := b.setup("a"); after != before {
				t.Errorf("left, from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// TestForeign: an address that somebody else has put on is not ours to take off,
// and carpd does not claim what it cannot hold.
func TestForeign(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.capture()
	b.lab.NS("a").Addr("lan", vip4+"/32")
	x := b.carpd("a", "-addr", vip4)
	l := x.awaitLog(0, "cannot take the addresses")
	if !strings.Contains(l.Text, vip4) || !strings.Contains(l.Text, "lan") || !strings.Contains(l.Text, "in use on this machine already") {
		t.Errorf("the error is %s", l.Text)
	}
	x.awaitStatus("refused is counted", func(s status) bool { return s.Counters["refused"] > 0 })
	if s := x.status(); s.State != "BACKUP" || s.Held {
		t.Errorf("the status is %s", s.Text)
	}
	if n := len(c.adverts("192.0.2.11")); n != 0 {
		t.Errorf("%d adverts for an address that it could not take", n)
	}
	x.stop()
	b.awaitHolders("stopped", vip4, "a")

	// When it is gone the next try succeeds.
	x = b.carpd("a", "-addr", vip4)
	x.awaitLog(0, "cannot take the addresses")
	b.lab.NS("a").IP("addr del %s/32 dev lan", vip4)
	x.awaitState("free", "MASTER")
	b.awaitHolders("free", vip4, "a")
}
