package pfsync

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestMemoryAllocations: a table that has its size does not allocate.
func TestMemoryAllocations(t *testing.T) {
	const n = 10000
	m := newMemory(t, MemoryConfig{})
	for i := range n {
		mustInsert(t, m, memStart, memState(i))
	}
	var (
		i       int
		st      State
		buckets [DigestBuckets]uint64
		buf     = make([]State, 100)
		out     = memState(0)
	)
	copy(out.IfName[:], "em0") // a name that comes and goes
	m.Delete(out.StateID)
	for _, op := range []struct {
		name string
		f    func()
	}{
		{"Get", func() { m.Get(memStart, memStateID(i%n), &st); i++ }},
		{"Update", func() { m.Update(memStart, memStateID(i%n), advance); i++ }},
		{"Insert and Delete", func() { mustInsert(t, m, memStart, out); m.Delete(out.StateID) }},
		{"refused Insert", func() { _ = m.Insert(memStart, &st, nil) }},
		{"Scan", func() { m.Scan(memStart, 0, buf) }},
		{"Expire", func() { m.Expire(memStart, func(StateID) {}) }},
		{"Clear", func() { m.Clear(1, Name{}, func(StateID) {}) }},
		{"Digest", func() { m.Digest(&buckets) }},
		{"Bucket", func() { m.Bucket(memStart, 1, func(StateID, uint64, time.Duration) {}) }},
	} {
		if got := testing.AllocsPerRun(100, op.f); got != 0 {
			t.Errorf("%s: %v allocations, want none", op.name, got)
		}
	}
}

// advance is what an UPD_C does.
func advance(st *State) Keep {
	st.Src.SeqLo += 1460
	st.Src.SeqHi += 1460
	return KeepAll
}

func memStateID(i int) StateID { return StateID{0x6b01f3bf<<32 + uint64(i), 0xdeadbeef} }

// heap is what is in use of it.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestMemoryFootprint fills tables with states of all kinds, and holds what they take
// of the heap, all in all.
func TestMemoryFootprint(t *testing.T) {
	nat := func(i int) *State {
		st := memState(i)
		st.Stack.Addr[1] = Addr{172, 16, byte(i >> 8), byte(i)}
		return st
	}
	counted := func(i int) *State {
		st := connState(i)
		st.Packets[0] = 1
		return st
	}
	full := func(i int) *State { // all that pf may have of its own, by one of many rules
		st := nat(i)
		st.Src.Scrub = Scrub{Valid: 1, TSMod: uint32(i)}
		st.Packets[0], st.Stack.Addr[0][15], st.Rule = uint64(i), 1, uint32(i%1000)
		return st
	}
	lone := func(i int) *State { // has nothing in common with any other
		st := full(i)
		st.Rule = uint32(i)
		return st
	}
	for _, tc := range []struct {
		what  string
		n     int
		most  float64
		state func(i int) *State
	}{
		{"of conntrack", 50000, 100, connState},
		{"of conntrack", 100000, 90, connState},
		{"of conntrack, with counters", 50000, 140, counted},
		{"of pf", 100000, 160, memState},
		{"of pf, translated", 100000, 160, nat},
		{"of pf, with everything", 100000, 290, full},
		{"of nobody", 100000, 400, lone},
	} {
		before := heap()
		m := newMemory(t, MemoryConfig{Limit: tc.n})
		for i := range tc.n {
			mustInsert(t, m, memStart, tc.state(i))
		}
		got := float64(heap()-before) / float64(tc.n)
		t.Logf("%d states %s: %.1f octets each", tc.n, tc.what, got)
		if got > tc.most {
			t.Errorf("%.1f octets for a state %s, want at most %.0f", got, tc.what, tc.most)
		}
		runtime.KeepAlive(m)
	}
}

// A plainStore is what [Memory] is measured by: a map and a mutex, without a look
// at keys, times or digests.
type plainStore struct {
	mu     sync.Mutex
	states map[StateID]State
}

func (p *plainStore) Get(_ time.Time, id StateID, st *State) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.states[id]
	*st = s
	return ok
}

func (p *plainStore) Insert(_ time.Time, st *State, _ func(StateID)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[st.StateID] = *st
	return nil
}

func (p *plainStore) Update(_ time.Time, id StateID, f func(*State) Keep) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	st, ok := p.states[id]
	if ok && f(&st) != KeepNothing {
		p.states[id] = st
	}
	return ok
}

func (p *plainStore) Delete(id StateID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.states[id]
	delete(p.states, id)
	return ok
}

// A benchStore is what both can do.
type benchStore interface {
	Get(time.Time, StateID, *State) bool
	Insert(time.Time, *State, func(StateID)) error
	Update(time.Time, StateID, func(*State) Keep) bool
	Delete(StateID) bool
}

var benchSizes = []struct {
	name string
	n    int
}{{"1k", 1e3}, {"10k", 1e4}, {"100k", 1e5}, {"200k", 2e5}, {"1M", 1e6}}

