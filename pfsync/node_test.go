package pfsync_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

// A bench is two nodes on a segment, in a bubble of testing/synctest.
type bench struct {
	t     *testing.T
	seg   *pfsynctest.Segment
	hosts map[string]*host
}

type host struct {
	*pfsync.Node
	table  *pfsync.Memory
	demote demote.Counter
	stop   func() error
}

var benchAddrs = map[string]netip.Addr{
	"a": netip.MustParseAddr("192.0.2.1"), "b": netip.MustParseAddr("192.0.2.2"),
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, seg: pfsynctest.NewSegment(1), hosts: make(map[string]*host)}
}

// start starts a node.
func (b *bench) start(name string, change func(*pfsync.NodeConfig)) *host {
	b.t.Helper()
	h := new(host)
	b.hosts[name] = h
	var err error
	if h.table, err = pfsync.NewMemory(pfsync.MemoryConfig{}); err != nil {
		b.t.Fatal(err)
	}
	c := pfsync.NodeConfig{
		Session:   pfsync.Config{HostID: uint32(name[0]), Bulk: pfsync.BulkConfig{Interval: -1}},
		Store:     h.table,
		Transport: b.seg.Attach(name, benchAddrs[name]),
		Demote:    &h.demote,
	}
	if change != nil {
		change(&c)
	}
	if h.Node, err = pfsync.NewNode(c); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-done })
	b.t.Cleanup(func() {
		if err := h.stop(); err != nil {
			b.t.Errorf("%s: %v", name, err)
		}
	})
	return h
}

// converge gives a node a side channel to the other one.
func (b *bench) converge(name, peer string) func(*pfsync.NodeConfig) {
	return func(c *pfsync.NodeConfig) {
		c.Side = b.seg.AttachSide(name, benchAddrs[name])
		c.Converge.Peers = []netip.Addr{benchAddrs[peer]}
	}
}

// tcpState is an established connection.
func tcpState(id uint64, creator uint32) *pfsync.State {
	st := &pfsync.State{
		StateID: pfsync.StateID{ID: id, CreatorID: creator}, AF: pfsync.AFInet, Proto: 6,
		Direction: pfsync.In, Timeout: pfsync.TCPEstab,
		Src: pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: 1000},
		Dst: pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: 2000},
	}
	copy(st.IfName[:], "all")
	k := pfsync.Key{AF: st.AF, Proto: 6, Port: [2]uint16{uint16(id), 22}}
	k.Addr[0] = pfsync.Addr{10, byte(creator), byte(id >> 24), byte(id >> 16)}
	k.Addr[1] = pfsync.Addr{192, 0, 2, 9}
	st.Wire, st.Stack = k, k
	return st
}

// insert puts a state into the table of a host and tells its node.
func (h *host) insert(t *testing.T, st *pfsync.State) {
	t.Helper()
	if err := h.table.Insert(time.Now(), st, nil); err != nil {
		t.Fatal(err)
	}
	h.Inserted(st.StateID)
}

func (h *host) has(id pfsync.StateID) bool {
	var st pfsync.State
	return h.table.Get(time.Now(), id, &st)
}

func (h *host) status(t *testing.T) pfsync.Status {
	t.Helper()
	s, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNodesShareStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", nil), b.start("b", nil)
		time.Sleep(5 * time.Second)
		st := tcpState(1, 'a')
		a.insert(t, st)
		time.Sleep(2 * time.Second)
		if !z.has(st.StateID) {
			t.Fatal("b does not have the state that a made")
		}

		a.table.Update(time.Now(), st.StateID, func(st *pfsync.State) pfsync.Keep {
			st.Src.SeqLo = 5000
			return pfsync.KeepAll
		})
		a.Updated(st.StateID, 6)
		time.Sleep(2 * time.Second)
		var got pfsync.State
		if z.table.Get(time.Now(), st.StateID, &got); got.Src.SeqLo != 5000 {
			t.Errorf("b has seqlo %d, want 5000", got.Src.SeqLo)
		}

		z.table.Delete(st.StateID)
		z.Deleted(st.StateID)
		time.Sleep(2 * time.Second)
		if a.has(st.StateID) {
			t.Error("a has the state that b deleted")
		}
	})
}

