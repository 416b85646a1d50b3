package pfsync_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

// Two nodes share a state table over a segment in memory.
func Example() {
	seg := pfsynctest.NewSegment(1)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	var tables []*pfsync.Memory
	var nodes []*pfsync.Node
	for i, name := range []string{"fw1", "fw2"} {
		table, err := pfsync.NewMemory(pfsync.MemoryConfig{})
		if err != nil {
			panic(err)
		}
		node, err := pfsync.NewNode(pfsync.NodeConfig{
			Session:   pfsync.Config{HostID: uint32(i + 1), Flush: 10 * time.Millisecond},
			Store:     table,
			Transport: seg.Attach(name, netip.AddrFrom4([4]byte{10, 10, 10, byte(i + 1)})),
		})
		if err != nil {
			panic(err)
		}
		go func() { done <- node.Run(ctx) }()
		if _, err := node.Status(ctx); err != nil { // waits until it runs
			panic(err)
		}
		tables, nodes = append(tables, table), append(nodes, node)
	}
	watch := nodes[1].Watch(1)

	// fw1 lets a connection through.
	st := &pfsync.State{
		StateID: pfsync.StateID{ID: 1, CreatorID: 1}, AF: pfsync.AFInet, Proto: 6,
		Direction: pfsync.In, Timeout: pfsync.TCPEstab,
	}
	if err := tables[0].Insert(time.Now(), st, nil); err != nil {
		panic(err)
	}
	nodes[0].Inserted(st.StateID)

	change := <-watch.C
	fmt.Println("fw2 learns of", change.State.StateID, "and has", tables[1].Len(), "state")
	stop()
	fmt.Println(<-done, <-done)
	// Output:
	// fw2 learns of 0000000000000001/00000001 and has 1 state
	// <nil> <nil>
}
