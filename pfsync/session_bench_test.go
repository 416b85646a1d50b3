package pfsync_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A busy is a session on a table of so many states of its own and as many of a
// peer's, and what is needed to keep it busy.
type busy struct {
	s     *pfsync.Session
	store *pfsync.Memory
	now   time.Time
	n, i  int
}

var bothDialects = []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15}

func newBusy(tb testing.TB, d pfsync.Dialect, n int) *busy {
	tb.Helper()
	store, err := pfsync.NewMemory(pfsync.MemoryConfig{Dialect: d, Limit: 2*n + 1<<16})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := pfsync.NewSession(pfsync.Config{Dialect: d, HostID: scriptUs}, store)
	if err != nil {
		tb.Fatal(err)
	}
	b := &busy{s: s, store: store, now: time.Unix(1700000000, 0), n: n}
	for i := range n {
		for _, creator := range []uint32{scriptUs, scriptThem} {
			st := testState(pfsync.StateID{ID: uint64(i), CreatorID: creator})
			if err := store.Insert(b.now, &st, nil); err != nil {
				tb.Fatal(err)
			}
		}
	}
	s.Step(b.now, pfsync.Event{Kind: pfsync.EventLinkUp})
	s.Step(b.now, pfsync.Event{Kind: pfsync.EventUp})
	return b
}

// step lets 10 us pass before an event.
func (b *busy) step(ev pfsync.Event) {
	b.now = b.now.Add(10 * time.Microsecond)
	b.s.Step(b.now, ev)
}

// next is the number of another state, far from the last one.
func (b *busy) next() uint64 {
	b.i = (b.i + 7919) % b.n
	return uint64(b.i)
}

// frames are n frames of a peer's, full of what fill writes.
func (b *busy) frames(d pfsync.Dialect, n int, fill func(w *pfsync.Writer) bool) [][]byte {
	var frames [][]byte
	w := pfsync.NewWriter(d, 0, 1500)
	for range n {
		w.Reset(nil)
		for fill(w) {
		}
		frames = append(frames, bytes.Clone(w.Bytes()))
	}
	return frames
}

// localUpdate is an update of a state of ours, which may fill a frame.
func (b *busy) localUpdate() {
	b.step(pfsync.Event{Kind: pfsync.EventUpdate, ID: pfsync.StateID{ID: b.next(), CreatorID: scriptUs}, Proto: 6})
}

// remoteUpdates are frames of UPD_C, for use one after the other: they get newer
// with each round.
func (b *busy) remoteUpdates(d pfsync.Dialect, n int) [][]byte {
	return b.frames(d, n, func(w *pfsync.Writer) bool {
		st := testState(pfsync.StateID{ID: b.next(), CreatorID: scriptThem})
		return w.UpdC(&pfsync.UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
	})
}

// remoteInserts are frames that bring states, and others that take them away.
func (b *busy) remoteInserts(d pfsync.Dialect, n int) (ins, del [][]byte) {
	id := uint64(1 << 23)
	ins = b.frames(d, n, func(w *pfsync.Writer) bool {
		st := testState(pfsync.StateID{ID: id, CreatorID: scriptThem})
		if !w.Ins(&st) {
			return false
		}
		id++
		return true
	})
	per := (id - 1<<23) / uint64(n)
	w := pfsync.NewWriter(d, 0, 1500)
	for i := range ins {
		w.Reset(nil)
		for j := range per {
			w.DelC(pfsync.StateID{ID: 1<<23 + uint64(i)*per + j, CreatorID: scriptThem})
		}
		del = append(del, bytes.Clone(w.Bytes()))
	}
	return ins, del
}

func (b *busy) receive(frame []byte) {
	b.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: frame, TTL: 255}})
}

