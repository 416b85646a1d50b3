package carp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

var errNoRoom = errors.New("no room")

// Cancelled at every phase of its life, and with slow addresses: nothing is left.
// The checks are those of [testNode.stop].
func TestNodeCancelledAnytime(t *testing.T) {
	for _, slow := range []time.Duration{0, 30 * time.Millisecond} {
		for at := time.Duration(0); at < 7*time.Second; at += 137 * time.Millisecond {
			t.Run(fmt.Sprintf("slow %v/%v", slow, at), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					a := w.node("a")
					p := w.peer("p", host())
					a.addrs.Slow(slow)
					time.AfterFunc(4900*time.Millisecond, func() { p.advertise(1, 0, 0) })
					time.AfterFunc(5200*time.Millisecond, func() { p.advertise(255, 255, 0) })
					if at > 0 {
						time.Sleep(at)
					}
					a.stop()
					if n, m := a.addrs.Calls("acquire"), a.addrs.Calls("release"); n < m {
						t.Errorf("%d acquired, %d released", n, m)
					}
				})
			})
		}
	}
}

func TestNodeCancelledBeforeRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		node, err := carp.NewNode(carp.NodeConfig{
			Transport: w.seg.Attach("a"), Groups: []carp.GroupConfig{{HostConfig: host()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := node.Run(ctx); err != nil {
			t.Errorf("Run with a cancelled context: %v", err)
		}
		if err := node.Run(t.Context()); err == nil {
			t.Error("Run ran twice")
		}
	})
}

func TestNodeRunsOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a")
		w.sleep(4 * time.Second)
		if err := a.Run(t.Context()); err == nil {
			t.Error("Run ran twice at a time")
		}
		a.want("goes on", carp.Master)
	})
}

func TestNewNodeErrors(t *testing.T) {
	port := carptest.NewSegment(1).Attach("a")
	group := func(change func(*carp.GroupConfig)) carp.NodeConfig {
		g := carp.GroupConfig{HostConfig: host()}
		change(&g)
		return carp.NodeConfig{Transport: port, Groups: []carp.GroupConfig{g}}
	}
	for _, test := range []struct {
		want   string // all of them, separated by commas
		config carp.NodeConfig
	}{
		{"no transport", carp.NodeConfig{}},
		{"vhid 0", group(func(g *carp.GroupConfig) { g.VHID = 0 })},
		{"advskew 255", group(func(g *carp.GroupConfig) { g.AdvSkew = 255 })},
		{"advbase 255: openbsd takes 0 to 254", group(func(g *carp.GroupConfig) { g.AdvBase = 255 })},
		{"advbase 0: freebsd takes 1 to 255", group(func(g *carp.GroupConfig) {
			g.AdvBase, g.Dialect = carp.SubSecond, carp.FreeBSD
		})},
		{"only ucarp has one", group(func(g *carp.GroupConfig) { g.DeadRatio = 2 })},
		{"not a dialect", group(func(g *carp.GroupConfig) { g.Dialect = 99 })},
		{"given twice", group(func(g *carp.GroupConfig) { g.Addresses = append(g.Addresses, testAddr) })},
		{"not an address with a prefix length", group(func(g *carp.GroupConfig) { g.Addresses = make([]netip.Prefix, 1) })},
		{"peer invalid IP", group(func(g *carp.GroupConfig) { g.Peers = make([]netip.Addr, 1) })},
		{"allowed source", group(func(g *carp.GroupConfig) { g.Allow = make([]netip.Prefix, 1) })},
		{"replay policy", group(func(g *carp.GroupConfig) { g.Replay = 9 })},
		{"replay window", group(func(g *carp.GroupConfig) { g.ReplayWindow = -1 })},
		{"vhid 1: given twice", carp.NodeConfig{Transport: port, Groups: []carp.GroupConfig{
			{HostConfig: host()}, {HostConfig: host()},
		}}},
		{"no transport,advskew 255,replay policy", carp.NodeConfig{Groups: []carp.GroupConfig{{
			HostConfig: carp.HostConfig{Config: carp.Config{VHID: 1, AdvSkew: 255}, Replay: 9},
		}}}},
	} {
		_, err := carp.NewNode(test.config)
		if err == nil {
			t.Errorf("no error, want %q", test.want)
			continue
		}
		for want := range strings.SplitSeq(test.want, ",") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q, want %q in it", err, want)
			}
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if strings.Count(line, "carp: ") != 1 {
				t.Errorf("error %q: want the prefix once", line)
			}
		}
	}
}

func TestNodeStatus(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", advskew(7))
		p := w.peer("p", host())
		start := time.Now()
		synctest.Wait()
		got := a.Status()
		if got.Interface != "em0" || len(got.Groups) != 1 {
			t.Fatalf("status %+v: want em0 and one group", got)
		}
		want := carp.GroupStatus{VHID: 1, State: carp.Backup, Since: start, Reason: carp.ReasonUp, Seq: 1, AdvBase: 1, AdvSkew: 7}
		if got.Groups[0] != want {
			t.Errorf("status %+v, want %+v", got.Groups[0], want)
		}
		w.sleep(500 * time.Millisecond)
		p.advertise(2, 3, 0)
		synctest.Wait()
		want.Heard = carp.Heard{
			At: start.Add(500 * time.Millisecond), Src: netip.MustParseAddr("10.0.0.99"), AdvBase: 2, AdvSkew: 3,
		}
		if got := a.group(1); got != want {
			t.Errorf("status %+v, want %+v", got, want)
		}
	})
}

// The hooks tell every change, exactly once, numbered, in a chain.
func TestNodeHooksInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var changes []carp.Change
		a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) {
			c.Hooks.StateChanged = func(c carp.Change) { changes = append(changes, c) }
		})
		p := w.peer("p", host())
		for i := range 40 {
			time.Sleep(time.Duration(i*i) * 3 * time.Millisecond)
			p.advertise(uint8(1+i%3), uint8(i), uint8(i%4))
			if i%10 == 9 {
				a.links <- carp.LinkDown
				a.links <- carp.LinkUp
			}
		}
		a.stop()
		state := carp.Init
		for i, c := range changes {
			if c.Seq != uint64(i+1) || c.From != state || c.From == c.To || c.Subject() != "1@em0" || c.Reason == carp.ReasonNone {
				t.Fatalf("change %d: %+v after %v", i+1, c, state)
			}
			state = c.To
		}
		if len(changes) < 10 || state != carp.Init {
			t.Errorf("%d changes up to %v, want at least 10 up to INIT", len(changes), state)
		}
	})
}
