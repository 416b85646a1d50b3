package pfsync

import (
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDigestForEver: nodes of different versions compare their digests.
func TestDigestForEver(t *testing.T) {
	for _, tc := range []struct {
		st     State
		digest uint64
		bucket int
	}{
		{State{}, 0x2a4cfcd90e739336, 523},
		{*memState(1), 0x2b41c8d907ee2039, 1328},
		{*memState(2), 0x4b982b06c007ceaf, 1656},
	} {
		if d, b := tc.st.Digest(), tc.st.Bucket(); d != tc.digest || b != tc.bucket {
			t.Errorf("%v: digest %#x, bucket %d; want %#x, %d", tc.st.StateID, d, b, tc.digest, tc.bucket)
		}
	}
}

// leaves calls f with each number in v, by its name.
func leaves(v reflect.Value, name string, f func(name string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), name+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Array:
		for i := range v.Len() {
			leaves(v.Index(i), name, f)
		}
	default:
		f(name, v)
	}
}

// flip changes one bit of a number.
func flip(v reflect.Value, bit int) {
	if v.CanInt() {
		v.SetInt(v.Int() ^ 1<<bit)
		return
	}
	v.SetUint(v.Uint() ^ 1<<bit)
}

// TestDigestCovers changes every bit of a State: those of the fields named change
// about half of the digest's, the others none.
func TestDigestCovers(t *testing.T) {
	covered := []string{".StateID", ".Wire", ".Stack", ".Src", ".Dst", ".Direction", ".Timeout"}
	r := rand.New(rand.NewPCG(5, 6))
	var st State
	fill(r, reflect.ValueOf(&st).Elem())
	want := st.Digest()
	changed := make([]int, 64) // how often, by bit of the digest
	flips := 0
	leaves(reflect.ValueOf(&st).Elem(), "", func(name string, v reflect.Value) {
		in := !strings.Contains(name, ".Scrub") && slices.ContainsFunc(covered, func(p string) bool { return strings.HasPrefix(name, p) })
		for bit := range v.Type().Bits() {
			flip(v, bit)
			diff := st.Digest() ^ want
			flip(v, bit)
			if n := bits.OnesCount64(diff); in && (n < 12 || n > 52) || !in && n != 0 {
				t.Errorf("bit %d of %s changes %d bits of the digest", bit, name, n)
			}
			if !in {
				continue
			}
			flips++
			for i := range changed {
				changed[i] += int(diff >> i & 1)
			}
		}
	})
	if flips != 12*8+2*40*8+2*18*8+2*8 {
		t.Errorf("%d bits are covered", flips)
	}
	for i, n := range changed {
		if n < flips*2/5 || n > flips*3/5 {
			t.Errorf("bit %d of the digest changes %d times of %d", i, n, flips)
		}
	}
}

// TestBuckets: ids that count up, as the kernels' do, fill buckets and shards evenly.
func TestBuckets(t *testing.T) {
	for _, id := range []func(i int) StateID{
		func(i int) StateID { return StateID{uint64(i), 1} },
		func(i int) StateID { return StateID{0x6b01f3bf<<32 + uint64(i), 0xdeadbeef} },
		func(i int) StateID { return StateID{uint64(i) << 32, 1} },
		func(i int) StateID { return StateID{uint64(i%4)<<56 | uint64(i/4), 1} },
		func(i int) StateID { return StateID{1, uint32(i)} },
	} {
		var buckets [DigestBuckets]int
		const each = 64
		for i := range each * DigestBuckets {
			buckets[id(i).Bucket()]++
		}
		chi := 0.0
		for _, n := range buckets {
			chi += float64((n-each)*(n-each)) / each
		}
		// chi is around 4095 with a deviation of 90
		if chi < 3600 || chi > 4600 {
			t.Errorf("%v, %v ...: chi squared is %.0f", id(1), id(2), chi)
		}
	}
}

// TestDigestRolls: the digests of a table are those of its states, whatever
// happened before.
func TestDigestRolls(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	m := newMemory(t, MemoryConfig{})
	var got, want [DigestBuckets]uint64
	for i := range 20000 {
		st := memState(r.IntN(2000))
		switch r.IntN(4) {
		case 0, 1:
			_ = m.Insert(memStart, st, nil)
		case 2:
			m.Update(memStart, st.StateID, func(st *State) Keep {
				st.Src.SeqLo, st.Dst.State, st.Timeout = r.Uint32(), PeerState(r.IntN(13)), Timeout(r.IntN(14))
				return Keep(r.IntN(3))
			})
		case 3:
			m.Delete(st.StateID)
		}
		if i%1000 != 0 {
			continue
		}
		clear(want[:])
		for st := range m.States(memStart) {
			want[st.Bucket()] ^= st.Digest()
		}
		if m.Digest(&got); got != want {
			t.Fatalf("after %d steps", i)
		}
	}
	m.Clear(0xdeadbeef, Name{}, nil)
	if m.Digest(&got); got != [DigestBuckets]uint64{} {
		t.Error("an empty table has a digest")
	}
}
