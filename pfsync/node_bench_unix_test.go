//go:build unix

package pfsync_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A pipe is a transport that counts what is sent, and delivers frames as fast as they
// are read, again and again, so many in all.
type pipe struct {
	calls, frames, octets atomic.Int64

	deliver [][]byte
	left    atomic.Int64
	next    int
	more    chan struct{} // one, when left has grown
	closed  chan struct{}
	close   func()
}

func newPipe() *pipe {
	p := &pipe{more: make(chan struct{}, 1), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipe) ReadPackets(b []pfsync.Packet) (int, error) {
	for p.left.Load() == 0 {
		select {
		case <-p.more:
		case <-p.closed:
			return 0, net.ErrClosed
		}
	}
	n := min(len(b), int(p.left.Load()))
	for i := range n {
		b[i] = pfsync.Packet{Data: append(b[i].Data[:0], p.deliver[p.next%len(p.deliver)]...), Src: benchAddrs["b"], TTL: 255}
		p.next++
	}
	p.left.Add(int64(-n))
	return n, nil
}

func (p *pipe) WritePackets(_ netip.Addr, payloads [][]byte) (int, error) {
	p.calls.Add(1)
	p.frames.Add(int64(len(payloads)))
	for _, b := range payloads {
		p.octets.Add(int64(len(b)))
	}
	return len(payloads), nil
}

func (p *pipe) Close() error { p.close(); return nil }

// startOnPipe runs a node on a table of n states of its own.
func startOnPipe(b *testing.B, p *pipe, n int) (*pfsync.Node, *pfsync.Memory) {
	b.Helper()
	store, err := pfsync.NewMemory(pfsync.MemoryConfig{Limit: n + 1<<17})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		st := testState(pfsync.StateID{ID: uint64(i), CreatorID: scriptUs})
		if err := store.Insert(time.Now(), &st, nil); err != nil {
			b.Fatal(err)
		}
	}
	node, err := pfsync.NewNode(pfsync.NodeConfig{
		Session: pfsync.Config{HostID: scriptUs, Demote: -1}, Store: store, Transport: p,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	if err := node.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	return node, store
}

// BenchmarkNodeInserted is a new state that a node is told of, its frame included.
func BenchmarkNodeInserted(b *testing.B) {
	const n = 1 << 16
	p := newPipe()
	node, _ := startOnPipe(b, p, n)
	b.ReportAllocs()
	p.calls.Store(0)
	p.frames.Store(0)
	used, i := processorTime(), uint64(0)
	for b.Loop() {
		node.Inserted(pfsync.StateID{ID: i % n, CreatorID: scriptUs})
		i++
	}
	if err := node.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((processorTime()-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(p.frames.Load())/float64(p.calls.Load()), "frames/call")
}

// BenchmarkNodeReceived is a new state of a peer's, and a sixth of the frame of those
// that remove them all again.
func BenchmarkNodeReceived(b *testing.B) {
	for _, touched := range []int{1 << 10, 1 << 17} {
		b.Run(fmt.Sprint(touched), func(b *testing.B) {
			p := newPipe()
			w := &busy{n: 1}
			ins, del := w.remoteInserts(pfsync.OpenBSD, touched/5)
			p.deliver = append(ins, del...)
			node, _ := startOnPipe(b, p, 0)
			b.ReportAllocs()
			b.ResetTimer()
			used := processorTime()
			frames := int64(0)
			for ; frames < int64(b.N)*2/5; frames += int64(len(p.deliver)) {
				p.left.Add(int64(len(p.deliver)))
				p.more <- struct{}{}
				for {
					s, err := node.Status(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					if int64(s.Stats.InPackets) == frames+int64(len(p.deliver)) {
						break
					}
					time.Sleep(100 * time.Microsecond)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64((processorTime()-used).Nanoseconds())/(float64(frames)*5/2), "cpu-ns/INS")
		})
	}
}

// processorTime is what this process has computed until now.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
