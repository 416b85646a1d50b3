package carp_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
	"github.com/gocarp/gocarp/demote"
)

// A world is a segment with nodes on it, in a synctest bubble, and a journal of
// what happens there.
type world struct {
	t       *testing.T
	seg     *carptest.Segment
	journal *carptest.Journal
	nodes   int
}

// inWorld runs test in a bubble of its own.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, seg: carptest.NewSegment(1), journal: new(carptest.Journal)}
		w.seg.Tap(w.journal.Packet)
		test(t, w)
	})
}

// sleep lets time pass until everything that happens at its end has happened.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// skip is sleep that forgets what was in the journal.
func (w *world) skip(d time.Duration) {
	w.sleep(d)
	w.journal.Take()
}

// want compares what the journal has gained with lines, "WHO WHAT".
func (w *world) want(sentence string, lines ...string) {
	w.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(lines, w.journal.Take()); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", sentence, diff)
	}
}

// wantOf is want for what one of them does.
func (w *world) wantOf(who, sentence string, lines ...string) {
	w.t.Helper()
	synctest.Wait()
	var got []string
	for _, line := range w.journal.Take() {
		if what, ok := strings.CutPrefix(line, who+" "); ok {
			got = append(got, what)
		}
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		w.t.Errorf("%s %s (-want +got):\n%s", who, sentence, diff)
	}
}

// A testNode is a node that runs until the end of its test.
type testNode struct {
	*carp.Node
	t      *testing.T
	name   string
	port   *carptest.Port
	addrs  *carptest.Addrs // of vhid 1
	demote *demote.Counter // of vhid 1
	links  chan carp.Link
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run, once ended
	before carp.Stats
}

var testAddr = netip.MustParsePrefix("10.0.0.1/24")

// host is the virtual host that all tests start from.
func host() carp.HostConfig {
	key, _ := carp.Passphrase("mekmitasdigoat")
	return carp.HostConfig{
		Config:    carp.Config{VHID: 1},
		Secret:    key,
		Addresses: []netip.Prefix{testAddr},
	}
}

// node starts a node with vhid 1, whose configuration change may alter.
func (w *world) node(name string, change ...func(*carp.NodeConfig, *carp.GroupConfig)) *testNode {
	w.t.Helper()
	w.nodes++
	n := &testNode{
		t: w.t, name: name, ended: make(chan struct{}), links: make(chan carp.Link),
		port:   w.seg.Attach(name, netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + w.nodes)}), netip.MustParseAddr(fmt.Sprintf("fe80::%d", 1+w.nodes))),
		addrs:  &carptest.Addrs{Name: name, Journal: w.journal},
		demote: new(demote.Counter),
	}
	c := carp.NodeConfig{Interface: "em0", Transport: n.port, Hooks: w.journal.Hooks(name), Links: n.links}
	g := carp.GroupConfig{HostConfig: host(), Addrs: n.addrs, Demote: n.demote}
	for _, f := range change {
		f(&c, &g)
	}
	c.Groups = append(c.Groups, g)
	node, err := carp.NewNode(c)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Node = node
	ctx, cancel := context.WithCancel(w.t.Context())
	n.cancel = cancel
	go func() {
		defer close(n.ended)
		n.err = node.Run(ctx)
	}()
	w.t.Cleanup(n.stop)
	return n
}

// stop ends a node and checks that it leaves nothing behind.
func (n *testNode) stop() {
	n.t.Helper()
	n.cancel()
	<-n.ended
	if n.err != nil {
		n.t.Errorf("%s: Run returned %v", n.name, n.err)
	}
	if n.addrs.Held() {
		n.t.Errorf("%s left its addresses behind", n.name)
	}
	for _, c := range n.demote.Causes() {
		if c.Name != demote.Operator {
			n.t.Errorf("%s left a demotion behind: %v", n.name, c)
		}
	}
	if err := n.port.ReadPacket(new(carp.Packet)); err != net.ErrClosed {
		n.t.Errorf("%s left its transport open: read gave %v", n.name, err)
	}
}