// TestNodeDemotesUntilItHasAllStates starts a node beside one with states: it is
// demoted until it has them.
func TestNodeDemotesUntilItHasAllStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := b.start("a", nil)
		for id := range uint64(1000) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		time.Sleep(time.Minute)
		if d := a.demote.Value(); d != 0 {
			t.Errorf("a, alone for a minute, is demoted by %d", d)
		}
		b.seg.SetFaults(pfsynctest.Faults{Delay: 100 * time.Millisecond})
		z := b.start("b", nil)
		time.Sleep(150 * time.Millisecond)
		if d := z.demote.Value(); d != 32 {
			t.Errorf("b is demoted by %d at its start, want 32", d)
		}
		time.Sleep(30 * time.Second)
		if d, n := z.demote.Value(), z.table.Len(); d != 0 || n != 1000 {
			t.Errorf("b is demoted by %d and has %d states, want 0 and 1000", d, n)
		}
		if s := z.status(t); !s.SyncOK || s.Stats.BulkDone != 1 || s.States != 1000 {
			t.Errorf("b says %+v", s)
		}
	})
}

func TestNodeStopsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", nil), b.start("b", nil)
		time.Sleep(5 * time.Second)
		a.insert(t, tcpState(1, 'a'))
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		if z.table.Len() != 1 {
			t.Error("what waited to be sent when a stopped did not reach b")
		}
		if d := a.demote.Value(); d != 0 {
			t.Errorf("a has stopped and demotes by %d", d)
		}
		a.Inserted(pfsync.StateID{ID: 9, CreatorID: 9}) // does not block
		if _, err := a.Status(t.Context()); !errors.Is(err, pfsync.ErrStopped) {
			t.Errorf("status: %v, want ErrStopped", err)
		}
		if err := a.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
	})
}

func TestNodeWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", nil), b.start("b", nil)
		time.Sleep(5 * time.Second)
		mine, theirs, small := a.Watch(10), z.Watch(10), a.Watch(1)
		st := tcpState(1, 'a')
		a.insert(t, st)
		time.Sleep(2 * time.Second)
		a.table.Delete(st.StateID)
		a.Deleted(st.StateID)
		time.Sleep(2 * time.Second)
		for name, w := range map[string]*pfsync.Watcher{"a": mine, "b": theirs} {
			for _, op := range []pfsync.ChangeOp{pfsync.ChangeInsert, pfsync.ChangeDelete} {
				select {
				case o := <-w.C:
					if o.Op != op || o.Local != (name == "a") || o.State.StateID != st.StateID {
						t.Errorf("%s sees %+v, want op %d", name, o, op)
					}
				default:
					t.Errorf("%s sees nothing, want op %d", name, op)
				}
			}
		}
		if small.Lost() != 1 {
			t.Errorf("a watcher with room for one has lost %d of two", small.Lost())
		}
		mine.Stop()
		mine.Stop()
		z.stop()
		if _, ok := <-theirs.C; ok {
			t.Error("b has stopped, its watcher not")
		}
	})
}

// TestNodesAgree has the removal of a state get lost, which pfsync never notices.
func TestNodesAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", b.converge("a", "b")), b.start("b", b.converge("b", "a"))
		time.Sleep(5 * time.Second)
		for id := range uint64(100) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		time.Sleep(10 * time.Second)
		for _, h := range b.hosts {
			if s := h.status(t); len(s.Converge) != 1 || s.Converge[0].Agreement != pfsync.Identical {
				t.Errorf("%c: %+v, want identical", s.HostID, s.Converge)
			}
		}

		b.seg.Partition([]string{"a"}, []string{"b"})
		for id := range uint64(50) {
			gone := pfsync.StateID{ID: id + 1, CreatorID: 'a'}
			a.table.Delete(gone)
			a.Deleted(gone)
			z.insert(t, tcpState(id+1, 'b'))
		}
		time.Sleep(time.Minute)
		if s := a.status(t); s.Converge[0].Agreement != pfsync.AgreementUnknown {
			t.Errorf("apart: %+v, want unknown", s.Converge)
		}
		b.seg.Heal()
		time.Sleep(20 * time.Second)
		for _, h := range b.hosts {
			if h.table.Len() != 100 || h.has(pfsync.StateID{ID: 1, CreatorID: 'a'}) || !h.has(pfsync.StateID{ID: 1, CreatorID: 'b'}) {
				t.Errorf("%d states, want 50 of a and 50 of b", h.table.Len())
			}
			if s := h.status(t); s.Converge[0].Agreement != pfsync.Identical {
				t.Errorf("%c: %+v, want identical", s.HostID, s.Converge)
			}
		}
	})
}

