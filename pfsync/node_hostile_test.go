package pfsync_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

// TestStrangersCannotCountFrames has somebody who is no peer send a frame with a
// number far ahead: nothing is asked for.
func TestStrangersCannotCountFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		unicast := func(name, peer string) func(*pfsync.NodeConfig) {
			return func(c *pfsync.NodeConfig) {
				b.converge(name, peer)(c)
				c.Peers = []netip.Addr{benchAddrs[peer]}
			}
		}
		var mu sync.Mutex
		var stamped pfsync.Packet
		b.seg.Tap(func(r pfsynctest.Record) {
			mu.Lock()
			defer mu.Unlock()
			if !r.Side && r.From == "b" && len(r.Packet.Data) >= 20 && r.Packet.Data[4] == 'g' {
				stamped = r.Packet
				stamped.Data = append([]byte(nil), r.Packet.Data...)
			}
		})
		a, z := b.start("a", unicast("a", "b")), b.start("b", unicast("b", "a"))
		time.Sleep(5 * time.Second)
		z.insert(t, tcpState(1, 'b'))
		time.Sleep(5 * time.Second)
		mu.Lock()
		forged := stamped.Data
		mu.Unlock()
		if forged == nil {
			t.Fatal("b has numbered no frame")
		}
		forged[12] = 0x40
		before := a.status(t).Converge[0].Lost
		stranger := b.seg.Attach("stranger", netip.MustParseAddr("192.0.2.66"))
		defer stranger.Close()
		if _, err := stranger.WritePackets(benchAddrs["a"], [][]byte{forged}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := a.status(t); s.Converge[0].Lost != before || s.Stats.BadPeer != 1 {
			t.Errorf("%d frames lost, %d packets of strangers; want %d, 1", s.Converge[0].Lost, s.Stats.BadPeer, before)
		}
	})
}

// TestRepairsArePaced counts what a node sends while a sick peer asks for all it
// has, again and again.
func TestRepairsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := b.start("a", b.converge("a", "b"))
		for id := range uint64(5000) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		time.Sleep(5 * time.Second)
		var mu sync.Mutex
		var epoch []byte
		sent, counting := 0, false
		b.seg.Tap(func(r pfsynctest.Record) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Side && r.From == "a":
				epoch = append([]byte(nil), r.Packet.Data[12:20]...)
			case !r.Side && counting:
				sent += len(r.Packet.Data)
			}
		})
		sick := b.seg.AttachSide("b", benchAddrs["b"])
		defer sick.Close()
		header := func(kind byte) []byte {
			return append([]byte{'g', 'c', 'p', 's', 1, kind, 0, 0, 0, 0, 0, 'b'}, 0, 0, 0, 0, 0, 0, 0, 1)
		}
		time.Sleep(2 * time.Second)
		mu.Lock()
		hello := append(append(header(1), epoch...), make([]byte, 24)...)
		mu.Unlock()
		if err := sick.WritePacket(benchAddrs["a"], hello); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		mu.Lock()
		counting = true
		mu.Unlock()
		const times = 1000
		for i := range times {
			want := header(9)
			for j := range 100 {
				want = append(want, 0, 0, 0, 0, 0, 0, byte((i*100+j)%5000>>8), byte((i*100+j)%5000), 0, 0, 0, 'a')
			}
			if err := sick.WritePacket(benchAddrs["a"], want); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Microsecond)
		}
		mu.Lock()
		got := sent
		mu.Unlock()
		// 10 ms: ten bursts of 256 states.
		if most := 12 * 256 * 300; got > most || got == 0 {
			t.Errorf("sent %d octets in %d µs, want at most %d", got, times*10, most)
		}
	})
}

// brokenTransport fails to read once it is told to.
type brokenTransport struct {
	pfsync.Transport
	broken chan struct{}
}

func (b brokenTransport) ReadPackets([]pfsync.Packet) (int, error) {
	<-b.broken
	return 0, errors.New("broken")
}

