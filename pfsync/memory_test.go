package pfsync

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var memStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func newMemory(t testing.TB, c MemoryConfig) *Memory {
	t.Helper()
	m, err := NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// memState is state number i of many: TCP over IPv4, established, a whole day to
// live. They differ in identity and key.
func memState(i int) *State {
	st := &State{
		StateID: StateID{ID: 0x6b01f3bf<<32 + uint64(i), CreatorID: 0xdeadbeef},
		AF:      AFInet, Proto: protoTCP, Direction: In, Timeout: TCPEstab, RTableID: [2]int32{-1, -1},
		Rule: math.MaxUint32, Anchor: math.MaxUint32, NATRule: math.MaxUint32,
		Src: Peer{State: TCPEstablished, SeqLo: uint32(i), SeqHi: uint32(i) + 65535, MaxWin: 512, MSS: 1460, WScale: 0x87},
		Dst: Peer{State: TCPEstablished, SeqLo: 7 * uint32(i), SeqHi: 7*uint32(i) + 65535, MaxWin: 512, MSS: 1460, WScale: 0x87},
	}
	copy(st.IfName[:], "all")
	st.Wire = Key{AF: AFInet, Proto: protoTCP, Port: [2]uint16{uint16(i), 443}, Addr: [2]Addr{
		{10, byte(i >> 32), byte(i >> 24), byte(i >> 16)}, {192, 0, 2, 1},
	}}
	st.Stack = st.Wire
	return st
}

func mustInsert(t testing.TB, m *Memory, now time.Time, states ...*State) {
	t.Helper()
	for _, st := range states {
		if err := m.Insert(now, st, nil); err != nil {
			t.Fatalf("Insert(%v): %v", st.StateID, err)
		}
	}
}

func mustGet(t testing.TB, m *Memory, now time.Time, id StateID) *State {
	t.Helper()
	st := new(State)
	if !m.Get(now, id, st) {
		t.Fatalf("there is no %v", id)
	}
	return st
}

// fill sets everything in v at random, and nothing to zero.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1 + r.Uint64N(1<<v.Type().Bits()-1))
	case reflect.Int32:
		v.SetInt(1 + r.Int64N(math.MaxInt32))
	default:
		panic(fmt.Sprintf("a %v in a State", v.Type()))
	}
}

func TestMemoryLosesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for d := OpenBSD; d <= FreeBSD15; d++ {
		m := newMemory(t, MemoryConfig{Dialect: d})
		want := make(map[StateID]State)
		for range 100 {
			var st State
			fill(r, reflect.ValueOf(&st).Elem())
			st.Timeout, st.Expire = TCPEstab, 1+st.Expire%86400
			mustInsert(t, m, memStart, &st)
			want[st.StateID] = st
		}
		got := make(map[StateID]State)
		for st := range m.States(memStart) {
			got[st.StateID] = *st
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: States lost something (-want +got):\n%s", d, diff)
		}
		for id, st := range want {
			if diff := cmp.Diff(st, *mustGet(t, m, memStart, id)); diff != "" {
				t.Errorf("%v: Get lost something (-want +got):\n%s", d, diff)
			}
		}
	}
}

// TestMemoryTimes goes by the rules of pf_state_import and pf_state_export.
func TestMemoryTimes(t *testing.T) {
	for _, tc := range []struct {
		what             string
		creation, expire uint32
		after            time.Duration
		age, left        uint32
	}{
		{"at once", 100, 1234, 0, 100, 1234},
		{"later", 100, 1234, 34 * time.Second, 134, 1200},
		{"a little later: what is left of a second counts", 100, 1234, time.Millisecond, 100, 1234},
		{"just before a second is over", 100, 1234, time.Second - 1, 100, 1234},
		{"a second", 100, 1234, time.Second, 101, 1233},
		{"the last moment", 0, 2, 2*time.Second - 1, 1, 1},
		{"due", 0, 2, 2 * time.Second, 2, 0},
		{"overdue", 0, 2, time.Hour, 3600, 0},
		{"0 is a whole time-out", 5, 0, 0, 5, 86400},
		{"more than there is", 5, 86401, 0, 5, 86400},
		{"much more than there is", 5, math.MaxUint32, time.Second, 6, 86399},
		{"very old", math.MaxUint32, 10, time.Second, math.MaxUint32, 9},
		{"before its time", 5, 10, -time.Hour, 0, 3610},
		{"ages before its time", 5, 10, math.MinInt64, 0, 86400},
		{"ages later", 5, 10, math.MaxInt64, 50*365*86400 + 5, 0},
	} {
		m := newMemory(t, MemoryConfig{})
		mustInsert(t, m, memStart, memState(0)) // the epoch is not always that of the state
		st := memState(1)
		st.Creation, st.Expire = tc.creation, tc.expire
		mustInsert(t, m, memStart.Add(time.Minute), st)
		got := mustGet(t, m, memStart.Add(time.Minute).Add(tc.after), st.StateID)
		if tc.after == math.MaxInt64 {
			tc.age -= 60 // the horizon is that of the epoch
		}
		if got.Creation != tc.age || got.Expire != tc.left {
			t.Errorf("%s: age %d, %d left; want %d, %d", tc.what, got.Creation, got.Expire, tc.age, tc.left)
		}
	}
}

