package memnet

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// An End is one host's end of one channel of a [Segment]. Its methods may be called
// from any goroutine.
type End[P any] struct {
	seg     *Segment[P]
	channel Channel
	name    string
	addrs   []netip.Addr

	mu       sync.Mutex // taken after seg.mu, never before
	readable sync.Cond  // something to read, or closed
	queue    []P
	coming   []arrival[P] // by time; those of the same time as sent
	timer    *time.Timer
	limit    int
	dropped  int
	frozen   bool
	closed   bool
	writeErr error
}

// An arrival is a packet on its way.
type arrival[P any] struct {
	at     time.Time
	packet P
}

// Name is the name that the end was attached with.
func (e *End[P]) Name() string { return e.name }

// Has reports whether a is one of the end's addresses.
func (e *End[P]) Has(a netip.Addr) bool { return slices.Contains(e.addrs, a) }

// Source is the address to send to dst from: the end's first of the family, or the
// unspecified one.
func (e *End[P]) Source(dst netip.Addr) netip.Addr {
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

// Send sends a copy of pkt to the ends that it is meant for, unless this end is
// closed or its writes are to fail. meant is called with the segment locked.
func (e *End[P]) Send(pkt P, meant func(to *End[P]) bool) error {
	err := e.writable()
	if err == nil {
		e.seg.send(e, pkt, meant)
	}
	return err
}

// Force is Send even if writes are to fail. A closed end sends nothing.
func (e *End[P]) Force(pkt P, meant func(to *End[P]) bool) {
	if e.writable() != net.ErrClosed {
		e.seg.send(e, pkt, meant)
	}
}

func (e *End[P]) writable() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	return e.writeErr
}

// Take waits for packets, hands up to limit of them to fn and returns how many. The
// packets share what they refer to with other ends: fn copies what it keeps of that.
func (e *End[P]) Take(limit int, fn func(i int, p *P)) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed && (e.frozen || len(e.queue) == 0) {
		e.readable.Wait()
	}
	return e.take(limit, fn)
}

// TryTake is Take for what waits already, which may be nothing.
func (e *End[P]) TryTake(limit int, fn func(i int, p *P)) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.take(limit, fn)
}

// take is Take with mu locked and without waiting.
func (e *End[P]) take(limit int, fn func(i int, p *P)) (int, error) {
	switch {
	case e.closed:
		return 0, net.ErrClosed
	case e.frozen:
		return 0, nil
	}
	n := min(limit, len(e.queue))
	for i := range n {
		fn(i, &e.queue[i])
	}
	clear(e.queue[:n]) // keeps no packet
	e.queue = e.queue[n:]
	return n, nil
}

// Close disconnects. What was not read is lost; a second time it fails with
// [net.ErrClosed].
func (e *End[P]) Close() error {
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

// Freeze keeps arriving packets in the queue while on. It does not stop what is
// sent.
func (e *End[P]) Freeze(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = on
	e.readable.Broadcast()
}

// FailWrites makes Send fail with err and send nothing; nil ends that.
func (e *End[P]) FailWrites(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writeErr = err
}

// SetQueue sets how many packets may wait to be read. What arrives at a full queue
// is lost.
func (e *End[P]) SetQueue(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = n
}

// Queued is how many packets wait to be read.
func (e *End[P]) Queued() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

// Dropped is how many packets were lost for want of room in the queue.
func (e *End[P]) Dropped() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

// deliver puts a packet in the queue at the given time.
func (e *End[P]) deliver(at time.Time, pkt P) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	i := len(e.coming)
	for i > 0 && e.coming[i-1].at.After(at) {
		i--
	}
	e.coming = slices.Insert(e.coming, i, arrival[P]{at, pkt})
	e.arrive()
}

// arrive queues what has come by now and waits for the rest, with mu locked.
func (e *End[P]) arrive() {
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

func (e *End[P]) alarm() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.arrive()
	}
}