// TestHeldPacketsAreReleasedWhateverTheEnd has Run end by an error.
func TestHeldPacketsAreReleasedWhateverTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, err := pfsync.NewMemory(pfsync.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		released := make(map[pfsync.StateID]int)
		tr := brokenTransport{pfsynctest.NewSegment(1).Attach("a", benchAddrs["a"]), make(chan struct{})}
		n, err := pfsync.NewNode(pfsync.NodeConfig{
			Session: pfsync.Config{HostID: 'a', Defer: true, DeferDelay: time.Hour},
			Store:   table, Transport: tr,
			Release: func(id pfsync.StateID) { mu.Lock(); released[id]++; mu.Unlock() },
		})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- n.Run(t.Context()) }()
		time.Sleep(time.Second)
		held, gone := tcpState(1, 'a'), tcpState(2, 'a')
		held.Direction = pfsync.Out
		if err := table.Insert(time.Now(), held, nil); err != nil {
			t.Fatal(err)
		}
		n.Inserted(held.StateID)
		n.Inserted(gone.StateID) // it was removed before the node has looked
		n.Deleted(gone.StateID)
		synctest.Wait()
		mu.Lock()
		if released[held.StateID] != 0 || released[gone.StateID] != 1 {
			t.Errorf("released %v, want the one that is gone", released)
		}
		mu.Unlock()
		close(tr.broken)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("ended with %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if released[held.StateID] != 1 {
			t.Errorf("the packet that was held back was released %d times, want once", released[held.StateID])
		}
	})
}

// TestStateThatIsBackIsNoGhost removes a state and makes it again, with the same id.
// All messages about it but the removal are lost.
func TestStateThatIsBackIsNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a, z := b.start("a", b.converge("a", "b")), b.start("b", b.converge("b", "a"))
		time.Sleep(5 * time.Second)
		st := tcpState(1, 'a')
		a.insert(t, st)
		time.Sleep(3 * time.Second)
		a.table.Delete(st.StateID)
		a.Deleted(st.StateID)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if z.has(st.StateID) {
			t.Fatal("b has not heard of the removal")
		}
		a.insert(t, st)
		time.Sleep(3 * time.Second)
		w := pfsync.NewWriter(pfsync.OpenBSD, pfsync.FormatOpenBSD, 1500)
		w.Reset(nil)
		w.Ins(st)
		a.table.Delete(st.StateID) // as by a clean-up that forgot to say so
		stranger := b.seg.Attach("stranger", netip.MustParseAddr("192.0.2.66"))
		defer stranger.Close()
		if _, err := stranger.WritePackets(pfsync.Group4, [][]byte{w.Bytes()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if !a.has(st.StateID) {
			t.Error("a refuses a state that it has made anew, as one that it has removed")
		}
	})
}

// TestPeersMayHaveZones configures peers as they are printed.
func TestPeersMayHaveZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seg := pfsynctest.NewSegment(1)
		b := &bench{t: t, seg: seg, hosts: make(map[string]*host)}
		addr := map[string]netip.Addr{"a": netip.MustParseAddr("fe80::1"), "b": netip.MustParseAddr("fe80::2")}
		six := func(name, peer string) func(*pfsync.NodeConfig) {
			return func(c *pfsync.NodeConfig) {
				c.Session.Dialect = pfsync.FreeBSD15
				c.Transport = seg.Attach(name+"6", addr[name])
				c.Side = seg.AttachSide(name+"6", addr[name])
				c.Peers = []netip.Addr{addr[peer].WithZone("sync0")}
				c.Converge.Peers = c.Peers
			}
		}
		a, z := b.start("a", six("a", "b")), b.start("b", six("b", "a"))
		time.Sleep(5 * time.Second)
		a.insert(t, tcpState(1, 'a'))
		time.Sleep(5 * time.Second)
		if s := z.status(t); s.States != 1 || s.Stats.BadPeer != 0 || s.Converge[0].Agreement != pfsync.Identical {
			t.Errorf("%d states, %d of strangers, %+v", s.States, s.Stats.BadPeer, s.Converge)
		}
	})
}

// TestNoPeersAreAllPeers is about an empty list, as a configuration file gives it.
func TestNoPeersAreAllPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := b.start("a", func(c *pfsync.NodeConfig) { c.Peers = []netip.Addr{} })
		z := b.start("b", nil)
		time.Sleep(5 * time.Second)
		z.insert(t, tcpState(1, 'b'))
		time.Sleep(3 * time.Second)
		if a.table.Len() != 1 {
			t.Errorf("a has %d states, want the one of b: %d packets of strangers", a.table.Len(), a.status(t).Stats.BadPeer)
		}
	})
}