// TestSessionAllocs: what happens often does not allocate once it has happened.
func TestSessionAllocs(t *testing.T) {
	for _, d := range bothDialects {
		b := newBusy(t, d, 1000)
		updates := b.remoteUpdates(d, 64)
		ins, del := b.remoteInserts(d, 64)
		ours := testState(pfsync.StateID{ID: 1 << 20, CreatorID: scriptUs})
		i := 0
		round := func(f func(i int)) func() {
			return func() { f(i % 64); i++ }
		}
		for _, c := range []struct {
			name string
			f    func()
		}{
			{"local update", round(func(int) { b.localUpdate() })},
			{"local insert and delete", round(func(int) {
				b.store.Insert(b.now, &ours, nil)
				b.step(pfsync.Event{Kind: pfsync.EventInsert, State: &ours})
				b.step(pfsync.Event{Kind: pfsync.EventUpdate, ID: ours.StateID})
				b.store.Delete(ours.StateID)
				b.step(pfsync.Event{Kind: pfsync.EventDelete, ID: ours.StateID})
			})},
			{"remote UPD_C", round(func(i int) { b.receive(updates[i]) })},
			{"remote INS and DEL_C", round(func(i int) { b.receive(ins[i]); b.receive(del[i]) })},
			{"timer", round(func(int) { b.now = b.now.Add(time.Second); b.step(pfsync.Event{}) })},
		} {
			for range 3000 {
				c.f() // until everything has its size
			}
			if n := testing.AllocsPerRun(1000, c.f); n != 0 {
				t.Errorf("%v, %s: %v allocations", d, c.name, n)
			}
		}
	}
}

// TestBulkAllocs: neither does a bulk answer.
func TestBulkAllocs(t *testing.T) {
	for _, d := range bothDialects {
		b := newBusy(t, d, 1000)
		b.receive(b.frames(d, 1, func(w *pfsync.Writer) bool { return w.Empty() && w.UpdReq(pfsync.StateID{}) })[0])
		if n := testing.AllocsPerRun(200, func() { b.now = b.now.Add(20 * time.Millisecond); b.step(pfsync.Event{}) }); n != 0 {
			t.Errorf("%v: %v allocations for a frame", d, n)
		}
	}
}

var sizes = []int{1 << 10, 1 << 14, 1 << 17, 1 << 20}

func benchmark(b *testing.B, f func(b *testing.B, d pfsync.Dialect, w *busy)) {
	for _, d := range bothDialects {
		for _, n := range sizes {
			b.Run(fmt.Sprint(d, "/", n), func(b *testing.B) {
				w := newBusy(b, d, n)
				b.ReportAllocs()
				f(b, d, w)
			})
		}
	}
}

// BenchmarkLocalUpdate is an update of another state each time, the frames included.
func BenchmarkLocalUpdate(b *testing.B) {
	benchmark(b, func(b *testing.B, _ pfsync.Dialect, w *busy) {
		for b.Loop() {
			w.localUpdate()
		}
	})
}

// BenchmarkRemoteUpdate is a frame with 17 UPD_C.
func BenchmarkRemoteUpdate(b *testing.B) {
	benchmark(b, func(b *testing.B, d pfsync.Dialect, w *busy) {
		frames := w.remoteUpdates(d, 4096)
		for i := 0; b.Loop(); i++ {
			w.receive(frames[i%len(frames)])
		}
	})
}

// BenchmarkRemoteInsert is a frame full of INS, and one that removes them again.
func BenchmarkRemoteInsert(b *testing.B) {
	benchmark(b, func(b *testing.B, d pfsync.Dialect, w *busy) {
		ins, del := w.remoteInserts(d, 4096)
		for i := 0; b.Loop(); i++ {
			w.receive(ins[i%len(ins)])
			w.receive(del[i%len(del)])
		}
	})
}

// BenchmarkBulk is a frame of a bulk answer.
func BenchmarkBulk(b *testing.B) {
	benchmark(b, func(b *testing.B, d pfsync.Dialect, w *busy) {
		all := w.frames(d, 1, func(w *pfsync.Writer) bool { return w.Empty() && w.UpdReq(pfsync.StateID{}) })[0]
		for b.Loop() {
			w.now = w.now.Add(20 * time.Millisecond)
			w.receive(all)
		}
	})
}
