//go:build unix

package carp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// silent is a transport on which nothing ever arrives.
type silent struct {
	discard
	closed chan struct{}
}

func (s silent) ReadPacket(*Packet) error { <-s.closed; return net.ErrClosed }
func (s silent) Close() error             { close(s.closed); return nil }

// BenchmarkRun is the processor time of an advert, all included: 255 masters on
// as many nodes, and on one.
func BenchmarkRun(b *testing.B) {
	for _, nodes := range []int{255, 1} {
		b.Run(fmt.Sprintf("nodes=%d/groups=%d", nodes, 255/nodes), func(b *testing.B) {
			var adverts uint64
			var cpu time.Duration
			for b.Loop() {
				sent, used := runMasters(b, nodes, 255/nodes, time.Second)
				adverts, cpu = adverts+sent, cpu+used
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(adverts), "cpu-ns/advert")
			b.ReportMetric(float64(adverts)/float64(b.N), "adverts/op")
		})
	}
}

// runMasters runs nodes for a while after they have become masters, and returns
// the adverts sent and the processor time used meanwhile.
func runMasters(b *testing.B, nodes, groups int, d time.Duration) (uint64, time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*Node
	for range nodes {
		cfg := NodeConfig{Interface: "em0", Transport: silent{closed: make(chan struct{})}}
		for i := range groups {
			cfg.Groups = append(cfg.Groups, GroupConfig{HostConfig: HostConfig{
				Config:    Config{VHID: uint8(i + 1), AdvBase: SubSecond, AdvSkew: 5, Linger: -1},
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 32)},
			}})
		}
		n, err := NewNode(cfg)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, n)
		wg.Go(func() { n.Run(ctx) })
	}
	time.Sleep(200 * time.Millisecond)
	sent := func() (total uint64) {
		for _, n := range all {
			total += n.stats.out.Load()
		}
		return total
	}
	before, used := sent(), processorTime()
	time.Sleep(d)
	adverts, cpu := sent()-before, processorTime()-used
	cancel()
	wg.Wait()
	return adverts, cpu
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
