package conntrack

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestTableMany: a node that starts beside one with many connections has all of them
// soon, in its kernel, and cheaply. There are 100 000 of them if GOCARP_MEASURE is 2 or
// more: under the race detector, on a busy machine, so many take longer than a test
// should wait.
func TestTableMany(t *testing.T) {
	n := 10_000
	if m, _ := strconv.Atoi(os.Getenv("GOCARP_MEASURE")); m > 1 {
		n = 100_000
	}
	p := newSyncPair(t, func(c *TableConfig) { c.Refresh = 0 })
	for _, kern := range []*table{p.fw1, p.fw2} {
		kern.ns.Run("nft", "flush ruleset") // what is not tracked by anybody costs nothing
	}
	entries := make([]Entry, n)
	for i := range entries {
		e := snat4(uint16(i%50000 + 1000))
		e.Orig.Dst = ip("203.0.113.1")
		if i >= 50000 {
			e.Orig.Dst = ip("203.0.113.2")
		}
		e.Reply.Src = e.Orig.Dst
		entries[i] = e
	}
	p.a.start()
	p.await("the first one is ready", func() bool { return p.a.table.Stats().Dumps > 1 })
	before, used, began := heap(), cpu(), time.Now()
	p.fw1.put(entries...)
	p.await("the first one knows all", func() bool { return p.a.table.Len() == 2*n })
	t.Logf("%d connections that begin at once: %v, CPU with making them %v, %d octets each, %d overruns", n,
		time.Since(began).Round(time.Millisecond), (cpu() - used).Round(time.Millisecond), (heap()-before)/uint64(n), p.a.table.Stats().Overruns)

	runtime.KeepAlive(entries) // they were there before
	before, used, began = heap(), cpu(), time.Now()
	p.b.start()
	p.await("the second one knows all", func() bool { return p.b.table.Len() == 2*n })
	known := time.Since(began)
	p.same("as the first one", 2*n)
	p.await("and has it in the kernel", func() bool { return p.b.table.Stats().Writer.Created == uint64(n) })
	t.Logf("told to a fresh node: known after %v, in the kernel after %v, CPU of both %v, %d octets each",
		known.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), (cpu() - used).Round(time.Millisecond), (heap()-before)/uint64(n))
	seen := 0
	for _, e := range p.fw2.all() {
		if _, ok := e.SNAT(); ok && e.TCP.State == TCPEstablished {
			seen++
		}
	}
	if seen != n {
		t.Errorf("%d of %d connections in the kernel of the second one", seen, n)
	}

	used, began = cpu(), time.Now()
	if err := p.a.table.dump(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("a dump of the idle table: %v, CPU %v", time.Since(began).Round(time.Millisecond), (cpu() - used).Round(time.Millisecond))
	used, began = cpu(), time.Now()
	if err := p.a.table.dump(t.Context(), ProtoUDP); err != nil {
		t.Fatal(err)
	}
	p.a.table.keep(time.Now())
	if s := p.a.table.Stats(); s.Ended != 0 || p.a.table.Len() != 2*n {
		t.Errorf("a look at UDP has ended connections of TCP: %+v", s)
	}
	t.Logf("a round that leaves TCP out: %v, CPU %v", time.Since(began).Round(time.Millisecond), (cpu() - used).Round(time.Millisecond))

	used, began = cpu(), time.Now()
	p.fw1.clear()
	p.await("nothing lives on", func() bool { return p.a.table.Len() == 0 && p.b.table.Len() == 0 })
	t.Logf("all ended at once: %v, CPU %v, %+v", time.Since(began).Round(time.Millisecond), (cpu() - used).Round(time.Millisecond), p.a.table.Stats())
}
