package carptest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// A Segment is an Ethernet segment in memory. Its methods may be called from any
// goroutine.
type Segment struct {
	mu      sync.Mutex
	seed    uint64
	ports   []*Port
	faults  Faults
	reflect bool
	cuts    map[link]bool
	islands map[string]int // partition; names that are in no set are in island 0
	dice    map[link]*rand.Rand
	taps    []func(Record)
}

// link is one direction between two ports.
type link struct{ from, to string }

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
	return &Segment{seed: seed, cuts: make(map[link]bool), dice: make(map[link]*rand.Rand)}
}

// Attach connects a new port. Name is for cuts, partitions and records and must
// be its own; addrs are the port's addresses: the sources of its packets, and
// where unicast packets reach it.
func (s *Segment) Attach(name string, addrs ...netip.Addr) *Port {
	p := &Port{seg: s, name: name, addrs: slices.Clone(addrs), limit: DefaultQueue}
	p.readable.L = &p.mu
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, p)
	return p
}

// SetFaults sets the faults of the packets that are sent from now on.
func (s *Segment) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// SetReflect makes ports hear their own packets, as behind some switches.
func (s *Segment) SetReflect(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reflect = on
}

// Cut stops packets in one direction, until [Segment.Heal].
func (s *Segment) Cut(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts[link{from, to}] = true
}

// Partition splits the segment: ports of different sets do not hear each other,
// until [Segment.Heal] or another Partition. Ports that are in no set stay
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
// order and before anybody can have read it. fn must not call the segment or its
// ports.
func (s *Segment) Tap(fn func(Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, fn)
}

// send delivers pkt, whose Data it copies, to those that it is meant for and that
// can be reached.
func (s *Segment) send(from *Port, pkt carp.Packet, meant func(to *Port) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	pkt.Data = slices.Clone(pkt.Data)
	for _, tap := range s.taps {
		tap(Record{At: now, From: from.name, Packet: clone(pkt)})
	}
	for _, to := range s.ports {
		l := link{from.name, to.name}
		switch {
		case to == from && !s.reflect,
			s.cuts[l],
			s.islands[l.from] != s.islands[l.to],
			!meant(to):
			continue
		}
		s.roll(l, func(delay time.Duration) { to.deliver(now.Add(delay), pkt) })
	}
}

// roll rolls the dice of a link for one packet and calls arrive for each copy.
// It always takes the same number of throws.
func (s *Segment) roll(l link, arrive func(delay time.Duration)) {
	dice := s.dice[l]
	if dice == nil {
		dice = rand.New(rand.NewPCG(s.seed^hash(l.from), hash(l.to)))
		s.dice[l] = dice
	}
	lost, twice := dice.Float64() < s.faults.Loss, dice.Float64() < s.faults.Duplicate
	for _, late := range [...]float64{dice.Float64(), dice.Float64()} {
		if !lost {
			arrive(s.faults.Delay + time.Duration(late*float64(s.faults.Jitter)))
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

func clone(p carp.Packet) carp.Packet {
	p.Data = slices.Clone(p.Data)
	return p
}
