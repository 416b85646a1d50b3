package pfsync

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A modelState is a State as a table should give it, but for its times.
type modelState struct {
	st              State
	created, active time.Duration
}

// TestMemoryModel goes against a map of states. They have everything at random, but
// often as others have it, so that parts of them are shared; no two have the same keys.
// In the end nothing is left of any.
func TestMemoryModel(t *testing.T) {
	t.Parallel()
	const ids, kinds = 600, 5
	r := rand.New(rand.NewPCG(31, 32))
	kind := make([]State, kinds)
	for i := range kind {
		fill(r, reflect.ValueOf(&kind[i]).Elem())
		if i > 0 { // as conntrack has it
			kind[i].Src = Peer{State: TCPEstablished, SeqHi: 1, MaxWin: uint16(i), WScale: 0x87}
			kind[i].Dst, kind[i].Packets, kind[i].Bytes = kind[i].Src, [2]uint64{}, [2]uint64{}
		}
		if i == kinds-1 {
			kind[i] = State{} // has nothing
		}
	}
	random := func() (st State) { fill(r, reflect.ValueOf(&st).Elem()); return st }
	m := newMemory(t, MemoryConfig{Limit: ids})
	want := make(map[StateID]*modelState)
	at := time.Duration(0)
	now := func() time.Time { return memStart.Add(at) }
	export := func(s *modelState) *State {
		st := s.st
		st.Creation = seconds(at - s.created)
		st.Expire = seconds(m.life(st.Timeout) - (at - s.active) + time.Second - 1)
		return &st
	}
	check := func(what string, s *modelState, got *State) {
		if want := export(s); *got != *want {
			t.Fatalf("%s of %v (-want +got):\n%s", what, s.st.StateID, cmp.Diff(want, got))
		}
	}
	id := func() StateID { return StateID{r.Uint64N(ids / 2), r.Uint32N(2)} }

	for range 60000 {
		at += time.Duration(r.IntN(3)) * memTick
		id := id()
		s := want[id]
		switch op := r.IntN(100); {
		case op < 40 && s == nil:
			st := kind[r.IntN(kinds)]
			if r.IntN(2) == 0 {
				from, to := reflect.ValueOf(random()), reflect.ValueOf(&st).Elem()
				for range 1 + r.IntN(3) {
					i := r.IntN(to.NumField())
					to.Field(i).Set(from.Field(i))
				}
			}
			st.StateID = id
			st.Timeout, st.Expire = TCPEstab, 1+r.Uint32N(86400)
			st.Wire.Port, st.Wire.Addr[1] = [2]uint16{uint16(id.ID), uint16(id.CreatorID)}, Addr{1, 2, 3, 4}
			if st.Stack = st.Wire; r.IntN(2) == 0 {
				st.Stack.Addr[0] = Addr{byte(r.IntN(256)), 1}
				st.Stack.Port[1] += 2
			}
			if r.IntN(4) == 0 {
				st.Stack.Addr[r.IntN(2)][4+r.IntN(12)] = 1
			}
			mustInsert(t, m, now(), &st)
			want[id] = &modelState{st, at - time.Duration(st.Creation)*time.Second,
				at - m.life(st.Timeout) + time.Duration(st.Expire)*time.Second}
		case op < 70:
			keep := Keep(r.IntN(3))
			change := random()
			known := m.Update(now(), id, func(st *State) Keep {
				check("Update", s, st)
				change.Timeout = Timeout(r.IntN(10))
				if r.IntN(2) == 0 {
					k := &kind[r.IntN(kinds)]
					change.Src, change.Dst, change.Packets, change.Bytes = k.Src, k.Dst, k.Packets, k.Bytes
				}
				*st = change
				return keep
			})
			if known != (s != nil) {
				t.Fatalf("Update(%v): %v", id, known)
			}
			if s == nil || keep == KeepNothing {
				break
			}
			s.st.Src, s.st.Dst = change.Src, change.Dst
			if keep == KeepAll {
				s.st.Timeout, s.st.Packets, s.st.Bytes, s.active = change.Timeout, change.Packets, change.Bytes, at
			}
		case op < 80:
			if m.Delete(id) != (s != nil) {
				t.Fatalf("Delete(%v): %v", id, s == nil)
			}
			delete(want, id)
		case op == 80:
			m.Expire(now(), func(id StateID) {
				if s := want[id]; at-s.active < m.life(s.st.Timeout) {
					t.Fatalf("%v expires early", id)
				}
				delete(want, id)
			})
			for id, s := range want {
				if at-s.active >= m.life(s.st.Timeout) {
					t.Fatalf("%v does not expire", id)
				}
			}
		default:
			var st State
			if m.Get(now(), id, &st) != (s != nil) {
				t.Fatalf("Get(%v): %v", id, s == nil)
			}
			if s != nil {
				check("Get", s, &st)
			}
		}
	}
	if m.Len() != len(want) || len(want) < 50 {
		t.Fatalf("%d states, want %d", m.Len(), len(want))
	}
	var got, sums [DigestBuckets]uint64
	for st := range m.States(now()) {
		check("States", want[st.StateID], st)
		sums[st.Bucket()] ^= st.Digest()
	}
	if m.Digest(&got); got != sums {
		t.Error("the digests are not those of the states")
	}
	for id := range want {
		m.Delete(id)
	}
	checkEmpty(t, m)
}