// TestNodeRefusesTimesThatFlood: a negative time between hellos is none at all.
func TestNodeRefusesTimesThatFlood(t *testing.T) {
	b := newBench(t)
	table, err := pfsync.NewMemory(pfsync.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c := pfsync.NodeConfig{Store: table, Transport: b.seg.Attach("a", benchAddrs["a"])}
	b.converge("a", "b")(&c)
	good := c.Converge
	for name, change := range map[string]func(*pfsync.ConvergeConfig){
		"hello":     func(c *pfsync.ConvergeConfig) { c.Hello = -1 },
		"settle":    func(c *pfsync.ConvergeConfig) { c.Settle = -1 },
		"pause":     func(c *pfsync.ConvergeConfig) { c.Pause = -1 },
		"no peers":  func(c *pfsync.ConvergeConfig) { c.Peers = nil },
		"bad peer":  func(c *pfsync.ConvergeConfig) { c.Peers = []netip.Addr{pfsync.Group4} },
		"two alike": func(c *pfsync.ConvergeConfig) { c.Peers = append(good.Peers, good.Peers...) },
	} {
		c.Converge = good
		change(&c.Converge)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if c.Converge = good; c.Validate() != nil {
		t.Errorf("good: %v", c.Validate())
	}
}

// TestTablesOnTheirWayAreNotCompared has a node get a table slowly: what it lacks is
// coming, and is neither looked for nor sent twice.
func TestTablesOnTheirWayAreNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		slow := func(name, peer string) func(*pfsync.NodeConfig) {
			return func(c *pfsync.NodeConfig) {
				b.converge(name, peer)(c)
				c.Session.Bulk = pfsync.BulkConfig{Interval: 20 * time.Millisecond}
			}
		}
		a := b.start("a", slow("a", "b"))
		const states = 5000
		for id := range uint64(states) {
			a.insert(t, tcpState(id+1, 'a'))
		}
		time.Sleep(5 * time.Second)
		var mu sync.Mutex
		compared := 0
		b.seg.Tap(func(r pfsynctest.Record) {
			mu.Lock()
			defer mu.Unlock()
			if r.Side && r.Packet.Data[5] >= 7 { // the answer to a comparison, or more
				compared++
			}
		})
		z := b.start("b", slow("b", "a"))
		time.Sleep(15 * time.Second)
		mu.Lock()
		n := compared
		mu.Unlock()
		if have := z.table.Len(); n > 0 || have == 0 || have == states {
			t.Errorf("%d messages of comparisons while b has %d of %d states", n, have, states)
		}
		time.Sleep(time.Minute)
		if have := z.table.Len(); have != states {
			t.Errorf("b has %d states, want %d", have, states)
		}
	})
}

// TestClearOfOneInterfaceForgetsNoOther: states of ours on others may come back from
// a peer.
func TestClearOfOneInterfaceForgetsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := b.start("a", b.converge("a", "b"))
		peer := b.seg.Attach("b", benchAddrs["b"])
		defer peer.Close()
		time.Sleep(5 * time.Second)
		back := func(id uint64) bool {
			st := tcpState(id, 'a')
			w := pfsync.NewWriter(pfsync.OpenBSD, pfsync.FormatOpenBSD, 1500)
			w.Reset(nil)
			w.Ins(st)
			if _, err := peer.WritePackets(pfsync.Group4, [][]byte{w.Bytes()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			return a.has(st.StateID)
		}
		em0, _ := pfsync.MakeName("em0")
		a.Cleared(em0)
		time.Sleep(time.Second)
		if !back(1) {
			t.Error("a state on another interface was refused")
		}
		a.Cleared(pfsync.Name{})
		time.Sleep(time.Second)
		if back(2) {
			t.Error("all were cleared, and one is back")
		}
	})
}

// TestCallsRaceWithTheEnd calls everything while nodes start and stop: nothing
// hangs. It is for the race detector.
func TestCallsRaceWithTheEnd(t *testing.T) {
	seg := pfsynctest.NewSegment(1)
	for range 20 {
		table, err := pfsync.NewMemory(pfsync.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := pfsync.NewNode(pfsync.NodeConfig{
			Store: table, Transport: seg.Attach("a", benchAddrs["a"]), Side: seg.AttachSide("a", benchAddrs["a"]),
			Converge: pfsync.ConvergeConfig{Peers: []netip.Addr{benchAddrs["b"]}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := n.Run(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
		for i := range 4 {
			all.Go(func() {
				for j := range 200 {
					st := tcpState(uint64(i*1000+j), 'a')
					table.Insert(time.Now(), st, nil)
					n.Inserted(st.StateID)
					n.Updated(st.StateID, 6)
					n.Deleted(st.StateID)
				}
			})
			all.Go(func() {
				for range 20 {
					w := n.Watch(1)
					n.Status(ctx)
					n.Flush(ctx)
					w.Stop()
				}
				for range n.Watch(1).C { // until the end
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		cancel()
		all.Wait()
	}
}