// Changes to the configuration of a node.

func advskew(skew uint8) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.AdvSkew = skew }
}

func preempt(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Preempt = true }

func dialect(d carp.Dialect) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Dialect = d }
}

func addresses(addrs ...string) func(*carp.NodeConfig, *carp.GroupConfig) {
	return func(_ *carp.NodeConfig, g *carp.GroupConfig) {
		g.Addresses = nil
		for _, a := range addrs {
			g.Addresses = append(g.Addresses, netip.MustParsePrefix(a))
		}
	}
}

// want compares the state of vhid 1.
func (n *testNode) want(sentence string, s carp.State) {
	n.t.Helper()
	n.wantVHID(1, sentence, s)
}

func (n *testNode) wantVHID(vhid uint8, sentence string, s carp.State) {
	n.t.Helper()
	synctest.Wait()
	if got := n.group(vhid).State; got != s {
		n.t.Errorf("%s %s: state %v, want %v", n.name, sentence, got, s)
	}
}

// group is the status of a group, the zero one if there is none.
func (n *testNode) group(vhid uint8) carp.GroupStatus {
	for _, g := range n.Status().Groups {
		if g.VHID == vhid {
			return g
		}
	}
	return carp.GroupStatus{}
}

// wantStats compares what the counters have gained since the last call.
func (n *testNode) wantStats(sentence string, want carp.Stats) {
	n.t.Helper()
	synctest.Wait()
	now := n.Status().Stats
	if diff := cmp.Diff(want, gained(now, n.before)); diff != "" {
		n.t.Errorf("%s %s (-want +got):\n%s", n.name, sentence, diff)
	}
	n.before = now
}

// gained is now less before, counter by counter.
func gained(now, before carp.Stats) carp.Stats {
	n, b := reflect.ValueOf(&now).Elem(), reflect.ValueOf(before)
	for i := range n.NumField() {
		n.Field(i).SetUint(n.Field(i).Uint() - b.Field(i).Uint())
	}
	return now
}

// do fails the test if a call has failed.
func (n *testNode) do(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

// A peer signs whatever adverts a test wants.
type peer struct {
	port    *carptest.Port
	key     *carp.Key
	vhid    uint8
	counter uint64
}

// peer attaches one that knows the key of c.
func (w *world) peer(name string, c carp.HostConfig) *peer {
	w.t.Helper()
	var addrs []netip.Addr
	for _, p := range c.Addresses {
		addrs = append(addrs, p.Addr())
	}
	key, err := carp.NewKey(carp.KeyConfig{Secret: c.Secret, VHID: c.VHID, Addrs: addrs, LLAddr: c.LLAddr})
	if err != nil {
		w.t.Fatal(err)
	}
	src := netip.MustParseAddr("10.0.0.99")
	return &peer{port: w.seg.Attach(name, src), key: key, vhid: c.VHID, counter: 1 << 32}
}

// packet is a sound advert with a counter of its own.
func (p *peer) packet(advbase, advskew, demote uint8) carp.Packet {
	p.counter++
	h := carp.Header{VHID: p.vhid, AdvBase: advbase, AdvSkew: advskew, Demote: demote, Counter: p.counter}
	p.key.Sign(&h)
	data, _ := h.MarshalBinary()
	return carp.Packet{Data: data, Src: netip.MustParseAddr("10.0.0.99"), Dst: carp.Group4, TTL: 255}
}

// advertise sends one.
func (p *peer) advertise(advbase, advskew, demote uint8) {
	p.port.SendRaw(p.packet(advbase, advskew, demote))
}

// every advertises so often until the returned function is called.
func (p *peer) every(d time.Duration, advbase, advskew uint8) (stop func()) {
	var stopped atomic.Bool
	var again func()
	again = func() {
		if !stopped.Load() {
			p.advertise(advbase, advskew, 0)
			time.AfterFunc(d, again)
		}
	}
	again()
	return func() { stopped.Store(true) }
}