// connState is state number i of many as conntrack makes them: two for a connection,
// of which one is translated in every other connection. Nothing but identity,
// addresses, ports and times differs.
func connState(i int) *State {
	st := memState(i / 2)
	st.ID = 0x6b01f3bf<<32 + uint64(i)
	st.Expire = uint32(i % 86400)
	st.Src = Peer{State: TCPEstablished, SeqHi: 1, MaxWin: 2048, WScale: 0x87}
	st.Dst = st.Src
	if i%2 == 0 {
		return st
	}
	k := &st.Wire
	k.Addr[0], k.Addr[1] = k.Addr[1], k.Addr[0]
	k.Port[0], k.Port[1] = k.Port[1], k.Port[0]
	st.Direction, st.Stack = Out, *k
	k.Addr[1] = Addr{198, 51, 100, byte(i >> 17)}
	return st
}

func fillMemory(b *testing.B, n int) *Memory {
	m := newMemory(b, MemoryConfig{Limit: n})
	for i := range n {
		mustInsert(b, m, memStart, memState(i))
	}
	return m
}

func fillPlain(b *testing.B, n int) *plainStore {
	p := &plainStore{states: make(map[StateID]State)}
	for i := range n {
		mustInsertPlain(b, p, memState(i))
	}
	return p
}

func mustInsertPlain(b *testing.B, p *plainStore, st *State) {
	if err := p.Insert(memStart, st, nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStore is the cost of an operation on a random state of a full table.
// An insert comes with the delete that makes room for it. Random states of a large
// table are in no cache; "update-hot" is about the same thousand in a table of any
// size, so what the size itself costs.
func BenchmarkStore(b *testing.B) {
	for _, kind := range []struct {
		name string
		fill func(*testing.B, int) benchStore
	}{
		{"memory", func(b *testing.B, n int) benchStore { return fillMemory(b, n) }},
		{"map", func(b *testing.B, n int) benchStore { return fillPlain(b, n) }},
	} {
		for _, size := range benchSizes {
			s := kind.fill(b, size.n)
			r := rand.New(rand.NewPCG(15, 16))
			var st State
			for _, op := range []struct {
				name string
				f    func(i int)
			}{
				{"get", func(i int) { s.Get(memStart, memStateID(i), &st) }},
				{"update", func(i int) { s.Update(memStart, memStateID(i), advance) }},
				{"update-hot", func(i int) { s.Update(memStart, memStateID(i%1000), advance) }},
				{"insert", func(i int) {
					s.Get(memStart, memStateID(i), &st)
					s.Delete(st.StateID)
					if err := s.Insert(memStart, &st, nil); err != nil {
						b.Fatal(err)
					}
				}},
			} {
				b.Run(op.name+"/"+size.name+"/"+kind.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						op.f(r.IntN(size.n))
					}
				})
			}
		}
	}
}

// BenchmarkParallel is the cost of an update of a random state on all processors.
func BenchmarkParallel(b *testing.B) {
	const n = 100000
	for name, s := range map[string]benchStore{"memory": fillMemory(b, n), "map": fillPlain(b, n)} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				r := rand.New(rand.NewPCG(17, rand.Uint64()))
				for pb.Next() {
					s.Update(memStart, memStateID(r.IntN(n)), advance)
				}
			})
		})
	}
}

// BenchmarkMemoryWalk is the cost of what looks at all states.
func BenchmarkMemoryWalk(b *testing.B) {
	buf := make([]State, 64)
	var buckets [DigestBuckets]uint64
	for _, size := range benchSizes {
		m := fillMemory(b, size.n)
		for _, op := range []struct {
			name string
			f    func()
		}{
			{"scan", func() {
				for c, more := Cursor(0), true; more; more = c != 0 {
					_, c = m.Scan(memStart, c, buf)
				}
			}},
			{"expire", func() { m.Expire(memStart, nil) }},
			{"clear", func() { m.Clear(1, Name{}, nil) }},
			{"digest", func() { m.Digest(&buckets) }},
			{"bucket", func() { m.Bucket(memStart, 1, func(StateID, uint64, time.Duration) {}) }},
		} {
			b.Run(op.name+"/"+size.name, func(b *testing.B) {
				for b.Loop() {
					op.f()
				}
			})
		}
	}
}

// BenchmarkFill is how long a table takes to fill, the worst insert among them,
// and what it takes in the end: with states of pf, all of which have their own
// sequence numbers, and with states of conntrack.
func BenchmarkFill(b *testing.B) {
	for _, size := range benchSizes {
		for _, kind := range []struct {
			name  string
			make  func() benchStore
			state func(i int) *State
		}{
			{"memory", func() benchStore { return newMemory(b, MemoryConfig{Limit: size.n}) }, memState},
			{"memory-conntrack", func() benchStore { return newMemory(b, MemoryConfig{Limit: size.n}) }, connState},
			{"map", func() benchStore { return &plainStore{states: make(map[StateID]State)} }, memState},
		} {
			b.Run(fmt.Sprintf("%s/%s", size.name, kind.name), func(b *testing.B) {
				var used uint64
				var worst time.Duration
				for b.Loop() {
					before := heap()
					s := kind.make()
					for i := range size.n {
						st := kind.state(i)
						start := time.Now()
						if err := s.Insert(memStart, st, nil); err != nil {
							b.Fatal(err)
						}
						worst = max(worst, time.Since(start))
					}
					used = heap() - before
					runtime.KeepAlive(s)
				}
				b.ReportMetric(float64(used)/float64(size.n), "B/state")
				b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
			})
		}
	}
}
