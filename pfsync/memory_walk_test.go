package pfsync

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestScanSteps goes through tables of many sizes with buffers of many.
func TestScanSteps(t *testing.T) {
	for _, states := range []int{0, 1, 63, 64, 300, 5000} {
		m := newMemory(t, MemoryConfig{})
		for i := range states {
			mustInsert(t, m, memStart, memState(i))
		}
		for _, size := range []int{1, 3, 64, 299, 300, 10000} {
			seen := make(map[StateID]int)
			buf := make([]State, size)
			for c, more := Cursor(0), true; more; more = c != 0 {
				var n int
				n, c = m.Scan(memStart, c, buf)
				for i := range buf[:n] {
					seen[buf[i].StateID]++
				}
				if n < size && c != 0 {
					t.Errorf("%d of %d, and that is not the end", n, size)
				}
			}
			for i := range states {
				if n := seen[memState(i).StateID]; n != 1 {
					t.Fatalf("%d states, %d at a time: one is seen %d times", states, size, n)
				}
			}
		}
	}
	m := newMemory(t, MemoryConfig{})
	mustInsert(t, m, memStart, memState(1))
	for _, c := range []Cursor{1 << 40, 1<<64 - 1, 255<<32 | 1<<31} {
		if n, next := m.Scan(memStart, c, make([]State, 2)); n != 0 || next != 0 {
			t.Errorf("from %#x: %d and %#x", c, n, next)
		}
	}
}

// TestScanUnderChange: states that stay are seen once, however the others come and
// go, and whole.
func TestScanUnderChange(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	const stay, churn = 2000, 2000
	for i := range stay + churn { // mixed in the slots
		mustInsert(t, m, memStart, memState(i))
	}
	var stop atomic.Bool
	var workers sync.WaitGroup
	for w := range 3 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(9, uint64(w)))
			for !stop.Load() {
				st := memState(stay + r.IntN(2*churn))
				if r.IntN(2) == 0 {
					_ = m.Insert(memStart, st, nil)
				} else {
					m.Delete(st.StateID)
				}
				m.Update(memStart, memState(r.IntN(stay)).StateID, func(st *State) Keep {
					st.Src.SeqLo++
					st.Dst.SeqLo = st.Src.SeqLo
					return KeepAll
				})
			}
		})
	}
	for size := 1; size < 600; size += 37 {
		seen := make(map[uint64]int)
		buf := make([]State, size)
		for c, more := Cursor(0), true; more; more = c != 0 {
			var n int
			n, c = m.Scan(memStart, c, buf)
			for i := range buf[:n] {
				st := &buf[i]
				seen[st.ID]++
				if fresh := memState(int(uint32(st.ID))); st.Wire != fresh.Wire ||
					st.Src != fresh.Src && st.Src.SeqLo != st.Dst.SeqLo {
					t.Fatalf("half a state: %+v", st)
				}
			}
		}
		for i := range stay {
			if n := seen[memState(i).ID]; n != 1 {
				t.Fatalf("%d at a time: state %d is seen %d times", size, i, n)
			}
		}
	}
	stop.Store(true)
	workers.Wait()
}

// TestMemoryConcurrent does everything at once, callbacks that call back included,
// for the race detector and against deadlocks; then the books must balance.
func TestMemoryConcurrent(t *testing.T) {
	m := newMemory(t, MemoryConfig{Limit: 500, AdaptiveStart: 300, AdaptiveEnd: 900})
	var clock atomic.Int64
	now := func() time.Time { return memStart.Add(time.Duration(clock.Add(int64(time.Millisecond)))) }
	var workers sync.WaitGroup
	for w := range 6 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(11, uint64(w)))
			back := func(id StateID) { m.Get(now(), id, new(State)); m.Delete(id) }
			for range 5000 {
				st := memState(r.IntN(800))
				st.Timeout = UDPFirst
				st.CreatorID = uint32(r.IntN(8))
				st.IfName[0] = 'a' + byte(r.IntN(4))
				if r.IntN(4) == 0 { // as much collision as can be
					st.Wire, st.Stack = memState(r.IntN(8)).Wire, memState(r.IntN(8)).Wire
					st.Src.State, st.Dst.State = TCPTimeWait, PeerState(8+r.IntN(2))
				}
				switch r.IntN(100) {
				case 0:
					m.Clear(st.CreatorID, Name{}, back)
				case 1:
					m.Expire(now(), back)
				case 2:
					var d [DigestBuckets]uint64
					m.Digest(&d)
					m.Stats()
				case 3:
					m.Bucket(now(), st.Bucket(), func(id StateID, _ uint64, _ time.Duration) { back(id) })
				case 4:
					for st := range m.States(now()) {
						back(st.StateID)
						break
					}
				default:
					switch r.IntN(5) {
					case 0:
						m.Get(now(), st.StateID, st)
					case 1:
						m.Delete(st.StateID)
					case 2:
						m.Update(now(), st.StateID, func(st *State) Keep {
							st.Src.State, st.Dst.State = PeerState(r.IntN(13)), PeerState(r.IntN(13))
							return Keep(r.IntN(3))
						})
					default:
						_ = m.Insert(now(), st, nil)
					}
				}
			}
		})
	}
	workers.Wait()
	s := m.Stats()
	if gone := s.Deleted + s.Cleared + s.Expired + s.Replaced; s.Inserted-gone != uint64(s.States) || s.States != m.Len() {
		t.Errorf("the books do not balance: %+v", s)
	}
	var got, want [DigestBuckets]uint64
	n := 0
	for st := range m.States(now()) {
		want[st.Bucket()] ^= st.Digest()
		n++
	}
	if m.Digest(&got); got != want || n != s.States {
		t.Errorf("%d states of %d, digests alike: %v", n, s.States, got == want)
	}
	for st := range m.States(now()) {
		m.Delete(st.StateID)
	}
	if s := m.Stats(); s.States != 0 || s.Names != 0 {
		t.Errorf("after all is deleted: %+v", s)
	}
	checkEmpty(t, m)
}

// TestBucketReports: the buckets hold each state once, in its own.
func TestBucketReports(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	for i := range 1000 {
		mustInsert(t, m, memStart.Add(time.Duration(i)*time.Second), memState(i))
	}
	now := memStart.Add(2000 * time.Second)
	n := 0
	for bucket := -1; bucket <= DigestBuckets; bucket++ {
		m.Bucket(now, bucket, func(id StateID, digest uint64, idle time.Duration) {
			n++
			i := int(uint32(id.ID))
			if id.Bucket() != bucket || digest != memState(i).Digest() || idle != time.Duration(2000-i)*time.Second {
				t.Errorf("%v in bucket %d: digest %x, idle %v", id, bucket, digest, idle)
			}
		})
	}
	if n != 1000 {
		t.Errorf("%d states in all buckets", n)
	}
}

// TestBucketHostile puts all states into one bucket, as only an attacker does.
func TestBucketHostile(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	want := make(map[StateID]bool)
	for i := 0; len(want) < 1000; i++ {
		if id := (StateID{uint64(i), 1}); id.Bucket() == 7 {
			st := memState(i)
			st.StateID = id
			mustInsert(t, m, memStart, st)
			want[id] = true
		}
	}
	m.Bucket(memStart, 7, func(id StateID, _ uint64, _ time.Duration) {
		if !want[id] {
			t.Errorf("%v again, or for the first time", id)
		}
		delete(want, id)
	})
	if len(want) > 0 {
		t.Errorf("%d are not in the bucket", len(want))
	}
}
