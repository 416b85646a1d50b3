package carp_test

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
	"github.com/gocarp/gocarp/demote"
)

// firewalls are the two of the PF FAQ: carp1 on the LAN, carp2 on the WAN, each
// with a demotion of its own kind on either host.
type firewalls struct {
	lan, wan *world
	fw1, fw2 [2]*testNode // LAN, WAN
}

// newFirewalls starts them; demoter makes the demotion of interface i of a host.
func newFirewalls(t *testing.T, lan *world, d carp.Dialect, demoter func(host string, i int) carp.Demoter) *firewalls {
	wan := &world{t: t, seg: carptest.NewSegment(2), journal: new(carptest.Journal)}
	f := &firewalls{lan: lan, wan: wan}
	for i, w := range []*world{lan, wan} {
		start := func(host string, skew uint8) *testNode {
			return w.node(host, dialect(d), preempt, advskew(skew),
				func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Demote = demoter(host, i) })
		}
		f.fw1[i], f.fw2[i] = start("fw1", 0), start("fw2", 128)
	}
	lan.sleep(5 * time.Second)
	f.want("at the start", carp.Master, carp.Master)
	return f
}

// want compares what fw1 is on LAN and WAN; fw2 must be the opposite, and INIT
// counts as backup.
func (f *firewalls) want(sentence string, states ...carp.State) {
	for i, s := range states {
		other := carp.Master
		if s == carp.Master {
			other = carp.Backup
		}
		f.fw1[i].want(sentence, s)
		f.fw2[i].want(sentence, other)
	}
}

// Group failover, FreeBSD: net.inet.carp.demotion is one for the host.
func TestNodesFailOverTogether(t *testing.T) {
	for _, d := range []carp.Dialect{carp.FreeBSD, carp.NetBSD, carp.OpenBSD} {
		t.Run(d.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				counters := map[string]*demote.Counter{"fw1": new(demote.Counter), "fw2": new(demote.Counter)}
				f := newFirewalls(t, w, d, func(host string, _ int) carp.Demoter { return counters[host] })

				f.fw1[0].links <- carp.LinkDown
				w.sleep(100 * time.Millisecond)
				f.fw1[1].want("yields the WAN when the LAN is lost", carp.Backup)
				f.fw2[1].want("takes the WAN over at once", carp.Master)
				w.sleep(4 * time.Second)
				f.want("with the LAN of fw1 cut off", carp.Init, carp.Backup)

				f.fw1[0].links <- carp.LinkUp
				w.sleep(4 * time.Second)
				f.want("when the LAN is back", carp.Master, carp.Master)

				// Maintenance: the operator's demotion, and no packet is lost.
				counters["fw1"].Adjust(240)
				w.sleep(100 * time.Millisecond)
				f.want("in maintenance", carp.Backup, carp.Backup)
				counters["fw1"].Adjust(-240)
				w.sleep(3 * time.Second)
				f.want("after maintenance", carp.Master, carp.Master)
			})
		})
	}
}

// Groups of one node without a counter of their own share one.
func TestNodeGroupsShareACounter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		two := func(c *carp.NodeConfig, g *carp.GroupConfig) {
			g.Demote = nil
			second := *g
			second.VHID, second.Addrs = 2, &carptest.Addrs{}
			c.Groups = append(c.Groups, second)
		}
		a, b := w.node("a", two), w.node("b", two, func(c *carp.NodeConfig, g *carp.GroupConfig) {
			g.AdvSkew, c.Groups[0].AdvSkew = 100, 100
		})
		w.sleep(5 * time.Second)
		a.want("is master", carp.Master)
		a.wantVHID(2, "is master", carp.Master)
		a.addrs.FailAcquire(errNoRoom)
		a.do(a.Force(1, carp.Backup))
		w.sleep(5 * time.Second)
		b.want("takes over what a cannot hold", carp.Master)
		b.wantVHID(2, "and all that goes with it", carp.Master)
	})
}

// The interface group of the PF FAQ: carp1 and carp2 are internal, carp3 and
// carp4 are not; "ifconfig -g internal carpdemote 50" moves the former alone.
func TestNodesFailOverByInterfaceGroup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var hosts [2]demote.Groups
		var fw [2][4]*testNode
		segs := []*world{w, {t: t, seg: carptest.NewSegment(2), journal: new(carptest.Journal)},
			{t: t, seg: carptest.NewSegment(3), journal: new(carptest.Journal)},
			{t: t, seg: carptest.NewSegment(4), journal: new(carptest.Journal)}}
		for h := range fw {
			for i, seg := range segs {
				name := []string{"carp1", "carp2", "carp3", "carp4"}[i]
				groups := []string{demote.Carp}
				if i < 2 {
					groups = append(groups, "internal")
				}
				m, err := hosts[h].Join(name, groups...)
				if err != nil {
					t.Fatal(err)
				}
				fw[h][i] = seg.node([]string{"fw1", "fw2"}[h], advskew(uint8(100*h)),
					func(_ *carp.NodeConfig, g *carp.GroupConfig) {
						g.Demote, g.Preempt = m, true
					})
			}
		}
		want := func(sentence string, states ...carp.State) {
			t.Helper()
			for i, s := range states {
				fw[0][i].want(sentence, s)
				fw[1][i].want(sentence, carp.Backup+carp.Master-s)
			}
		}
		w.sleep(5 * time.Second)
		want("at the start", carp.Master, carp.Master, carp.Master, carp.Master)
		if err := hosts[0].Adjust("internal", 50); err != nil {
			t.Fatal(err)
		}
		w.sleep(50 * time.Millisecond)
		want("when internal is demoted", carp.Backup, carp.Backup, carp.Master, carp.Master)

		// "If the other firewall begins to advertise a greater demotion than 50, or
		// stops, this one takes them back." Not at once: one that has just yielded to
		// a slower node does not hurry, for other BSDs do not know of demotions.
		if err := hosts[1].Adjust("internal", 51); err != nil {
			t.Fatal(err)
		}
		w.sleep(100 * time.Millisecond)
		want("when the other is demoted more", carp.Master, carp.Master, carp.Master, carp.Master)
		if err := hosts[1].Adjust("internal", -51); err != nil {
			t.Fatal(err)
		}
		w.sleep(3 * time.Second)
		want("when it is not any more", carp.Backup, carp.Backup, carp.Master, carp.Master)
		if err := hosts[0].Adjust("internal", -50); err != nil {
			t.Fatal(err)
		}
		w.sleep(3 * time.Second)
		want("when the demotion is taken back", carp.Master, carp.Master, carp.Master, carp.Master)
	})
}
