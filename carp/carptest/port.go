package carptest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// DefaultQueue is the number of packets that may wait to be read from a [Port].
const DefaultQueue = 256

// A Port is one host's end of a [Segment]: a [carp.Transport] and a
// [carp.Drainer].
type Port struct {
	seg   *Segment
	name  string
	addrs []netip.Addr

	mu       sync.Mutex // taken after seg.mu, never before
	readable sync.Cond  // something to read, or closed
	queue    []carp.Packet
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
	packet carp.Packet
}

var (
	_ carp.Transport = (*Port)(nil)
	_ carp.Drainer   = (*Port)(nil)
)

// Name is the name that the port was attached with.
func (p *Port) Name() string { return p.name }

// ReadPacket implements [carp.Transport]: it waits for a packet.
func (p *Port) ReadPacket(dst *carp.Packet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && (p.frozen || len(p.queue) == 0) {
		p.readable.Wait()
	}
	if p.closed {
		return net.ErrClosed
	}
	p.next(dst)
	return nil
}

// TryReadPacket implements [carp.Drainer].
func (p *Port) TryReadPacket(dst *carp.Packet) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return false, net.ErrClosed
	case p.frozen || len(p.queue) == 0:
		return false, nil
	}
	p.next(dst)
	return true, nil
}

// next takes the first packet off the queue.
func (p *Port) next(dst *carp.Packet) {
	data := append(dst.Data[:0], p.queue[0].Data...)
	*dst = p.queue[0]
	dst.Data = data
	p.queue[0] = carp.Packet{}
	p.queue = p.queue[1:]
}

// WritePacket implements [carp.Transport]. Without a Src the packet gets the
// port's first address of the right family, or the unspecified one; its TTL is
// 255.
func (p *Port) WritePacket(pkt carp.Packet) error {
	if err := p.writable(); err != nil {
		return err
	}
	if !pkt.Src.IsValid() {
		pkt.Src = p.source(pkt.Dst)
	}
	pkt.TTL, pkt.IfIndex = 255, 0
	p.seg.send(p, pkt, func(to *Port) bool { return to.hears(pkt.Dst) })
	return nil
}

// SendRaw sends a packet with whatever is in it, any source, TTL, even the
// interface that receivers believe it to have come from, to all ports whatever
// its Dst. Only a closed port sends nothing.
func (p *Port) SendRaw(pkt carp.Packet) {
	if err := p.writable(); err != net.ErrClosed {
		p.seg.send(p, pkt, func(*Port) bool { return true })
	}
}

// Close implements [carp.Transport] and disconnects the port.
func (p *Port) Close() error {
	p.seg.mu.Lock()
	p.seg.ports = slices.DeleteFunc(p.seg.ports, func(q *Port) bool { return p == q })
	p.seg.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.closed = true
	p.queue, p.coming = nil, nil
	if p.timer != nil {
		p.timer.Stop()
	}
	p.readable.Broadcast()
	return nil
}

// Freeze keeps arriving packets in the queue, as if nothing on this host ran,
// until Thaw. It does not stop what the port sends.
func (p *Port) Freeze() { p.setFrozen(true) }

// Thaw delivers what was kept.
func (p *Port) Thaw() { p.setFrozen(false) }

func (p *Port) setFrozen(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
	p.readable.Broadcast()
}

// FailWrites makes WritePacket fail with err and send nothing; nil ends that.
func (p *Port) FailWrites(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeErr = err
}

// SetQueue sets how many packets may wait to be read. What arrives at a full
// queue is lost.
func (p *Port) SetQueue(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = n
}

// Dropped is how many packets were lost for want of room in the queue.
func (p *Port) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

func (p *Port) writable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	return p.writeErr
}

// hears reports whether a packet to dst reaches the port.
func (p *Port) hears(dst netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return !dst.IsValid() || dst.IsMulticast() || dst == broadcast || slices.Contains(p.addrs, dst)
}

// source is the address to send to dst from.
func (p *Port) source(dst netip.Addr) netip.Addr {
	for _, a := range p.addrs {
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
func (p *Port) deliver(at time.Time, pkt carp.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	i := len(p.coming)
	for i > 0 && p.coming[i-1].at.After(at) {
		i--
	}
	p.coming = slices.Insert(p.coming, i, arrival{at, pkt})
	p.arrive()
}

// arrive queues what has come by now and waits for the rest, with mu locked.
func (p *Port) arrive() {
	now := time.Now()
	for len(p.coming) > 0 && !p.coming[0].at.After(now) {
		if len(p.queue) < p.limit {
			p.queue = append(p.queue, p.coming[0].packet)
			p.readable.Broadcast()
		} else {
			p.dropped++
		}
		p.coming = slices.Delete(p.coming, 0, 1)
	}
	if len(p.coming) == 0 {
		return
	}
	if wait := p.coming[0].at.Sub(now); p.timer == nil {
		p.timer = time.AfterFunc(wait, p.alarm)
	} else {
		p.timer.Reset(wait)
	}
}

func (p *Port) alarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.arrive()
	}
}
