package pfsync

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestPool goes against a map: values that are shared, from few kinds, and such that
// are not, some of them alike.
func TestPool(t *testing.T) {
	for _, parts := range []int{1, 4} {
		r := rand.New(rand.NewPCG(21, 22))
		var p pool[Name]
		p.init(maphash.MakeSeed(), parts)
		value := make(map[uint32]Name)    // by number
		holders := make(map[uint32]int)   // of what is shared
		numbers := make(map[Name]uint32)  // of what is shared
		holds := make([]uint32, 0, 10000) // a number for each holder
		most := uint32(0)
		for step := range 100000 {
			if most = max(most, uint32(len(value))); r.IntN(10) < 4+step/10000%3 && len(holds) > 0 {
				i := r.IntN(len(holds))
				n := holds[i]
				holds[i] = holds[len(holds)-1]
				holds = holds[:len(holds)-1]
				p.drop(n)
				if holders[n]--; holders[n] > 0 {
					continue
				}
				if numbers[value[n]] == n {
					delete(numbers, value[n])
				}
				delete(holders, n)
				delete(value, n)
				continue
			}
			v := Name{byte(r.IntN(100)), byte(r.IntN(2))}
			if r.IntN(3) == 0 {
				n := p.put(&v)
				if _, ok := value[n]; ok || n == 0 {
					t.Fatalf("%d is not free", n)
				}
				value[n] = v
				holders[n], holds = 1, append(holds, n)
				continue
			}
			n := p.share(&v)
			if was, ok := numbers[v]; n == 0 || ok && was != n || !ok && holders[n] != 0 {
				t.Fatalf("%v has number %d, had %d", v, n, was)
			}
			numbers[v], value[n] = n, v
			holders[n]++
			holds = append(holds, n)
		}
		for n, v := range value {
			if *p.at(n) != v {
				t.Fatalf("%d is %v, want %v", n, *p.at(n), v)
			}
		}
		if p.n != len(value) || p.used > most+1 {
			t.Errorf("%d values, want %d; %d numbers for %d at most", p.n, len(value), p.used, most)
		}
		for _, n := range holds {
			p.drop(n)
		}
		if p.n != 0 {
			t.Errorf("%d values that nobody holds", p.n)
		}
		for i := range p.index {
			if p.index[i].n != 0 {
				t.Errorf("%d of nothing in the index", p.index[i].n)
			}
		}
	}
}

// TestPoolReaders: who holds a value may look at it while the pool changes.
func TestPoolReaders(t *testing.T) {
	var (
		p       pool[Name]
		readers sync.WaitGroup
	)
	p.init(maphash.MakeSeed(), 1)
	for i := range 200 {
		v := Name{byte(i), 1}
		n := p.share(&v)
		readers.Go(func() {
			for range 100 {
				if *p.at(n) != v {
					t.Errorf("%d is %v, want %v", n, *p.at(n), v)
					return
				}
			}
		})
		v2 := Name{byte(i), 2}
		if p.share(&v); i%3 != 0 {
			p.drop(p.put(&v2))
		} else {
			p.put(&v2)
		}
	}
	readers.Wait()
}
