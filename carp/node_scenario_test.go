package carp_test

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// The scenarios of the BSDs' own tests, under their names. What they ask of a
// ping is asked of the addresses here: they are on exactly one node.

// reachable fails unless the addresses are on exactly one node.
func reachable(t *testing.T, sentence string, nodes ...*testNode) {
	t.Helper()
	held := 0
	for _, n := range nodes {
		if n.addrs.Held() {
			held++
		}
	}
	if held != 1 {
		t.Errorf("%s: the addresses are on %d nodes, want 1", sentence, held)
	}
}

// neverTwoMasters fails if two nodes are master at once for longer than an advert
// needs.
func (w *world) neverTwoMasters(d time.Duration, nodes ...*testNode) {
	w.t.Helper()
	both := 0
	for range d / (10 * time.Millisecond) {
		w.sleep(10 * time.Millisecond)
		masters := 0
		for _, n := range nodes {
			if n.group(1).State == carp.Master {
				masters++
			}
		}
		if both++; masters < 2 {
			both = 0
		}
		if both > 2 {
			w.t.Fatal("two masters")
		}
	}
}

// FreeBSD, tests/sys/netinet/carp.sh.
func TestFreeBSDCarp(t *testing.T) {
	type config = func(*carp.NodeConfig, *carp.GroupConfig)
	for _, test := range []struct {
		name   string
		routed bool // through a router: the TTL is less
		one    []config
		two    []config
	}{
		{"basic_v4", false, nil, nil},
		{"basic_v6", false, []config{addresses("2001:db8::1/64")}, []config{addresses("2001:db8::1/64")}},
		{"unicast_v4", true, []config{peers("10.0.0.3")}, []config{peers("10.0.0.2")}},
		{"unicast_v6", true, []config{addresses("2001:db8::1/64"), peers("fe80::3")},
			[]config{addresses("2001:db8::1/64"), peers("fe80::2")}},
		{"unicast_ll_v6", false, []config{addresses("2001:db8::1/64"), peers("fe80::3")},
			[]config{addresses("2001:db8::1/64"), peers("fe80::2")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.seg.SetFaults(carptest.Faults{Delay: 200 * time.Microsecond})
				route := func(c *carp.NodeConfig, _ *carp.GroupConfig) {
					if test.routed {
						c.Transport = &router{c.Transport}
					}
				}
				// They start one after the other, as ifconfig runs.
				a := w.node("one", append(test.one, dialect(carp.FreeBSD), route)...)
				w.sleep(20 * time.Millisecond)
				b := w.node("two", append(test.two, dialect(carp.FreeBSD), route)...)
				w.sleep(5 * time.Second)
				reachable(t, "soon", a, b)
				w.neverTwoMasters(30*time.Second, a, b)
				reachable(t, "later", a, b)

				// unicast_v4: a new advskew keeps the peer.
				a.do(a.Update(1, func(c *carp.GroupConfig) { c.AdvSkew = 100 }))
				w.sleep(10 * time.Second)
				reachable(t, "after another advskew", a, b)
			})
		})
	}

	t.Run("negative_demotion", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("one", dialect(carp.FreeBSD), preempt)
			b := w.node("two", dialect(carp.FreeBSD), preempt, advskew(100))
			w.sleep(5 * time.Second)
			a.demote.Adjust(-1)
			w.neverTwoMasters(10*time.Second, a, b)
			a.want("stays", carp.Master)
		})
	})

	t.Run("switch", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("one", dialect(carp.FreeBSD))
			a.do(a.Force(1, carp.Backup))
			a.want("is backup", carp.Backup)
			a.do(a.Force(1, carp.Master))
			a.want("is master", carp.Master)
		})
	})
}

// router is a transport behind a router, which decrements the TTL.
type router struct{ carp.Transport }

func (r *router) ReadPacket(p *carp.Packet) error {
	err := r.Transport.ReadPacket(p)
	p.TTL--
	return err
}

