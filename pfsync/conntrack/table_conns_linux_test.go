package conntrack

import (
	"hash/maphash"
	"math/rand/v2"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

func newConnTable() *connTable { return &connTable{seed: maphash.MakeSeed()} }

// connKey is one of as many keys as there are numbers: of both families, and some that
// are of neither, or are not as they should be.
func connKey(n int) pfsync.Key {
	k := pfsync.Key{AF: pfsync.AFInet, Proto: ProtoTCP, Port: [2]uint16{uint16(n), 443}}
	k.Addr[0][0], k.Addr[0][1], k.Addr[1][3] = byte(n>>16), byte(n>>24), 9
	switch n % 8 {
	case 1, 2:
		k.AF = pfsync.AFInet6
	case 3:
		k.Proto = ProtoUDP
	case 4:
		k.Addr[1][15] = 1 // IPv4, and something behind it
	case 5:
		k.RDomain = 7
	case 6:
		k.AF = 0
	}
	return k
}

// TestConnTable does with a connTable and with a map what comes, and compares.
func TestConnTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x, want := newConnTable(), make(map[pfsync.Key]conn)
	few := true
	creator := func() uint32 { // now fewer than there are numbers for, now more
		if few {
			return rng.Uint32N(5)
		}
		return rng.Uint32N(2*numberless) * rng.Uint32N(3)
	}
	random := func() conn {
		return conn{
			ids:   [2]pfsync.StateID{{ID: rng.Uint64(), CreatorID: creator()}, {ID: rng.Uint64(), CreatorID: creator()}},
			until: rng.Uint32(), told: rng.Uint32(), shape: rng.Uint32(), class: pfsync.Timeout(rng.Uint32()),
			tcp: TCPState(rng.Uint32()), flags: connFlags(rng.Uint32()), latest: uint8(rng.Uint32()),
		}
	}
	check := func() {
		t.Helper()
		n, protos := 0, [256]int{}
		for k, c := range x.all(nil) {
			n++
			protos[k.Proto]++
			ref := c.ref
			if c.ref = 0; want[k] != c {
				t.Fatalf("%v is %+v, want %+v", k, c, want[k])
			}
			if k2, c2, ok := x.at(ref); !ok || k2 != k || c2.ref != ref || c2.ids != c.ids {
				t.Fatalf("at %d: %v, %+v, %t", ref, k2, c2, ok)
			}
		}
		if n != len(want) || x.len() != n || x.protos != protos {
			t.Fatalf("%d connections, len says %d, want %d", n, x.len(), len(want))
		}
		held := make(map[uint32]int)
		for _, c := range want {
			held[c.ids[0].CreatorID]++
			held[c.ids[1].CreatorID]++
		}
		for i, c := range x.creators.named {
			if i > 0 && c.holders > 0 {
				held[c.id] -= c.holders
			}
		}
		for _, id := range x.creators.others {
			held[id]--
		}
		for id, n := range held {
			if id != 0 && n != 0 {
				t.Fatalf("creator %d: %d holders too few", id, n)
			}
		}
	}
	for round := range 6 {
		few = round%2 == 0
		most := []int{10, 40_000, 500, 40_000, 3000, 1}[round] // it grows, and what was in use is used again
		for i := range 60_000 {
			k := connKey(rng.IntN(most))
			c, ok := x.get(k)
			ref := c.ref
			c.ref = 0
			if is, known := want[k]; ok != known || c != is || ok != (ref != 0) {
				t.Fatalf("%v: %+v, %t, want %+v, %t", k, c, ok, is, known)
			}
			// It gets fuller in the first half, and emptier in the second.
			if rng.IntN(3) > 0 == (i < 30_000) {
				c = random()
				want[k] = c
				c.ref = ref
				x.set(k, &c)
			} else {
				x.delete(k)
				delete(want, k)
			}
		}
		check()
		for k := range want {
			if rng.IntN(2) == 0 {
				x.delete(k)
				delete(want, k)
			}
		}
		check()
	}
	slots := 0
	for i := range x.parts {
		slots += int(x.parts[i].used)
	}
	if slots > 40_000 {
		t.Errorf("%d slots for never more than 40 000", slots)
	}
}

