package pfsync

import (
	"math/rand/v2"
	"testing"
)

// TestHashIndex goes against a map of sets, with hashes that are much alike so
// that there are long runs around the end of the table, and gaps in them.
func TestHashIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	var x hashIndex
	model := make(map[uint32]uint32) // hash by number
	for step := range 200000 {
		number := 1 + r.Uint32N(200)
		if hash, ok := model[number]; ok {
			x.remove(hash, number)
			delete(model, number)
		} else if step%10000 < 5000 || len(model) < 20 {
			hash := 0xfffffff0 + r.Uint32N(32)
			x.add(hash, number)
			model[number] = hash
		}
		if step%100 == 0 {
			checkIndex(t, &x, model)
		}
	}
}

func checkIndex(t *testing.T, x *hashIndex, model map[uint32]uint32) {
	t.Helper()
	if x.n != len(model) || 4*x.n > 3*len(x.slots) {
		t.Fatalf("%d of %d in %d slots", x.n, len(model), len(x.slots))
	}
	found := 0
	for hash := uint32(0xfffffff0); hash != 0x10; hash++ {
		seen := make(map[uint32]bool)
		for n, next := x.seek(hash, hash); n != 0; n, next = x.seek(hash, next) {
			if h, ok := model[n]; !ok || h != hash || seen[n] {
				t.Fatalf("%d is found by %x", n, hash)
			}
			seen[n] = true
			found++
		}
	}
	if found != len(model) {
		t.Fatalf("%d of %d are found", found, len(model))
	}
}
