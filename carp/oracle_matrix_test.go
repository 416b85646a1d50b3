package carp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// A matrix is an election kernel's answers: for each case one advert to a virtual
// host in a known state, what became of the state, and what was sent.
type matrix struct {
	Pass  string `json:"pass"`
	Setup struct {
		Pass string `json:"pass"`
	} `json:"setup"`
	Cases []matrixCase `json:"cases"`
}

type matrixCase struct {
	N           int      `json:"n"`
	StateBefore string   `json:"state_before"`
	Preempt     int      `json:"preempt"`
	OwnDemote   int      `json:"own_demote"`
	OwnDemotion int      `json:"own_demotion"` // the same, in other files
	OwnAdvBase  int      `json:"own_advbase"`
	OwnAdvSkew  uint8    `json:"own_advskew"`
	VHID        uint8    `json:"vhid"`
	VIP         string   `json:"vip"`
	Frame       hexBytes `json:"frame"`
	StateAfter  string   `json:"state_after"`
	Sent        []advert `json:"adverts_sent"`
	GARPs       count    `json:"garps_sent"`
}

// An advert is what a kernel was seen to send.
type advert struct {
	AdvBase uint8 `json:"advbase"`
	AdvSkew uint8 `json:"advskew"`
	Demote  uint8 `json:"demote"`
}

func TestMatrixOpenBSD(t *testing.T) {
	eachOracle(t, "openbsd-matrix.json", "openbsd/carp-matrix.json", func(t *testing.T, m matrix) {
		m.test(t, carp.OpenBSD)
	})
}

func TestMatrixFreeBSD(t *testing.T) {
	eachOracle(t, "freebsd-matrix.json", "freebsd/carp-matrix.json", func(t *testing.T, m matrix) {
		m.test(t, carp.FreeBSD12)
	})
}

func (m *matrix) test(t *testing.T, d carp.Dialect) {
	if len(m.Cases) == 0 {
		t.Fatal("no cases")
	}
	t.Logf("%d cases", len(m.Cases))
	for _, c := range m.Cases {
		c.OwnDemote += c.OwnDemotion
		if diff := cmp.Diff(c.want(), c.host(t, d, m.Pass+m.Setup.Pass)); diff != "" {
			t.Errorf("case %d, virtual host (-kernel +ours):\n%s%+v", c.N, diff, c)
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		for _, c := range m.Cases {
			c.OwnDemote += c.OwnDemotion
			if diff := cmp.Diff(c.want(), c.node(t, w, d, m.Pass+m.Setup.Pass)); diff != "" {
				t.Errorf("case %d, node (-kernel +ours):\n%s%+v", c.N, diff, c)
			}
		}
	})
}

// An answer is what was done about a frame.
type answer struct {
	State string
	Sent  []advert
	GARPs int
}

func (c *matrixCase) want() answer {
	a := answer{State: c.StateAfter, GARPs: int(c.GARPs)}
	a.Sent = append(a.Sent, c.Sent...) // nil if there are none
	return a
}

func (c *matrixCase) config(d carp.Dialect, pass string) carp.HostConfig {
	h := carp.HostConfig{AnyType: true, Addresses: []netip.Prefix{netip.MustParsePrefix(c.VIP + "/24")}, Counter: 1}
	h.Config = carp.Config{
		VHID: c.VHID, AdvBase: c.OwnAdvBase, AdvSkew: c.OwnAdvSkew, Dialect: d, Preempt: c.Preempt == 1, Linger: -1,
	}
	if c.OwnAdvBase == 0 {
		h.AdvBase = carp.SubSecond
	}
	h.Secret, _ = carp.Passphrase(pass)
	return h
}

// host is what a VirtualHost does.
func (c *matrixCase) host(t *testing.T, d carp.Dialect, pass string) answer {
	t.Helper()
	v, err := carp.NewVirtualHost(c.config(d, pass))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	v.Step(now, carp.Event{Kind: carp.EventDemote, Demote: c.OwnDemote})
	v.Step(now, carp.Event{Kind: carp.EventUp})
	if c.StateBefore == "MASTER" {
		v.Step(now, carp.Event{Kind: carp.EventForce, Force: carp.Master})
	}
	p, _ := parse(c.Frame)
	out, err := v.Receive(now.Add(50*time.Millisecond), &p)
	if err != nil {
		t.Errorf("case %d: refused: %v", c.N, err)
	}
	a := answer{State: v.Machine().State().String()}
	if out.Send {
		a.Sent = append(a.Sent, advert{out.Advert.AdvBase, out.Advert.AdvSkew, out.Advert.Demote})
	}
	if out.Announce {
		a.GARPs = 1
	}
	return answer{a.State, a.Sent, a.GARPs}
}

// node is what a Node does within 100 ms.
func (c *matrixCase) node(t *testing.T, w *world, d carp.Dialect, pass string) answer {
	t.Helper()
	seg := carptest.NewSegment(1)
	here := &world{t: t, seg: seg, journal: w.journal}
	n := here.node("a", func(_ *carp.NodeConfig, g *carp.GroupConfig) {
		g.HostConfig, g.Overlap = c.config(d, pass), -1
	})
	n.demote.Adjust(c.OwnDemote)
	synctest.Wait()
	if c.StateBefore == "MASTER" {
		n.do(n.Force(c.VHID, carp.Master))
	}
	here.sleep(50 * time.Millisecond)
	var sent []advert
	seg.Tap(func(r carptest.Record) {
		if h := r.Header(); r.From == "a" {
			sent = append(sent, advert{h.AdvBase, h.AdvSkew, h.Demote})
		}
	})
	announced := n.addrs.Calls("announce")
	p, _ := parse(c.Frame)
	kernel := seg.Attach("kernel")
	kernel.SendRaw(p)
	here.sleep(100 * time.Millisecond)
	a := answer{fmt.Sprint(n.group(c.VHID).State), sent, n.addrs.Calls("announce") - announced}
	n.stop()
	return a
}