func TestMemoryZeroTime(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	mustInsert(t, m, time.Time{}, memState(1), memState(2))
	mustInsert(t, m, time.Time{}.Add(time.Hour), memState(3))
	if got := mustGet(t, m, time.Time{}.Add(time.Hour), memState(1).StateID); got.Creation != 3600 {
		t.Errorf("after an hour from the zero time: age %d", got.Creation)
	}
}

func TestMemoryUpdate(t *testing.T) {
	const later, check = 100 * time.Second, 160 * time.Second
	for _, tc := range []struct {
		keep    Keep
		peers   bool
		timeout Timeout
		left    uint32
		idle    time.Duration
	}{
		{KeepNothing, false, TCPEstab, 86400 - 160, check},
		{KeepPeers, true, TCPEstab, 86400 - 160, check - later},
		{KeepAll, true, TCPClose, 900 - 60, check - later},
	} {
		m := newMemory(t, MemoryConfig{})
		want := memState(1)
		want.Creation, want.Tag = 7, Tag{'t', 'a', 'g'}
		mustInsert(t, m, memStart, want, memState(2))
		want.Creation, want.Expire = want.Creation+100, 86400-100
		known := m.Update(memStart.Add(later), want.StateID, func(st *State) Keep {
			if diff := cmp.Diff(want, st); diff != "" {
				t.Errorf("Update shows something else than Get would (-want +got):\n%s", diff)
			}
			fill(rand.New(rand.NewPCG(3, 4)), reflect.ValueOf(st).Elem())
			st.Src.State, st.Dst.State, st.Timeout = TCPClosing, TCPEstablished, TCPClose
			if tc.peers {
				want.Src, want.Dst = st.Src, st.Dst
			}
			if tc.keep == KeepAll {
				want.Packets, want.Bytes = st.Packets, st.Bytes
			}
			return tc.keep
		})
		want.Creation, want.Expire, want.Timeout = 167, tc.left, tc.timeout
		if diff := cmp.Diff(want, mustGet(t, m, memStart.Add(check), want.StateID)); !known || diff != "" {
			t.Errorf("keep %d: known %v (-want +got):\n%s", tc.keep, known, diff)
		}
		m.Bucket(memStart.Add(check), want.Bucket(), func(id StateID, digest uint64, idle time.Duration) {
			if id != want.StateID {
				return
			}
			if digest != want.Digest() || idle != tc.idle {
				t.Errorf("keep %d: digest %x, idle %v; want %x, %v", tc.keep, digest, idle, want.Digest(), tc.idle)
			}
		})
	}
	m := newMemory(t, MemoryConfig{})
	if m.Update(memStart, StateID{1, 2}, func(*State) Keep { t.Error("f is called for nothing"); return KeepAll }) {
		t.Error("Update knows a state that is not there")
	}
}

// TestMemoryUpdatePanic: a panic of the caller's function must not lock a shard for ever.
func TestMemoryUpdatePanic(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	mustInsert(t, m, memStart, memState(1))
	func() {
		defer func() { _ = recover() }()
		m.Update(memStart, memState(1).StateID, func(*State) Keep { panic("caller") })
	}()
	if diff := cmp.Diff(TCPEstab, mustGet(t, m, memStart, memState(1).StateID).Timeout); diff != "" {
		t.Error(diff)
	}
}

