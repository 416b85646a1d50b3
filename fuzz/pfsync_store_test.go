package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzPfsyncStore plays operations on a table in memory and on a model of it, a plain
// map that does what the documentation says in the plainest way.
func FuzzPfsyncStore(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(uint8(seed%4), storeProgram(seed, 4000))
	}
	f.Fuzz(playStore)
}

// TestPfsyncStoreModel is the same for long programs, of seeds that are new each time.
func TestPfsyncStoreModel(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%#x", seed), func(t *testing.T) { playStore(t, uint8(seed), storeProgram(seed, 20000)) })
	}
}

func storeProgram(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func playStore(t *testing.T, dialect uint8, program []byte) {
	in := tape(program)
	r := newStoreRun(t, pfsync.Dialect(dialect%4), &in)
	for !in.done() {
		r.step(&in)
	}
	r.check()
}

// A storeRun is a table, what should be in it, and a scan that is under way.
type storeRun struct {
	t    *testing.T
	cfg  pfsync.MemoryConfig
	m    *pfsync.Memory
	now  time.Time
	want map[pfsync.StateID]*modelState
	born int // states ever made

	cursor pfsync.Cursor
	stayed map[int]pfsync.StateID // there since the scan began, by the number of their birth
	seen   map[pfsync.StateID]int
}

type modelState struct {
	st                       pfsync.State // Creation and Expire do not count
	created, active, changed time.Time
	birth                    int
}

func newStoreRun(t *testing.T, d pfsync.Dialect, in *tape) *storeRun {
	c := pfsync.MemoryConfig{Dialect: d, Limit: 1 + int(in.u8())}
	if in.bit() {
		c.AdaptiveStart, c.AdaptiveEnd = int(in.u8()%64), 64+int(in.u8()%64)
	}
	if in.bit() {
		c.Timeouts = pfsync.Timeouts{pfsync.UDPFirst: time.Duration(in.u8()) * time.Second / 4, pfsync.TCPFirst: 0}
	}
	m, err := pfsync.NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &storeRun{t: t, cfg: c, m: m, now: start, want: make(map[pfsync.StateID]*modelState)}
	r.restart()
	return r
}

func (r *storeRun) step(in *tape) {
	if pause := in.u8(); pause < 64 {
		r.now = r.now.Add(time.Duration(pause) * 20 * time.Millisecond)
	}
	switch in.u8() % 32 {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13:
		r.insert(in)
	case 14, 15, 16, 17, 18, 19:
		r.update(in)
	case 20, 21, 22:
		id := storeID(in)
		_, want := r.want[id]
		delete(r.want, id)
		if got := r.m.Delete(id); got != want {
			r.t.Fatalf("Delete(%v): %v", id, got)
		}
	case 23, 24:
		r.get(storeID(in))
	case 25:
		r.expire()
	case 26:
		r.clear(in)
	case 27:
		r.check()
	default:
		r.scan(1 + int(in.u8()%8))
	}
	if r.m.Len() != len(r.want) {
		r.t.Fatalf("%d states, want %d", r.m.Len(), len(r.want))
	}
}

// storeIDs are those of one bucket, which an attacker would choose, and some others.
var storeIDs = func() (ids [256]pfsync.StateID) {
	var id pfsync.StateID
	for i := range ids {
		id = pfsync.StateID{ID: id.ID + 1, CreatorID: uint32(i % 3)}
		for i >= 64 && id.Bucket() != 7 {
			id.ID++
		}
		ids[i] = id
	}
	return ids
}()

func storeID(in *tape) pfsync.StateID { return storeIDs[in.u8()] }

// storeState is one of rather few, so that they get in each other's way.
func storeState(in *tape) *pfsync.State {
	key := func() (k pfsync.Key) {
		k.AF, k.Proto, k.RDomain = pfsync.AFInet, 6, uint16(in.u8()/250)
		k.Port[0] = uint16(in.u8())
		switch in.u8() % 16 {
		case 0:
			k.AF = pfsync.AFInet6
		case 1:
			k.Proto = 17
		}
		return k
	}
	st := &pfsync.State{StateID: storeID(in), IfName: storeName(in), Direction: pfsync.Direction(in.u8() % 3), Wire: key()}
	if st.Stack = st.Wire; in.u8()%4 == 0 {
		st.Stack = key()
	}
	st.Src, st.Dst = storePeer(in), storePeer(in)
	st.Timeout = pfsync.Timeout(in.u8() % 32)
	st.Creation, st.Expire = uint32(in.u8()), uint32(in.u8()%128)
	if in.bit() {
		st.Bytes[0], st.Rule, st.Flags, st.SetPrio[1] = in.u64(), uint32(in.i32()), pfsync.StateFlags(in.i16()), in.u8()
		st.RtIfName, st.OrigIfName, st.Tag[0] = storeName(in), storeName(in), in.u8()%4
	}
	return st
}

func storePeer(in *tape) pfsync.Peer {
	state := pfsync.PeerState(in.u8() % 32)
	if state > pfsync.TCPProxyDst {
		state = pfsync.TCPTimeWait
	}
	return pfsync.Peer{State: state, SeqLo: uint32(in.u8()), Scrub: pfsync.Scrub{TTL: in.u8() % 2}}
}

func storeName(in *tape) (n pfsync.Name) {
	copy(n[:], [...]string{"all", "em0", "em0\x00x", "\x00", "em", "sixteen octets--"}[min(in.u8()/16, 5)])
	return n
}

// bare is a name without what stands behind its end.
func bare(n pfsync.Name) string {
	s, _, _ := bytes.Cut(n[:], []byte{0})
	return string(s)
}

func (r *storeRun) life(class pfsync.Timeout) time.Duration {
	if life, ok := r.cfg.Timeouts[class]; ok {
		return life
	}
	return r.cfg.Dialect.Timeouts()[class]
}

// scaled is how long a class lives with n states.
func (r *storeRun) scaled(class pfsync.Timeout, n int) time.Duration {
	life, from, to := r.life(class), r.cfg.AdaptiveStart, r.cfg.AdaptiveEnd
	if to == 0 || n <= from {
		return life
	}
	return life / time.Second * time.Duration(max(to-n, 0)) / time.Duration(to-from) * time.Second
}

// export is s as it should come out.
func (r *storeRun) export(s *modelState) *pfsync.State {
	st := s.st
	st.Creation = uint32(r.now.Sub(s.created) / time.Second)
	left := s.active.Add(r.scaled(st.Timeout, len(r.want))).Sub(r.now)
	st.Expire = uint32(max((left+time.Second-1)/time.Second, 0))
	return &st
}

func (r *storeRun) same(what string, s *modelState, got *pfsync.State) {
	if want := r.export(s); *got != *want {
		r.t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

// collide is pf_state_key_attach for all keys of two states.
func (r *storeRun) collide(a, b *pfsync.State) bool {
	if bare(a.IfName) != bare(b.IfName) {
		return false
	}
	inside := func(k pfsync.Key) bool { return (k.AF == b.Wire.AF) == (a.Direction == b.Direction) }
	wire, stack := a.Wire == b.Wire && inside(a.Wire), a.Stack == b.Stack && inside(a.Stack)
	if r.cfg.Dialect == pfsync.OpenBSD {
		return wire || stack || a.Wire == b.Stack && inside(a.Wire) || a.Stack == b.Wire && inside(a.Stack)
	}
	return wire || stack
}

func (r *storeRun) insert(in *tape) {
	st := storeState(in)
	_, taken := r.want[st.StateID]
	var over []pfsync.StateID
	for id, s := range r.want {
		if r.collide(st, &s.st) {
			over = append(over, id)
			taken = taken || s.st.Wire.Proto != 6 || min(s.st.Src.State, s.st.Dst.State) < pfsync.TCPFinWait2
		}
	}
	var want error
	switch {
	case taken:
		want = pfsync.ErrExists
	case len(over) == 0 && len(r.want) == r.cfg.Limit:
		want = pfsync.ErrFull
	}
	if err := r.m.Insert(r.now, st, nil); !errors.Is(err, want) || (err == nil) != (want == nil) {
		r.t.Fatalf("Insert: %v, want %v", err, want)
	}
	if want != nil {
		return
	}
	for _, id := range over {
		delete(r.want, id)
	}
	life := r.life(st.Timeout)
	left := time.Duration(st.Expire) * time.Second
	if left == 0 || left > life {
		left = life
	}
	r.born++
	r.want[st.StateID] = &modelState{
		st: *st, birth: r.born, changed: r.now,
		created: r.now.Add(-time.Duration(st.Creation) * time.Second), active: steps(r.now.Add(left - life)),
	}
}

// steps are the 20 ms in which a table keeps times. All else that happens here does so
// on one of them: a time-out need not be whole seconds, and this is where it matters.
func steps(t time.Time) time.Time {
	const step = 20 * time.Millisecond
	d := t.Sub(start)
	return start.Add(d - (d%step+step)%step)
}

func (r *storeRun) update(in *tape) {
	id, src, dst, class, keep := storeID(in), storePeer(in), storePeer(in), pfsync.Timeout(in.u8()%32), pfsync.Keep(in.u8()%3)
	packets := [2]uint64{uint64(class)}
	s, known := r.want[id]
	if got := r.m.Update(r.now, id, func(st *pfsync.State) pfsync.Keep {
		if !known {
			r.t.Fatalf("Update of %v, which is not there", id)
		}
		r.same("Update", s, st)
		*st = pfsync.State{Src: src, Dst: dst, Timeout: class, Packets: packets}
		return keep
	}); got != known {
		r.t.Fatalf("Update(%v): %v", id, got)
	}
	if !known || keep == pfsync.KeepNothing {
		return
	}
	s.st.Src, s.st.Dst, s.changed = src, dst, r.now
	if keep == pfsync.KeepAll {
		s.st.Timeout, s.st.Packets, s.st.Bytes, s.active = class, packets, [2]uint64{}, r.now
	}
}

func (r *storeRun) get(id pfsync.StateID) {
	var st pfsync.State
	s, want := r.want[id]
	if got := r.m.Get(r.now, id, &st); got != want {
		r.t.Fatalf("Get(%v): %v", id, got)
	}
	if !want {
		return
	}
	r.same("Get", s, &st)
}

// expire does not know in which order states go, which matters if they live the
// longer the fewer there are. What goes must be due with as many as there were,
// what stays must not be due with as many as are left.
func (r *storeRun) expire() {
	before := len(r.want)
	due := func(s *modelState, n int) bool { return r.now.Sub(s.active) >= r.scaled(s.st.Timeout, n) }
	n := r.m.Expire(r.now, func(id pfsync.StateID) {
		if s := r.want[id]; s == nil || !due(s, before) {
			r.t.Fatalf("%v expires: %+v", id, s)
		}
		delete(r.want, id)
	})
	if n != before-len(r.want) {
		r.t.Fatalf("%d expire, %d are reported", n, before-len(r.want))
	}
	for id, s := range r.want {
		if due(s, len(r.want)) {
			r.t.Fatalf("%v does not expire: %+v", id, s)
		}
	}
}

func (r *storeRun) clear(in *tape) {
	creator, ifname := uint32(in.u8()%12), storeName(in)
	want := make(map[pfsync.StateID]bool)
	for id, s := range r.want {
		if id.CreatorID == creator && (bare(ifname) == "" || bare(ifname) == bare(s.st.IfName)) {
			want[id] = true
			delete(r.want, id)
		}
	}
	got := make(map[pfsync.StateID]bool)
	if n := r.m.Clear(creator, ifname, func(id pfsync.StateID) { got[id] = true }); n != len(want) || !maps.Equal(got, want) {
		r.t.Fatalf("Clear(%d, %q): %d, %v; want %v", creator, ifname, n, got, want)
	}
}

// scan goes on with the scan and judges it if that was the end.
func (r *storeRun) scan(size int) {
	buf := make([]pfsync.State, size)
	n, next := r.m.Scan(r.now, r.cursor, buf)
	for i := range buf[:n] {
		id := buf[i].StateID
		s := r.want[id]
		if s == nil {
			r.t.Fatalf("Scan finds %v", id)
		}
		r.same("Scan", s, &buf[i])
		r.seen[id]++
	}
	if r.cursor = next; next == 0 {
		for birth, id := range r.stayed {
			if s := r.want[id]; s != nil && s.birth == birth && r.seen[id] != 1 {
				r.t.Fatalf("%v stays and is seen %d times", id, r.seen[id])
			}
		}
		r.restart()
	}
}

// restart begins a new scan.
func (r *storeRun) restart() {
	r.stayed, r.seen = make(map[int]pfsync.StateID), make(map[pfsync.StateID]int)
	for id, s := range r.want {
		r.stayed[s.birth] = id
	}
}

// check compares all there is, and the digests.
func (r *storeRun) check() {
	found := make(map[pfsync.StateID]bool)
	for st := range r.m.States(r.now) {
		s := r.want[st.StateID]
		if s == nil || found[st.StateID] {
			r.t.Fatalf("States has %v", st.StateID)
		}
		r.same("States", s, st)
		found[st.StateID] = true
	}
	var buckets, sums [pfsync.DigestBuckets]uint64
	for id, s := range r.want {
		sums[id.Bucket()] ^= s.st.Digest()
		reported := 0
		r.m.Bucket(r.now, id.Bucket(), func(other pfsync.StateID, digest uint64, idle time.Duration) {
			if other == id && digest == s.st.Digest() && idle == r.now.Sub(s.changed) {
				reported++
			}
		})
		if reported != 1 {
			r.t.Fatalf("%v is reported %d times by its bucket", id, reported)
		}
	}
	if len(found) != len(r.want) {
		r.t.Fatalf("States has %d of %d", len(found), len(r.want))
	}
	if r.m.Digest(&buckets); buckets != sums {
		r.t.Fatal("the digests are not those of the states")
	}
	if s := r.m.Stats(); s.States != len(found) || s.Inserted-s.Deleted-s.Cleared-s.Expired-s.Replaced != uint64(len(found)) {
		r.t.Fatalf("the books do not balance: %+v", s)
	}
}
