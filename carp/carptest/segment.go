package carptest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/memnet"
)

// A Segment is an Ethernet segment in memory. Its methods may be called from any
// goroutine.
type Segment struct{ mem *memnet.Segment[carp.Packet] }

// adverts is the only channel.
const adverts memnet.Channel = 0

// Faults are what befalls packets, each copy for each receiver by itself.
type Faults struct {
	Loss      float64       // probability that a packet is lost, 0 to 1
	Duplicate float64       // probability that it arrives twice, 0 to 1
	Delay     time.Duration // how long every packet takes
	Jitter    time.Duration // up to how much longer it takes; reorders packets
}

// A Record is a packet as it was sent, lost or not.
type Record struct {
	At     time.Time
	From   string // the name of the port
	Packet carp.Packet
}

// Header decodes the packet, whether or not it is sound; a packet that is too
// short gives the zero Header.
func (r Record) Header() carp.Header {
	var h carp.Header
	_ = h.UnmarshalBinary(r.Packet.Data)
	return h
}

// NewSegment makes a segment without faults. Seed decides what faults will do.
func NewSegment(seed uint64) *Segment {
	return &Segment{memnet.New(seed, func(p carp.Packet) carp.Packet {
		p.Data = slices.Clone(p.Data)
		return p
	})}
}

// Attach connects a new port. Name is for cuts, partitions and records and must
// be its own; addrs are the port's addresses: the sources of its packets, and
// where unicast packets reach it.
func (s *Segment) Attach(name string, addrs ...netip.Addr) *Port {
	return &Port{s.mem.Attach(adverts, name, addrs, DefaultQueue)}
}

// SetFaults sets the faults of the packets that are sent from now on.
func (s *Segment) SetFaults(f Faults) { s.mem.SetFaults(adverts, memnet.Faults(f)) }

// SetReflect makes ports hear their own packets, as behind some switches.
func (s *Segment) SetReflect(on bool) { s.mem.SetReflect(on) }

// Cut stops packets in one direction, until [Segment.Heal].
func (s *Segment) Cut(from, to string) { s.mem.Cut(from, to) }

// Partition splits the segment: ports of different sets do not hear each other,
// until [Segment.Heal] or another Partition. Ports that are in no set stay
// together.
func (s *Segment) Partition(sets ...[]string) { s.mem.Partition(sets...) }

// Heal undoes all cuts and the partition. Faults stay.
func (s *Segment) Heal() { s.mem.Heal() }

// Tap calls fn with each packet that is sent from now on, one at a time, in
// order and before anybody can have read it. fn must not call the segment or its
// ports.
func (s *Segment) Tap(fn func(Record)) {
	s.mem.Tap(func(r memnet.Record[carp.Packet]) { fn(Record{At: r.At, From: r.From, Packet: r.Packet}) })
}