// OpenBSD, regress/sys/netinet/carp, carp_1 to carp_4: within eight seconds the
// better node is master; when its group is demoted the other one is within eight
// more, without preempt.
func TestOpenBSDCarp(t *testing.T) {
	realMAC := func(mac byte) func(*carp.NodeConfig, *carp.GroupConfig) {
		// lladdr set to that of the interface below: nothing is hashed, and
		// adverts come from there.
		return func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.LinkSrc = carp.HardwareAddr{2, 0, 0, 0, 0, mac} }
	}
	for name, nodes := range map[string][2][]func(*carp.NodeConfig, *carp.GroupConfig){
		"carp_1": {},
		"carp_2": {{realMAC(1)}, {realMAC(2)}},
		"carp_3": {{peers("10.0.0.3")}, {peers("10.0.0.2")}},
		"carp_4": {{realMAC(1), peers("10.0.0.3")}, {realMAC(2), peers("10.0.0.2")}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.node("one", nodes[0]...), w.node("two", append(nodes[1], advskew(100))...)
				w.sleep(8 * time.Second)
				a.want("is master", carp.Master)
				b.want("is backup", carp.Backup)
				a.demote.Adjust(1)
				w.sleep(8 * time.Second)
				a.want("is backup", carp.Backup)
				b.want("is master", carp.Master)
			})
		})
	}
}

// NetBSD, tests/net/carp/t_basic.sh: the addresses answer within five seconds
// after the master is halted, or its interface set down.
func TestNetBSDCarpHandover(t *testing.T) {
	for _, test := range []struct {
		name string
		addr string
		lose func(w *world, master *testNode)
	}{
		{"ipv4_halt", "10.1.1.100/24", func(w *world, _ *testNode) { w.seg.Partition([]string{"master"}) }},
		{"ipv6_halt", "fd00:1::100/64", func(w *world, _ *testNode) { w.seg.Partition([]string{"master"}) }},
		{"ipv4_ifdown", "10.1.1.100/24", func(_ *world, m *testNode) { m.links <- carp.LinkDown }},
		{"ipv6_ifdown", "fd00:1::100/64", func(_ *world, m *testNode) { m.links <- carp.LinkDown }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				m := w.node("master", dialect(carp.NetBSD), addresses(test.addr))
				b := w.node("backup", dialect(carp.NetBSD), addresses(test.addr), advskew(200))
				w.sleep(4 * time.Second)
				m.want("is master", carp.Master)
				b.want("is backup", carp.Backup)
				test.lose(w, m)
				w.sleep(5 * time.Second)
				b.want("has taken over", carp.Master)
			})
		})
	}
}

// A dual-stack group of which one family is filtered: the backup takes over each
// time the silent family times out. Documented, in section 8.4; so are the
// kernels.
func TestDualStackOneFamilyFiltered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		dual := addresses("10.0.0.1/24", "2001:db8::1/64")
		w.node("a", dual)
		b := w.node("b", dual, advskew(100), func(c *carp.NodeConfig, _ *carp.GroupConfig) {
			c.Transport = &onlyIPv4{c.Transport}
		})
		w.sleep(time.Minute)
		if n := b.Status().Stats.Preempt; n < 5 {
			t.Errorf("master %d times in a minute, want it to flap", n)
		}
	})
}

// onlyIPv4 filters IPv6.
type onlyIPv4 struct{ carp.Transport }

func (f *onlyIPv4) ReadPacket(p *carp.Packet) error {
	for {
		if err := f.Transport.ReadPacket(p); err != nil || p.Dst.Is4() {
			return err
		}
	}
}

// Maintenance with a preempting peer, section 5.6: the addresses are never away.
func TestMaintenanceLosesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", dialect(carp.FreeBSD), preempt)
		b := w.node("b", dialect(carp.FreeBSD), preempt, advskew(100))
		w.sleep(5 * time.Second)
		w.seg.SetFaults(carptest.Faults{Delay: 2 * time.Millisecond, Jitter: time.Millisecond})
		held := func(sentence string) {
			t.Helper()
			for range 3000 {
				w.sleep(time.Millisecond)
				if !a.addrs.Held() && !b.addrs.Held() {
					t.Fatalf("%s: nobody holds the addresses", sentence)
				}
			}
		}
		a.demote.Adjust(240)
		held("entering maintenance")
		b.want("is master meanwhile", carp.Master)
		a.demote.Adjust(-240)
		held("leaving maintenance")
		a.want("is master again", carp.Master)
	})
}
