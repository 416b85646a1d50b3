package carptest_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

// Two firewalls on a segment in memory. The first one is told to be master, then
// it is stopped: it bows out, and the second one takes over without a pause. A
// test would rather wait for time-outs, in a testing/synctest bubble.
func Example() {
	seg := carptest.NewSegment(1)
	key, _ := carp.Passphrase("mekmitasdigoat")
	changes := make(chan string)

	start := func(name, addr string, skew uint8) (*carp.Node, func()) {
		node, err := carp.NewNode(carp.NodeConfig{
			Interface: "em0",
			Transport: seg.Attach(name, netip.MustParseAddr(addr)),
			Groups: []carp.GroupConfig{{
				HostConfig: carp.HostConfig{
					Config:    carp.Config{VHID: 1, AdvSkew: skew},
					Secret:    key,
					Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
				},
				Addrs: &carptest.Addrs{},
			}},
			Hooks: carp.Hooks{StateChanged: func(c carp.Change) { changes <- name + ": " + c.String() }},
		})
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := node.Run(ctx); err != nil {
				panic(err)
			}
		})
		return node, func() { cancel(); running.Wait() }
	}

	fw1, stop1 := start("fw1", "10.0.0.2", 0)
	fmt.Println(<-changes)
	_, stop2 := start("fw2", "10.0.0.3", 100)
	fmt.Println(<-changes)
	go fw1.Force(1, carp.Master)
	fmt.Println(<-changes)

	go stop1()
	fmt.Println(<-changes)
	fmt.Println(<-changes)
	go stop2()
	fmt.Println(<-changes)

	// Output:
	// fw1: 1@em0: INIT -> BACKUP (up and running)
	// fw2: 1@em0: INIT -> BACKUP (up and running)
	// fw1: 1@em0: BACKUP -> MASTER (forced)
	// fw2: 1@em0: BACKUP -> MASTER (master bowed out)
	// fw1: 1@em0: MASTER -> INIT (handed over)
	// fw2: 1@em0: MASTER -> INIT (left without a successor)
}
