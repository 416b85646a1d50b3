package pfsynctest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// DefaultQueue is the number of packets that may wait to be read from a [Port]
// or a [Side].
const DefaultQueue = 4096

// An end is one host's end of one channel of a [Segment].
type end struct {
	seg     *Segment
	channel channel
	name    string
	addrs   []netip.Addr

	mu       sync.Mutex // taken after seg.mu, never before
	readable sync.Cond  // something to read, or closed
	queue    []pfsync.Packet
	coming   []arrival // by time; those of the same time as sent
	timer    *time.Timer
	limit    int
	dropped  int
	frozen   bool
	closed   bool
	writeErr error
}

// An arrival is a packet on its way.
type arrival struct {
	at     time.Time
	packet pfsync.Packet
}

// Name is the name that it was attached with.
func (e *end) Name() string { return e.name }

// Close disconnects. What was not read is lost; a second time it fails with
// [net.ErrClosed].
func (e *end) Close() error {
	e.seg.detach(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.queue, e.coming = nil, nil
	if e.timer != nil {
		e.timer.Stop()
	}
	e.readable.Broadcast()
	return nil
}

// Freeze keeps arriving packets in the queue, as if nothing on this host ran,
// until Thaw. It does not stop what is sent.
func (e *end) Freeze() { e.setFrozen(true) }

// Thaw delivers what was kept.
func (e *end) Thaw() { e.setFrozen(false) }

func (e *end) setFrozen(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = on
	e.readable.Broadcast()
}

// FailWrites makes writing fail with err and send nothing; nil ends that.
func (e *end) FailWrites(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writeErr = err
}

// SetQueue sets how many packets may wait to be read. What arrives at a full
// queue is lost.
func (e *end) SetQueue(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = n
}

// Queued is how many packets wait to be read.
func (e *end) Queued() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

// Dropped is how many packets were lost for want of room in the queue.
func (e *end) Dropped() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

func (e *end) writable() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	return e.writeErr
}

// take waits for packets and hands up to limit of them to fn, which must copy
// what it keeps of the data.
func (e *end) take(limit int, fn func(i int, p *pfsync.Packet)) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed && (e.frozen || len(e.queue) == 0) {
		e.readable.Wait()
	}
	if e.closed {
		return 0, net.ErrClosed
	}
	n := min(limit, len(e.queue))
	for i := range n {
		fn(i, &e.queue[i])
		e.queue[i] = pfsync.Packet{}
	}
	e.queue = e.queue[n:]
	return n, nil
}

// source is the address to send to dst from.
func (e *end) source(dst netip.Addr) netip.Addr {
	for _, a := range e.addrs {
		if a.Is4() == dst.Is4() {
			return a
		}
	}
	if dst.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// deliver puts a packet in the queue at the given time.
func (e *end) deliver(at time.Time, pkt pfsync.Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	i := len(e.coming)
	for i > 0 && e.coming[i-1].at.After(at) {
		i--
	}
	e.coming = slices.Insert(e.coming, i, arrival{at, pkt})
	e.arrive()
}

// arrive queues what has come by now and waits for the rest, with mu locked.
func (e *end) arrive() {
	now := time.Now()
	n := 0
	for n < len(e.coming) && !e.coming[n].at.After(now) {
		if len(e.queue) < e.limit {
			e.queue = append(e.queue, e.coming[n].packet)
			e.readable.Broadcast()
		} else {
			e.dropped++
		}
		n++
	}
	e.coming = slices.Delete(e.coming, 0, n)
	if len(e.coming) == 0 {
		return
	}
	if wait := e.coming[0].at.Sub(now); e.timer == nil {
		e.timer = time.AfterFunc(wait, e.alarm)
	} else {
		e.timer.Reset(wait)
	}
}

func (e *end) alarm() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.arrive()
	}
}