func TestMemoryDelete(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	mustInsert(t, m, memStart, memState(1), memState(2))
	id := memState(1).StateID
	if !m.Delete(id) || m.Delete(id) || m.Get(memStart, id, new(State)) || m.Len() != 1 {
		t.Errorf("after Delete: %d states", m.Len())
	}
	for _, id := range []StateID{{id.ID, id.CreatorID + 1}, {id.ID + 2, id.CreatorID}, {}} {
		if m.Delete(id) || m.Get(memStart, id, new(State)) {
			t.Errorf("%v is there", id)
		}
	}
	mustInsert(t, m, memStart, memState(1)) // neither identity nor key is taken any more
}

// TestMemoryReuse: states that come and go leave no holes that stay.
func TestMemoryReuse(t *testing.T) {
	m := newMemory(t, MemoryConfig{})
	var first uint32
	for range 5 {
		for i := range 5000 {
			mustInsert(t, m, memStart, memState(i))
		}
		used := uint32(0)
		for i := range m.shards {
			used += m.shards[i].used
		}
		if first == 0 {
			first = used
		}
		if used != first {
			t.Fatalf("%d slots in use at first, %d in the end", first, used)
		}
		m.Clear(0xdeadbeef, Name{}, nil)
	}
}

func TestMemoryFull(t *testing.T) {
	m := newMemory(t, MemoryConfig{Limit: 3})
	over := memState(3)
	over.Src.State, over.Dst.State = TCPFinWait2, TCPTimeWait
	mustInsert(t, m, memStart, memState(1), memState(2), over)
	if err := m.Insert(memStart, memState(4), nil); !errors.Is(err, ErrFull) {
		t.Errorf("the fourth of 3: %v", err)
	}
	if err := m.Insert(memStart, memState(2), nil); !errors.Is(err, ErrExists) {
		t.Errorf("one that is there, table full: %v", err)
	}
	heir := memState(3)
	heir.ID = 99
	mustInsert(t, m, memStart, heir) // takes the place of the one that is over
	for i := 1; i <= 2; i++ {
		mustGet(t, m, memStart, memState(i).StateID)
	}
	m.Delete(heir.StateID)
	mustInsert(t, m, memStart, memState(4))
	want := MemoryStats{States: 3, Limit: 3, Names: 1, Inserted: 5, Deleted: 1, Replaced: 1, Exists: 1, Full: 1}
	if diff := cmp.Diff(want, m.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMemoryClear(t *testing.T) {
	name := func(s string) (n Name) { copy(n[:], s); return n }
	for _, tc := range []struct {
		creator uint32
		ifname  Name
		want    string
	}{
		{1, Name{}, "1 2 3 4"},
		{1, name("\x00garbage"), "1 2 3 4"},
		{2, Name{}, "5 6"},
		{3, Name{}, ""},
		{1, name("em0"), "2 3"},
		{1, name("em0\x00garbage"), "2 3"},
		{1, name("em"), ""},
		{1, name("all"), "1"},
		{2, name("em1"), "6"},
		{0, name("em1"), ""},
	} {
		m := newMemory(t, MemoryConfig{})
		for i, s := range []struct {
			creator uint32
			ifname  string
		}{{1, "all"}, {1, "em0"}, {1, "em0\x00rest"}, {1, "em1"}, {2, "em0"}, {2, "em1"}} {
			st := memState(i + 1)
			st.StateID, st.IfName = StateID{uint64(i + 1), s.creator}, name(s.ifname)
			mustInsert(t, m, memStart, st)
		}
		gone := make(map[uint64]bool)
		n := m.Clear(tc.creator, tc.ifname, func(id StateID) {
			if m.Get(memStart, id, new(State)) {
				t.Errorf("%v is reported before it is gone", id)
			}
			gone[id.ID] = true
		})
		var got []string
		for i := range uint64(7) {
			if gone[i] {
				got = append(got, fmt.Sprint(i))
			}
		}
		if got := strings.Join(got, " "); got != tc.want || n != len(gone) || m.Len() != 6-n {
			t.Errorf("Clear(%d, %v): %q, %d of them, %d left; want %q", tc.creator, tc.ifname, got, n, m.Len(), tc.want)
		}
		if n != m.Clear(tc.creator, tc.ifname, nil)+n {
			t.Errorf("Clear(%d, %v) left some", tc.creator, tc.ifname)
		}
	}
}

// TestMemoryHostileNames lets a peer give each state a name of its own.
func TestMemoryHostileNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		what string
		set  func(*State, int)
	}{
		{"interface", func(st *State, i int) { st.IfName = Name{'x', byte(i), byte(i >> 8), byte(i >> 16)} }},
		{"garbage behind the NUL", func(st *State, i int) { st.IfName = Name{'x', 0, byte(i), byte(i >> 8), byte(i >> 16)} }},
		{"route interface", func(st *State, i int) { st.RtIfName = Name{'x', byte(i), byte(i >> 8), byte(i >> 16)} }},
		{"origin", func(st *State, i int) { st.OrigIfName = Name{'x', byte(i), byte(i >> 8), byte(i >> 16)} }},
		{"tag", func(st *State, i int) { st.Tag = Tag{'x', byte(i), byte(i >> 8), byte(i >> 16)} }},
	} {
		m := newMemory(t, MemoryConfig{Limit: 200000})
		refused := 0
		const tries = maxNames + 100
		for i := range tries {
			st := memState(i)
			tc.set(st, i)
			switch err := m.Insert(memStart, st, nil); {
			case errors.Is(err, ErrFull):
				refused++
			case err != nil:
				t.Fatal(err)
			}
		}
		s := m.Stats()
		if refused < 100 || refused > 101 || s.Full != uint64(refused) || s.Names > maxNames || s.Tags > maxNames || s.States != tries-refused {
			t.Errorf("%s: %d refused, %+v", tc.what, refused, s)
		}
		// What was refused has left nothing behind, and what is known is still welcome.
		st := memState(1)
		tc.set(st, 1)
		st.ID, st.Wire.Port[1] = 1, 1
		st.Stack = st.Wire
		mustInsert(t, m, memStart, st)
		for i := range tries {
			m.Delete(memState(i).StateID)
		}
		m.Delete(st.StateID)
		if s := m.Stats(); s.States != 0 || s.Names != 0 || s.Tags != 0 {
			t.Errorf("%s: after all are gone: %+v", tc.what, s)
		}
		mustInsert(t, m, memStart, st)
	}
}

