package pfsync_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsyncnet"
)

// TestLiveBulk has a fresh node obtain the table of another over a veth, as fast
// as the wire takes it, and compares that with a plain UDP sender and receiver of
// the same packets. GOCARP_STATES is the number of states.
func TestLiveBulk(t *testing.T) {
	states := 50_000
	if s := os.Getenv("GOCARP_STATES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("GOCARP_STATES=%q: want a number", s)
		}
		states = n
	}
	lab := netns.New(t, "pfsa", "pfsb")
	lab.Bridge("sync", "pfsa", "pfsb")
	addrs := map[string]netip.Addr{"pfsa": netip.MustParseAddr("203.0.113.11"), "pfsb": netip.MustParseAddr("203.0.113.12")}
	for name, a := range addrs {
		lab.NS(name).Addr("sync", netip.PrefixFrom(a, 24).String())
	}

	full := liveNode(t, lab, "pfsa", addrs["pfsb"], states, time.Second)
	for id := range uint64(states) {
		if err := full.table.Insert(time.Now(), tcpState(id+1, 'a'), nil); err != nil {
			t.Fatal(err)
		}
	}
	full.run(t)
	for s := full.status(t); !s.SyncOK; s = full.status(t) { // it has given up to find others
		time.Sleep(100 * time.Millisecond)
	}
	fresh := liveNode(t, lab, "pfsb", addrs["pfsa"], states, time.Minute)
	began := time.Now()
	fresh.run(t)
	deadline := began.Add(time.Minute)
	for fresh.table.Len() < states && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	if n := fresh.table.Len(); n != states {
		t.Fatalf("after %v the fresh node has %d of %d states: %+v", took, n, states, fresh.status(t))
	}
	rate := float64(states) / took.Seconds()
	plain := plainUDP(t, lab, addrs, states)
	t.Logf("%d states in %v: %.0f states/s; plain UDP with the same packets: %.0f states/s; ratio %.2f",
		states, took.Round(time.Millisecond), rate, plain, rate/plain)

	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		s := fresh.status(t)
		if s.SyncOK && len(s.Converge) == 1 && s.Converge[0].Agreement == pfsync.Identical {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the nodes do not agree: %+v", s)
		}
	}
}

// A liveHost is a node on real sockets.
type liveHost struct {
	*pfsync.Node
	table *pfsync.Memory
}

func liveNode(t *testing.T, lab *netns.Lab, name string, peer netip.Addr, limit int, bulk time.Duration) *liveHost {
	t.Helper()
	h := new(liveHost)
	var err error
	if h.table, err = pfsync.NewMemory(pfsync.MemoryConfig{Limit: limit + 1000}); err != nil {
		t.Fatal(err)
	}
	c := pfsync.NodeConfig{
		Session: pfsync.Config{HostID: uint32(name[3]), Bulk: pfsync.BulkConfig{Interval: -1, Deadline: bulk}},
		Store:   h.table,
		Peers:   []netip.Addr{peer},
	}
	c.Converge.Peers = c.Peers
	lab.NS(name).Do(func() {
		if c.Transport, err = pfsyncnet.Listen(pfsyncnet.Config{Interface: "sync", Peers: c.Peers}); err != nil {
			return
		}
		c.Side, err = pfsyncnet.ListenSide(pfsyncnet.SideConfig{Interface: "sync"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.Node, err = pfsync.NewNode(c); err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs a node until the test ends.
func (h *liveHost) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (h *liveHost) status(t *testing.T) pfsync.Status {
	t.Helper()
	s, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainUDP sends as many packets as the states need, of the same size, from one
// socket to another, and returns the rate in states a second.
func plainUDP(t *testing.T, lab *netns.Lab, addrs map[string]netip.Addr, states int) float64 {
	t.Helper()
	w := pfsync.NewWriter(pfsync.OpenBSD, pfsync.FormatOpenBSD, 1500)
	w.Reset(nil)
	each := 0
	for w.Upd(tcpState(uint64(each+1), 'a')) {
		each++
	}
	frame := w.Bytes()
	var from, to *net.UDPConn
	var err error
	lab.NS("pfsb").Do(func() { to, err = net.ListenUDP("udp4", &net.UDPAddr{IP: addrs["pfsb"].AsSlice(), Port: 9}) })
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	lab.NS("pfsa").Do(func() { from, err = net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr)) })
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := to.SetReadBuffer(16 << 20); err != nil {
		t.Fatal(err)
	}
	packets := (states + each - 1) / each
	received := make(chan float64, 1)
	began := time.Now()
	go func() {
		buf := make([]byte, 2048)
		n, last := 0, began
		for n < packets {
			to.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if _, err := to.Read(buf); err != nil {
				break // the rest is lost
			}
			n, last = n+1, time.Now()
		}
		received <- float64(n*each) / last.Sub(began).Seconds()
	}()
	for range packets {
		if _, err := from.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	return <-received
}