// TestNodesAgreeOnClear has a CLR get lost.
func TestNodesAgreeOnClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", b.converge("a", "b")), b.start("b", b.converge("b", "a"))
		time.Sleep(5 * time.Second)
		for id := range uint64(50) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		z.insert(t, tcpState(1, 'b'))
		time.Sleep(5 * time.Second)
		b.seg.Partition([]string{"a"}, []string{"b"})
		a.table.Clear('a', pfsync.Name{}, nil)
		a.Cleared(pfsync.Name{})
		time.Sleep(3 * time.Second)
		b.seg.Heal()
		time.Sleep(20 * time.Second)
		if a.table.Len() != 1 || z.table.Len() != 1 {
			t.Errorf("a has %d states, b %d; want the one of b", a.table.Len(), z.table.Len())
		}
	})
}

// TestNodeKeepsWhatLivesElsewhere cuts the sync network for so long that the states
// of a's connections expire on b. They live on a, and come back to b.
func TestNodeKeepsWhatLivesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", b.converge("a", "b")), b.start("b", b.converge("b", "a"))
		time.Sleep(5 * time.Second)
		st := tcpState(1, 'a')
		st.Timeout = pfsync.TCPOpening // 30 s
		a.insert(t, st)
		time.Sleep(2 * time.Second)
		b.seg.Partition([]string{"a"}, []string{"b"})
		live := func(d time.Duration) {
			for range d / (10 * time.Second) {
				a.table.Update(time.Now(), st.StateID, func(*pfsync.State) pfsync.Keep { return pfsync.KeepAll })
				a.Updated(st.StateID, 6)
				time.Sleep(10 * time.Second)
			}
		}
		live(2 * time.Minute)
		if z.has(st.StateID) {
			t.Fatal("b has heard nothing for two minutes and still has the state")
		}
		b.seg.Heal()
		live(time.Minute)
		if !a.has(st.StateID) || !z.has(st.StateID) {
			t.Errorf("on a: %v, on b: %v; want the state on both", a.has(st.StateID), z.has(st.StateID))
		}
	})
}

// TestNodeSendsNothingNewUnasked looks at all frames of a node with a side channel
// whose peer has none, as a BSD: they are those of the protocol.
func TestNodeSendsNothingNewUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var frames atomic.Int32
		b.seg.Tap(func(r pfsynctest.Record) {
			f, err := pfsync.Parse(pfsync.OpenBSD, r.Packet.Data)
			if err != nil {
				return // of the side channel
			}
			frames.Add(1)
			if f.Checksum != ([16]byte{}) {
				t.Errorf("%s sends %x where OpenBSD sends zeros", r.From, f.Checksum)
			}
		})
		a := b.start("a", b.converge("a", "b"))
		b.start("b", nil)
		for id := range uint64(100) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		time.Sleep(10 * time.Second)
		if n := frames.Load(); n < 20 {
			t.Errorf("%d frames, want the states", n)
		}
	})
}

// TestNodeTakesNothingFromStrangers is about the allow-list, which is on by default
// for unicast.
func TestNodeTakesNothingFromStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		unicast := func(c *pfsync.NodeConfig) { c.Peers = []netip.Addr{benchAddrs["b"]} }
		a := b.start("a", unicast)
		stranger := b.seg.Attach("stranger", netip.MustParseAddr("192.0.2.66"))
		defer stranger.Close()
		time.Sleep(time.Second)
		w := pfsync.NewWriter(pfsync.OpenBSD, pfsync.FormatOpenBSD, 1500)
		w.Reset(nil)
		w.Ins(tcpState(1, 'x'))
		if _, err := stranger.WritePackets(benchAddrs["a"], [][]byte{w.Bytes()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := a.status(t); s.States != 0 || s.Stats.BadPeer != 1 {
			t.Errorf("%d states, %d packets of strangers; want 0, 1", s.States, s.Stats.BadPeer)
		}
	})
}

func TestNodeConfigValidate(t *testing.T) {
	_, err := pfsync.NewNode(pfsync.NodeConfig{
		Group: benchAddrs["a"], Peers: []netip.Addr{benchAddrs["a"], benchAddrs["a"]},
		Session: pfsync.Config{MTU: 10},
	})
	want := `pfsync: no store
pfsync: no transport
pfsync: group 192.0.2.1: want a multicast address
pfsync: syncpeer 192.0.2.1: invalid, or given twice
pfsync: mtu 10: want 308 to 65535`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