func TestMemoryConfig(t *testing.T) {
	for _, tc := range []struct {
		c    MemoryConfig
		want string // in the error; empty: none
	}{
		{MemoryConfig{}, ""},
		{MemoryConfig{Limit: MaxStates}, ""},
		{MemoryConfig{Limit: MaxStates + 1}, "limit of 16777215 states"},
		{MemoryConfig{Limit: -1}, "limit of -1 states"},
		{MemoryConfig{AdaptiveStart: 60000, AdaptiveEnd: 120000}, ""},
		{MemoryConfig{AdaptiveEnd: 1}, ""},
		{MemoryConfig{AdaptiveStart: 5}, "adaptive.start 5 and adaptive.end 0"},
		{MemoryConfig{AdaptiveStart: 5, AdaptiveEnd: 5}, "adaptive.start 5 and adaptive.end 5"},
		{MemoryConfig{AdaptiveStart: -1, AdaptiveEnd: 5}, "adaptive.start -1"},
		{MemoryConfig{Timeouts: Timeouts{UDPFirst: 0, TCPEstab: math.MaxInt32 * time.Second}}, ""},
		{MemoryConfig{Timeouts: Timeouts{UDPFirst: -1}}, "timeout udp.first -1ns"},
		{MemoryConfig{Timeouts: Timeouts{UDPFirst: math.MaxInt64}}, "timeout udp.first 2562047h"},
		{MemoryConfig{Timeouts: Timeouts{SCTPFirst: time.Second}}, "timeout sctp.first: there is none for openbsd"},
		{MemoryConfig{Dialect: FreeBSD14, Timeouts: Timeouts{SCTPFirst: time.Second}}, ""},
		{MemoryConfig{Dialect: 9}, "Dialect(9) is not a dialect"},
	} {
		m, err := NewMemory(tc.c)
		switch {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%+v: %v, want %q", tc.c, err, tc.want)
		case (m == nil) != (err != nil):
			t.Errorf("%+v: %v and %v", tc.c, m, err)
		}
	}
	all := MemoryConfig{Limit: -1, AdaptiveStart: -1, Dialect: 9, Timeouts: Timeouts{99: -1}}
	if lines := strings.Split(all.Validate().Error(), "\n"); len(lines) != 5 {
		t.Errorf("%d problems, want 5: %q", len(lines), lines)
	}
	if got := newMemory(t, MemoryConfig{}).Stats().Limit; got != DefaultStates {
		t.Errorf("the limit is %d by default", got)
	}
}