// checkEmpty holds that nothing is left of the states that were in a table.
func checkEmpty(t *testing.T, m *Memory) {
	t.Helper()
	if n := m.names.n + m.tags.n + m.bodies.n; n != 0 || m.Len() != 0 {
		t.Errorf("%d states, %d parts of nothing", m.Len(), n)
	}
	var digests [DigestBuckets]uint64
	if m.Digest(&digests); digests != [DigestBuckets]uint64{} {
		t.Error("the digest of nothing is not 0")
	}
	for i := range m.shards {
		sh := &m.shards[i]
		if sh.peers.n != 0 || sh.wide.n != 0 || sh.ids.n != 0 || m.keys[i].n != 0 {
			t.Errorf("shard %d: %d peers, %d addresses, %d identities; %d keys", i, sh.peers.n, sh.wide.n, sh.ids.n, m.keys[i].n)
		}
	}
}

// TestMemoryTick: at times that are no multiple of a tick what comes out is what went
// in, and at most a tick older later.
func TestMemoryTick(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(41, 42))
	m := newMemory(t, MemoryConfig{Timeouts: Timeouts{UDPFirst: time.Minute}})
	mustInsert(t, m, memStart, memState(0)) // the epoch
	for i := range 1000 {
		st := memState(1 + i)
		st.Creation, st.Expire, st.Timeout = r.Uint32N(1000), 1+r.Uint32N(60), UDPFirst
		at := memStart.Add(time.Duration(r.Int64N(int64(time.Hour))) - 30*time.Minute)
		mustInsert(t, m, at, st)
		if diff := cmp.Diff(st, mustGet(t, m, at, st.StateID)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		later := time.Duration(r.Int64N(int64(time.Minute)))
		got := mustGet(t, m, at.Add(later), st.StateID)
		age := time.Duration(st.Creation)*time.Second + later
		left := time.Duration(st.Expire)*time.Second - later + time.Second - 1
		if got.Creation < seconds(age) || got.Creation > seconds(age+memTick) ||
			got.Expire > seconds(left) || got.Expire < seconds(left-memTick) {
			t.Fatalf("%d s old, %d left after %v: %d and %d", st.Creation, st.Expire, later, got.Creation, got.Expire)
		}
		end := at.Add(time.Duration(st.Expire) * time.Second)
		if m.Delete(memState(0).StateID); m.Expire(end.Add(-memTick), nil) != 0 || m.Expire(end, nil) != 1 {
			t.Fatalf("it was not due %d s after it came", st.Expire)
		}
	}
}
