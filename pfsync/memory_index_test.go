package pfsync

import (
	"math/rand/v2"
	"testing"
)

// TestHashIndex goes against a map of sets, with tags that are much alike so
// that there are long runs around the end of the table, and gaps in them; and with
// tags of all kinds.
func TestHashIndex(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		first  uint16
		number uint32
	}{{0xfff0, 32}, {0, 1 << 16}} {
		r := rand.New(rand.NewPCG(13, 14))
		var x hashIndex
		model := make(map[uint32]uint16) // tag by number
		for step := range 200000 {
			number := (1 + r.Uint32N(200)) * 0x10001 // in both halves of a slot
			if step%7 == 0 {
				number &= 0xffff << (step % 2 * 16) // or in one only
			}
			if tag, ok := model[number]; ok {
				x.remove(tag, number)
				delete(model, number)
			} else if step%10000 < 5000 || len(model) < 20 {
				tag := kind.first + uint16(r.Uint32N(kind.number))
				x.add(tag, number)
				model[number] = tag
			}
			if step%100 == 0 {
				checkIndex(t, &x, model)
			}
		}
	}
}

func checkIndex(t *testing.T, x *hashIndex, model map[uint32]uint16) {
	t.Helper()
	if x.n != len(model) || 8*x.n > 7*len(x.slots) {
		t.Fatalf("%d of %d in %d slots", x.n, len(model), len(x.slots))
	}
	wanted := make(map[uint16]bool)
	for _, tag := range model {
		wanted[tag], wanted[tag+1] = true, true
	}
	found := 0
	for tag := range wanted {
		seen := make(map[uint32]bool)
		for n, next := x.seek(tag, 0); n != 0; n, next = x.seek(tag, next) {
			if h, ok := model[n]; !ok || h != tag || seen[n] {
				t.Fatalf("%d is found by %x", n, tag)
			}
			seen[n] = true
			found++
		}
	}
	if found != len(model) {
		t.Fatalf("%d of %d are found", found, len(model))
	}
}

// TestHashIndexNear: as full as a table ever is, what is sought is near its home, and
// what is not there is soon known not to be.
func TestHashIndexNear(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	var x hashIndex
	for n := uint32(1); 8*(x.n+1) <= 7*len(x.slots) || n < 5000; n++ {
		x.add(uint16(r.Uint32()), n)
	}
	sum := 0
	for i, s := range x.slots {
		if !s.empty() {
			sum += x.distance(i, s.tag)
		}
	}
	if mean := float64(sum) / float64(x.n); mean > 8 {
		t.Errorf("%d in %d slots: %.1f slots from home in the middle", x.n, len(x.slots), mean)
	}
}
