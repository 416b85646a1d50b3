package pfsynctest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A Segment is a sync network in memory. Its methods may be called from any
// goroutine.
type Segment struct {
	mu      sync.Mutex
	seed    uint64
	ends    []*end
	faults  [2]Faults // by channel
	cuts    map[link]bool
	islands map[string]int // partition; names that are in no set are in island 0
	dice    map[path]*rand.Rand
	taps    []func(Record)
}

// A channel is what packets of one kind go by.
type channel uint8

const (
	syncChannel channel = iota
	sideChannel
)

// link is one direction between two hosts.
type link struct{ from, to string }

// path is one channel of a link.
type path struct {
	link
	channel channel
}

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
	return &Segment{seed: seed, cuts: make(map[link]bool), dice: make(map[path]*rand.Rand)}
}

// Attach connects a new port. Name is for cuts, partitions and records and must
// be its own; one that was closed may come back. addrs are the port's addresses:
// the sources of its packets, and where unicast packets reach it.
func (s *Segment) Attach(name string, addrs ...netip.Addr) *Port {
	return &Port{s.attach(syncChannel, name, addrs)}
}

// AttachSide connects the end of a host on the side channel. A host has the same
// name here as on [Segment.Attach]: cuts and partitions are about both.
func (s *Segment) AttachSide(name string, addrs ...netip.Addr) *Side {
	return &Side{s.attach(sideChannel, name, addrs)}
}

func (s *Segment) attach(c channel, name string, addrs []netip.Addr) *end {
	e := &end{seg: s, channel: c, name: name, addrs: slices.Clone(addrs), limit: DefaultQueue}
	e.readable.L = &e.mu
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, e)
	return e
}

func (s *Segment) detach(e *end) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = slices.DeleteFunc(s.ends, func(other *end) bool { return e == other })
}

// SetFaults sets the faults of the pfsync packets that are sent from now on.
func (s *Segment) SetFaults(f Faults) { s.setFaults(syncChannel, f) }

// SetSideFaults sets the faults of the datagrams of the side channel that are
// sent from now on.
func (s *Segment) SetSideFaults(f Faults) { s.setFaults(sideChannel, f) }

func (s *Segment) setFaults(c channel, f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[c] = f
}

// Cut stops packets in one direction, on both channels, until [Segment.Heal].
func (s *Segment) Cut(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts[link{from, to}] = true
}

// Partition splits the segment: hosts of different sets do not hear each other,
// until [Segment.Heal] or another Partition. Hosts that are in no set stay
// together.
func (s *Segment) Partition(sets ...[]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.islands = make(map[string]int)
	for i, names := range sets {
		for _, name := range names {
			s.islands[name] = i + 1
		}
	}
}

// Heal undoes all cuts and the partition. Faults stay.
func (s *Segment) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.islands = nil
	clear(s.cuts)
}

// Tap calls fn with each packet that is sent from now on, one at a time, in
// order and before anybody can have read it. fn may keep the packet. It must not
// call the segment or its ports.
func (s *Segment) Tap(fn func(Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, fn)
}

// send delivers pkt, whose Data it copies, to those that it is meant for and that
// can be reached.
func (s *Segment) send(from *end, pkt pfsync.Packet, meant func(to *end) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	pkt.Data = slices.Clone(pkt.Data)
	for _, tap := range s.taps {
		r := Record{At: now, From: from.name, Side: from.channel == sideChannel, Packet: pkt}
		r.Packet.Data = slices.Clone(pkt.Data)
		tap(r)
	}
	for _, to := range s.ends {
		l := link{from.name, to.name}
		switch {
		case to == from,
			to.channel != from.channel,
			s.cuts[l],
			s.islands[l.from] != s.islands[l.to],
			!meant(to):
			continue
		}
		s.roll(path{l, from.channel}, func(delay time.Duration) { to.deliver(now.Add(delay), pkt) })
	}
}

// roll rolls the dice of a path for one packet and calls arrive for each copy.
// It always takes the same number of throws.
func (s *Segment) roll(p path, arrive func(delay time.Duration)) {
	dice := s.dice[p]
	if dice == nil {
		dice = rand.New(rand.NewPCG(s.seed^hash(p.from), hash(p.to)+uint64(p.channel)))
		s.dice[p] = dice
	}
	f := s.faults[p.channel]
	lost, twice := dice.Float64() < f.Loss, dice.Float64() < f.Duplicate
	for _, late := range [...]float64{dice.Float64(), dice.Float64()} {
		if !lost {
			arrive(f.Delay + time.Duration(late*float64(f.Jitter)))
		}
		lost = lost || !twice
	}
}

// hash is FNV-1a: the same in every run.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
