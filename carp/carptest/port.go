package carptest

import (
	"net/netip"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/memnet"
)

// DefaultQueue is the number of packets that may wait to be read from a [Port].
const DefaultQueue = 256

// A Port is one host's end of a [Segment]: a [carp.Transport] and a
// [carp.Drainer].
type Port struct{ mem *memnet.End[carp.Packet] }

var (
	_ carp.Transport = (*Port)(nil)
	_ carp.Drainer   = (*Port)(nil)
)

// Name is the name that the port was attached with.
func (p *Port) Name() string { return p.mem.Name() }

// ReadPacket implements [carp.Transport]: it waits for a packet.
func (p *Port) ReadPacket(dst *carp.Packet) error {
	_, err := p.mem.Take(1, into(dst))
	return err
}

// TryReadPacket implements [carp.Drainer].
func (p *Port) TryReadPacket(dst *carp.Packet) (bool, error) {
	n, err := p.mem.TryTake(1, into(dst))
	return n == 1, err
}

// into copies a packet to dst and reuses the capacity of its Data.
func into(dst *carp.Packet) func(int, *carp.Packet) {
	return func(_ int, p *carp.Packet) {
		data := append(dst.Data[:0], p.Data...)
		*dst = *p
		dst.Data = data
	}
}

// WritePacket implements [carp.Transport]. Without a Src the packet gets the
// port's first address of the right family, or the unspecified one; its TTL is
// 255.
func (p *Port) WritePacket(pkt carp.Packet) error {
	if !pkt.Src.IsValid() {
		pkt.Src = p.mem.Source(pkt.Dst)
	}
	pkt.TTL, pkt.IfIndex = 255, 0
	return p.mem.Send(pkt, func(to *memnet.End[carp.Packet]) bool { return hears(to, pkt.Dst) })
}

// hears reports whether a packet to dst reaches a port.
func hears(to *memnet.End[carp.Packet], dst netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return !dst.IsValid() || dst.IsMulticast() || dst == broadcast || to.Has(dst)
}

// SendRaw sends a packet with whatever is in it, any source, TTL, even the
// interface that receivers believe it to have come from, to all ports whatever
// its Dst. Only a closed port sends nothing.
func (p *Port) SendRaw(pkt carp.Packet) {
	p.mem.Force(pkt, func(*memnet.End[carp.Packet]) bool { return true })
}

// Close implements [carp.Transport] and disconnects the port.
func (p *Port) Close() error { return p.mem.Close() }

// Freeze keeps arriving packets in the queue, as if nothing on this host ran,
// until Thaw. It does not stop what the port sends.
func (p *Port) Freeze() { p.mem.Freeze(true) }

// Thaw delivers what was kept.
func (p *Port) Thaw() { p.mem.Freeze(false) }

// FailWrites makes WritePacket fail with err and send nothing; nil ends that.
func (p *Port) FailWrites(err error) { p.mem.FailWrites(err) }

// SetQueue sets how many packets may wait to be read. What arrives at a full
// queue is lost.
func (p *Port) SetQueue(n int) { p.mem.SetQueue(n) }

// Dropped is how many packets were lost for want of room in the queue.
func (p *Port) Dropped() int { return p.mem.Dropped() }