// TestConnTableReplaced: a set without a get does not make a connection twice.
func TestConnTableReplaced(t *testing.T) {
	x := newConnTable()
	x.set(connKey(1), &conn{told: 1})
	x.set(connKey(1), &conn{told: 2})
	if c, _ := x.get(connKey(1)); x.len() != 1 || c.told != 2 {
		t.Errorf("%d connections, %+v", x.len(), c)
	}
}

// TestConnTablePause: who changes the table in a pause does not disturb the walk.
func TestConnTablePause(t *testing.T) {
	const n = 20_000
	x := newConnTable()
	for i := range n {
		x.set(connKey(i), &conn{told: 1})
	}
	pauses := 0
	seen := make(map[pfsync.Key]int)
	for k, c := range x.all(func() {
		for i := range 500 { // every other one goes, and new ones come
			x.delete(connKey(2 * (500*pauses + i)))
			x.set(connKey(n+500*pauses+i), &conn{told: 2})
		}
		pauses++
	}) {
		if seen[k]++; c.told != 1 && c.told != 2 {
			t.Fatalf("%v: %+v", k, c)
		}
	}
	for i := 1; i < n; i += 2 {
		if seen[connKey(i)] != 1 {
			t.Fatalf("%d was seen %d times", i, seen[connKey(i)])
		}
	}
	if pauses < n/eachBatch {
		t.Errorf("%d pauses", pauses)
	}
}

// TestConnTableMemory holds what a connection takes.
func TestConnTableMemory(t *testing.T) {
	const n = 100_000
	keys := make([]pfsync.Key, n)
	for _, tt := range []struct {
		name string
		af   pfsync.AF
		want uint64
	}{{"IPv4", pfsync.AFInet, 56}, {"IPv6", pfsync.AFInet6, 100}} {
		for i := range keys {
			keys[i] = connKey(8 * i)
			keys[i].AF = tt.af
		}
		before := heap()
		x := newConnTable()
		for i := range keys {
			x.set(keys[i], &conn{told: 1})
		}
		got := (heap() - before) / n
		t.Logf("%s: %d octets for a connection", tt.name, got)
		if got > tt.want {
			t.Errorf("%s: want up to %d", tt.name, tt.want)
		}
		if x.len() != n {
			t.Errorf("%d connections", x.len())
		}
	}
}

// TestConnTableAllocs: no operation allocates, but to grow.
func TestConnTableAllocs(t *testing.T) {
	x := newConnTable()
	for _, k := range []pfsync.Key{connKey(0), connKey(1)} {
		x.set(k, &conn{told: 1})
		if n := testing.AllocsPerRun(100, func() {
			c, _ := x.get(k)
			c.told++
			x.set(k, &c)
			x.delete(k)
			c.ref = 0
			x.set(k, &c)
		}); n != 0 {
			t.Errorf("%v: %v allocations", k, n)
		}
	}
}

// BenchmarkConns compares a connTable with a map: a look and a change of a connection
// that is known, and one that comes and goes.
func BenchmarkConns(b *testing.B) {
	const n = 100_000
	keys := make([]pfsync.Key, n)
	for i := range keys {
		keys[i] = connKey(8 * i)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	x, m := newConnTable(), make(map[pfsync.Key]conn)
	for i := range keys {
		x.set(keys[i], &conn{told: 1})
		m[keys[i]] = conn{told: 1}
	}
	next := func(i int) pfsync.Key { return keys[order[i%n]] }
	b.Run("known/table", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			k := next(i)
			c, _ := x.get(k)
			c.told++
			x.set(k, &c)
		}
	})
	b.Run("known/map", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			k := next(i)
			c := m[k]
			c.told++
			m[k] = c
		}
	})
	b.Run("gone and back/table", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			k := next(i)
			x.delete(k)
			x.set(k, &conn{told: 1})
		}
	})
	b.Run("gone and back/map", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			k := next(i)
			delete(m, k)
			m[k] = conn{told: 1}
		}
	})
	b.Run("new/table", func(b *testing.B) {
		b.ReportAllocs()
		var x *connTable
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				x = newConnTable()
			}
			x.set(keys[i%n], &conn{told: 1})
		}
	})
	b.Run("new/map", func(b *testing.B) {
		b.ReportAllocs()
		var m map[pfsync.Key]conn
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				m = make(map[pfsync.Key]conn)
			}
			m[keys[i%n]] = conn{told: 1}
		}
	})
}
