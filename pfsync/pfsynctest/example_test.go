package pfsynctest_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

// Two firewalls on a sync network in memory that loses one packet in five. What the
// first one adds to its table is in the table of the second one, too. A test would
// rather not wait, but run in a testing/synctest bubble.
func Example() {
	seg := pfsynctest.NewSegment(1)
	seg.SetFaults(pfsynctest.Faults{Loss: 0.2})
	addrs := map[string]netip.Addr{"fw1": netip.MustParseAddr("10.0.0.1"), "fw2": netip.MustParseAddr("10.0.0.2")}
	changes := make(chan string, 1)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup

	start := func(name, peer string, id uint32) (*pfsync.Node, *pfsync.Memory) {
		table, _ := pfsync.NewMemory(pfsync.MemoryConfig{})
		cfg := pfsync.NodeConfig{
			Session:   pfsync.Config{HostID: id, Flush: 10 * time.Millisecond},
			Store:     table,
			Transport: seg.Attach(name, addrs[name]),
			Side:      seg.AttachSide(name, addrs[name]),
		}
		cfg.Session.Watch = func(c pfsync.Change) {
			if c.Op == pfsync.ChangeInsert {
				changes <- fmt.Sprintf("%s has got state %x of %x", name, c.State.ID, c.State.CreatorID)
			}
		}
		cfg.Converge.Peers = []netip.Addr{addrs[peer]}
		node, err := pfsync.NewNode(cfg)
		if err != nil {
			panic(err)
		}
		running.Go(func() {
			if err := node.Run(ctx); err != nil {
				panic(err)
			}
		})
		return node, table
	}
	fw1, table := start("fw1", "fw2", 0xa)
	start("fw2", "fw1", 0xb)

	st := &pfsync.State{
		StateID: pfsync.StateID{ID: 0x1001, CreatorID: 0xa}, AF: pfsync.AFInet, Proto: 6,
		Direction: pfsync.In, Timeout: pfsync.TCPEstab,
		Src: pfsync.Peer{State: pfsync.TCPEstablished}, Dst: pfsync.Peer{State: pfsync.TCPEstablished},
		Wire: pfsync.Key{AF: pfsync.AFInet, Proto: 6, Port: [2]uint16{40000, 22}},
	}
	copy(st.IfName[:], "all")
	st.Stack = st.Wire
	if err := table.Insert(time.Now(), st, nil); err != nil {
		panic(err)
	}
	fw1.Inserted(st.StateID)
	fmt.Println(<-changes)
	stop()
	running.Wait()

	// Output: fw2 has got state 1001 of a
}
