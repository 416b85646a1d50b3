package pfsynctest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gocarp/gocarp/internal/memnet"
	"github.com/gocarp/gocarp/pfsync"
)

// A Segment is a sync network in memory. Its methods may be called from any
// goroutine.
type Segment struct {
	mem *memnet.Segment[pfsync.Packet]
}

// The channels' numbers are in what the seed decides.
const (
	syncChannel memnet.Channel = iota
	sideChannel
)

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
	Side   bool   // sent on the side channel
	Packet pfsync.Packet
}

// NewSegment makes a segment without faults. Seed decides what faults will do.
func NewSegment(seed uint64) *Segment {
	return &Segment{memnet.New(seed, func(p pfsync.Packet) pfsync.Packet {
		p.Data = slices.Clone(p.Data)
		return p
	})}
}

// Attach connects a new port. Name is for cuts, partitions and records and must
// be its own; one that was closed may come back. addrs are the port's addresses:
// the sources of its packets, and where unicast packets reach it.
func (s *Segment) Attach(name string, addrs ...netip.Addr) *Port {
	return &Port{end{s.mem.Attach(syncChannel, name, addrs, DefaultQueue)}}
}

// AttachSide connects the end of a host on the side channel. A host has the same
// name here as on [Segment.Attach]: cuts and partitions are about both.
func (s *Segment) AttachSide(name string, addrs ...netip.Addr) *Side {
	return &Side{end{s.mem.Attach(sideChannel, name, addrs, DefaultQueue)}}
}

// SetFaults sets the faults of the pfsync packets that are sent from now on.
func (s *Segment) SetFaults(f Faults) { s.mem.SetFaults(syncChannel, memnet.Faults(f)) }

// SetSideFaults sets the faults of the datagrams of the side channel that are
// sent from now on.
func (s *Segment) SetSideFaults(f Faults) { s.mem.SetFaults(sideChannel, memnet.Faults(f)) }

// Cut stops packets in one direction, on both channels, until [Segment.Heal].
func (s *Segment) Cut(from, to string) { s.mem.Cut(from, to) }

// Partition splits the segment: hosts of different sets do not hear each other,
// until [Segment.Heal] or another Partition. Hosts that are in no set stay
// together.
func (s *Segment) Partition(sets ...[]string) { s.mem.Partition(sets...) }

// Heal undoes all cuts and the partition. Faults stay.
func (s *Segment) Heal() { s.mem.Heal() }

// Tap calls fn with each packet that is sent from now on, one at a time, in
// order and before anybody can have read it. fn may keep the packet. It must not
// call the segment or its ports.
func (s *Segment) Tap(fn func(Record)) {
	s.mem.Tap(func(r memnet.Record[pfsync.Packet]) {
		fn(Record{At: r.At, From: r.From, Side: r.Channel == sideChannel, Packet: r.Packet})
	})
}
