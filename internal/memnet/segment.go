// Package memnet is the network segment in memory below carptest and pfsynctest:
// ends that packets of type P go between, in real time or in a testing/synctest
// bubble, with faults, cuts and partitions. What a packet is, and which ends it is
// meant for, its users know.
//
// What happens to the n-th packet from one end to another depends on the seed, the
// two names, the channel and n alone, not on what others do. Packets that arrive at
// the same instant are read in the order in which they were sent.
package memnet

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Segment is an Ethernet segment in memory. Its methods may be called from any
// goroutine.
type Segment[P any] struct {
	seed  uint64
	clone func(P) P

	mu      sync.Mutex
	ends    []*End[P]
	faults  map[Channel]Faults
	reflect bool
	cuts    map[link]bool
	islands map[string]int // partition; names that are in no set are in island 0
	dice    map[path]*rand.Rand
	taps    []func(Record[P])
}

// A Channel is what packets of one kind go by: each has faults and dice of its own,
// and ends hear those of their channel only.
type Channel uint8

// link is one direction between two names.
type link struct{ from, to string }

// path is one channel of a link.
type path struct {
	link
	channel Channel
}

// Faults are what befalls packets, each copy for each receiver by itself.
type Faults struct {
	Loss      float64       // probability that a packet is lost, 0 to 1
	Duplicate float64       // probability that it arrives twice, 0 to 1
	Delay     time.Duration // how long every packet takes
	Jitter    time.Duration // up to how much longer it takes; reorders packets
}

// A Record is a packet as it was sent, lost or not.
type Record[P any] struct {
	At      time.Time
	From    string // the name of the end
	Channel Channel
	Packet  P
}

// New makes a segment without faults. Seed decides what faults will do. clone
// copies a packet with all that it refers to.
func New[P any](seed uint64, clone func(P) P) *Segment[P] {
	return &Segment[P]{
		seed: seed, clone: clone,
		faults: make(map[Channel]Faults), cuts: make(map[link]bool), dice: make(map[path]*rand.Rand),
	}
}

// Attach connects a new end to a channel. Cuts and partitions are about all ends of
// a name; of one channel and one name there is one at a time. queue is how many
// packets may wait to be read.
func (s *Segment[P]) Attach(c Channel, name string, addrs []netip.Addr, queue int) *End[P] {
	e := &End[P]{seg: s, channel: c, name: name, addrs: slices.Clone(addrs), limit: queue}
	e.readable.L = &e.mu
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, e)
	return e
}

func (s *Segment[P]) detach(e *End[P]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = slices.DeleteFunc(s.ends, func(other *End[P]) bool { return e == other })
}

// SetFaults sets the faults of the packets that are sent on a channel from now on.
func (s *Segment[P]) SetFaults(c Channel, f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[c] = f
}

// SetReflect makes ends hear their own packets, as behind some switches.
func (s *Segment[P]) SetReflect(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reflect = on
}

// Cut stops packets in one direction, on all channels, until [Segment.Heal].
func (s *Segment[P]) Cut(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts[link{from, to}] = true
}

// Partition splits the segment: names of different sets do not hear each other,
// until [Segment.Heal] or another Partition. Those that are in no set stay together.
func (s *Segment[P]) Partition(sets ...[]string) {
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
func (s *Segment[P]) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.islands = nil
	clear(s.cuts)
}

// Tap calls fn with each packet that is sent from now on, one at a time, in order
// and before anybody can have read it. The packet is fn's own. fn must not call the
// segment or its ends.
func (s *Segment[P]) Tap(fn func(Record[P])) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, fn)
}

// send delivers a copy of pkt to those that it is meant for and that can be reached.
func (s *Segment[P]) send(from *End[P], pkt P, meant func(to *End[P]) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	pkt = s.clone(pkt)
	for _, tap := range s.taps {
		tap(Record[P]{At: now, From: from.name, Channel: from.channel, Packet: s.clone(pkt)})
	}
	for _, to := range s.ends {
		l := link{from.name, to.name}
		switch {
		case to == from && !s.reflect,
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
func (s *Segment[P]) roll(p path, arrive func(delay time.Duration)) {
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
