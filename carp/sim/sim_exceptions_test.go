package sim

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/simnet"
)

// TestExceptions shows what CARP does not promise: the rules of the kernels as
// they are, with no fault in the network but what the test makes. Whoever reads
// here that something never ends has found a setting to avoid.
func TestExceptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(*testing.T)
	}{
		{"OpenBSD's demotion is not seen by others", demotionUnseen},
		{"FreeBSD's demotion needs a backup with preempt", demotionNeedsPreempt},
		{"without preempt the better node does not return", worseMasterStays},
		{"one family cut off flaps", oneFamilyFlaps},
		{"a backup of advbase 86 waits after a bow-out", slowBackupWaits},
		{"another passphrase is a split brain", splitBrain},
		{"contradictory orders of three make a storm", stormOfThree},
	} {
		t.Run(tt.name, tt.test)
	}
}

// town makes a world of nodes that take part, each packet of which takes a
// millisecond. The first one is master, since it is up before the others.
func town(t *testing.T, f carp.Families, configs ...carp.Config) *world {
	w := newWorld()
	w.reset(1, nil)
	for i, c := range configs {
		c.VHID, c.Seed = 1, uint64(i)
		w.add(c, f)
	}
	w.connect(simnet.Faults{MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
	w.nodes[0].raise()
	w.wait(w.nodes[0].longest)
	for _, n := range w.nodes[1:] {
		n.raise()
	}
	w.wait(time.Second)
	w.wantMaster(t, "at first", 0)
	return w
}

// wantMaster wants these nodes to be MASTER, and no other.
func (w *world) wantMaster(t *testing.T, when string, ids ...simnet.NodeID) {
	t.Helper()
	if w.err != nil {
		t.Fatal(w.err)
	}
	want := make(map[simnet.NodeID]bool)
	for _, id := range ids {
		want[id] = true
	}
	for _, n := range w.nodes {
		if n.leads() != want[n.id] {
			t.Errorf("%s: node %d is %v", when, n.id, n.m.State())
		}
	}
}

func demotionUnseen(t *testing.T) {
	for d, follows := range map[carp.Dialect]bool{
		carp.OpenBSD: true, carp.FreeBSD: false, carp.FreeBSD12: false, carp.NetBSD: false, carp.UCarp: false,
	} {
		w := town(t, carp.IPv4, carp.Config{}, carp.Config{Dialect: d, AdvSkew: 100, Preempt: true})
		w.nodes[0].demote(255)
		w.wait(time.Minute)
		if follows {
			w.wantMaster(t, d.String(), 1)
		} else {
			w.wantMaster(t, d.String(), 0)
		}
	}
}

func demotionNeedsPreempt(t *testing.T) {
	for _, d := range [...]carp.Dialect{carp.OpenBSD, carp.FreeBSD} {
		for _, preempt := range [...]bool{false, true} {
			w := town(t, carp.IPv4, carp.Config{Dialect: carp.FreeBSD}, carp.Config{Dialect: d, AdvSkew: 100, Preempt: preempt})
			w.nodes[0].demote(240)
			w.wait(time.Minute)
			if preempt {
				w.wantMaster(t, d.String()+" with preempt", 1)
			} else {
				w.wantMaster(t, d.String()+" without preempt", 0)
			}
		}
	}
}

func worseMasterStays(t *testing.T) {
	for _, d := range [...]carp.Dialect{carp.OpenBSD, carp.FreeBSD, carp.NetBSD, carp.UCarp} {
		w := town(t, carp.IPv4, carp.Config{Dialect: d, AdvSkew: 100}, carp.Config{Dialect: d})
		w.wait(time.Minute)
		w.wantMaster(t, d.String(), 0)
	}
}

func oneFamilyFlaps(t *testing.T) {
	both := carp.IPv4 | carp.IPv6
	w := town(t, both, carp.Config{}, carp.Config{AdvSkew: 128})
	w.net.Split(seg6, 1)
	before, down := w.count.changes, w.nodes[1].masterDown()
	w.wait(time.Hour)
	// Up at the end of its master-down time, down at the next advert by IPv4.
	flaps := (w.count.changes - before) / 2
	if most := int(time.Hour / down); flaps > most || flaps < int(time.Hour/(down+time.Second)) {
		t.Errorf("%d flaps in an hour, want one in each %v and up to 1s more", flaps, down)
	}
	w.net.Heal(seg6)
	w.wait(time.Second + down)
	w.wantMaster(t, "healed", 0)
	before = w.count.changes
	if w.wait(time.Hour); w.count.changes != before {
		t.Error("flaps after all is well")
	}
}

func slowBackupWaits(t *testing.T) {
	for _, tt := range []struct {
		backup carp.Config
		waits  bool
	}{
		{carp.Config{AdvBase: 85, AdvSkew: 254}, false},
		{carp.Config{AdvBase: 86}, true},
		{carp.Config{AdvBase: 86, Preempt: true}, false}, // 86 s is less than 255
		{carp.Config{AdvBase: carp.SubSecond, AdvSkew: 100}, true},
		{carp.Config{AdvBase: carp.SubSecond, AdvSkew: 100, Preempt: true}, false},
	} {
		master := carp.Config{AdvSkew: 0}
		if tt.backup.AdvBase == carp.SubSecond {
			master = carp.Config{AdvBase: carp.SubSecond}
		}
		w := town(t, carp.IPv4, master, tt.backup)
		w.nodes[0].lower()
		w.wait(2 * time.Millisecond)
		if tt.waits {
			w.wantMaster(t, "just after the bow-out")
			w.wait(w.nodes[1].masterDown())
		}
		w.wantMaster(t, "in the end", 1)
	}
}

func splitBrain(t *testing.T) {
	w := town(t, carp.IPv4, carp.Config{}, carp.Config{AdvSkew: 100})
	w.nodes[1].key = 1
	w.wait(time.Minute)
	w.wantMaster(t, "with two passphrases", 0, 1)
	w.nodes[1].key = 0
	w.wait(2 * time.Second)
	w.wantMaster(t, "with one again", 0)
}

// stormOfThree: the first node is OpenBSD, the fastest, and demoted; the second
// UCarp, which knows of no demotion; the third OpenBSD, too slow to be alive in
// the eyes of both. Once two of them meet as masters, each advert brings another
// node to take over: the third from the demoted first, the others from the slow
// third. If the first is a kernel this goes on as fast as packets travel. The
// jitter of our machine ends it.
func stormOfThree(t *testing.T) {
	for _, kernel := range [...]bool{true, false} {
		w := newWorld()
		w.reset(1, nil)
		nodes := []operated{
			w.add(carp.Config{VHID: 1, Dialect: carp.UCarp, AdvSkew: 10, Preempt: true}, carp.IPv4),
			w.add(carp.Config{VHID: 1, AdvBase: 5}, carp.IPv4),
		}
		if kernel {
			k := &openbsd{w: w}
			k.id = w.net.AddNode(k, 1)
			nodes = append(nodes, k)
		} else {
			nodes = append(nodes, w.add(carp.Config{VHID: 1}, carp.IPv4))
		}
		w.net.AddSegment(simnet.Faults{MinDelay: time.Millisecond, MaxDelay: time.Millisecond}, 0, 1, 2)
		first := nodes[2]
		for _, n := range nodes {
			n.raise()
		}
		first.demote(1)
		w.net.Split(seg4, 2)
		w.wait(9900 * time.Millisecond) // masters on both sides; the first speaks next
		w.net.Heal(seg4)
		changes := func(d time.Duration) int {
			before := w.count.changes
			w.wait(d)
			return w.count.changes - before
		}
		if n := changes(600 * time.Millisecond); kernel && n < 500 || !kernel && n > 10 {
			t.Errorf("kernel %v: %d changes of state in half a second", kernel, n)
		}
		first.demote(0)
		w.wait(10 * time.Second)
		masters := 0
		for _, n := range nodes {
			if n.leads() {
				masters++
			}
		}
		if n := changes(time.Minute); w.err != nil || n != 0 || masters != 1 {
			t.Errorf("kernel %v: after the demotion %d masters, %d changes, %v", kernel, masters, n, w.err)
		}
	}
}

// operated is a node as its operator sees it, ours or not.
type operated interface {
	raise()
	demote(int)
	leads() bool
}

func (n *node) leads() bool { return n.m.State() == carp.Master }

// openbsd is the kernel of an OpenBSD node with advbase 1 and without preempt, by
// the rules of params: as [carp.Machine], but without the jitter.
type openbsd struct {
	w *world
	params
	id     simnet.NodeID
	master bool
}

func (k *openbsd) raise()       { k.become(false) }
func (k *openbsd) demote(n int) { k.demotion = n }
func (k *openbsd) leads() bool  { return k.master }

func (k *openbsd) become(master bool) {
	if k.master = master; master {
		k.advertise()
	} else {
		k.w.net.SetTimer(k.id, 0, k.w.net.Now().Add(k.masterDown()))
	}
}

func (k *openbsd) advertise() {
	h := carp.Header{VHID: 1, AdvBase: uint8(k.base()), Demote: uint8(k.octet())}
	k.w.net.Broadcast(seg4, k.id, advert{header: h})
	k.w.net.SetTimer(k.id, 0, k.w.net.Now().Add(k.interval()))
}

// Timer implements [simnet.Handler].
func (k *openbsd) Timer(int) {
	if k.master {
		k.advertise()
	} else {
		k.become(true)
	}
}

// Packet implements [simnet.Handler].
func (k *openbsd) Packet(_ simnet.SegmentID, _ simnet.NodeID, a advert) {
	peer := params{demotion: int(a.header.Demote)}
	peer.AdvBase, peer.AdvSkew = int(a.header.AdvBase), a.header.AdvSkew
	switch {
	case k.master && k.yields(&peer), !k.master && !k.takes(&peer):
		k.become(false)
	case !k.master:
		k.become(true)
	}
}
