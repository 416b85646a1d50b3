package conntrack

import (
	"runtime"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

func newBenchTable(tb testing.TB) *Table {
	t, err := newMirror(TableConfig{HostID: us, Memory: pfsync.MemoryConfig{Limit: 1 << 21}}, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	t.Adopted()
	return t
}

// BenchmarkChanged is an event of a connection: one that is new, and one that is known.
func BenchmarkChanged(b *testing.B) {
	const n = 100_000
	all := many(n, true)
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		now := time.Now()
		var t *Table
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				b.StopTimer()
				t = newBenchTable(b)
				runtime.GC()
				b.StartTimer()
			}
			t.changed(now, &all[i%n])
			if i%tellAt == 0 {
				t.tell()
			}
		}
	})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		now, t := time.Now(), newBenchTable(b)
		for i := range all {
			t.changed(now, &all[i])
		}
		t.tell()
		for i := 0; b.Loop(); i++ {
			t.changed(now, &all[i%n])
		}
	})
}

// BenchmarkTableInsert is a state that a peer has made, and its way to the writer.
func BenchmarkTableInsert(b *testing.B) {
	const n = 50_000
	all := many(n, true)
	states := make([]pfsync.State, 0, 2*n)
	for i := range all {
		var in, out pfsync.State
		if err := (Mapping{}).Export(&all[i], 0, &in, &out); err != nil {
			b.Fatal(err)
		}
		in.StateID = pfsync.StateID{ID: uint64(2*i + 1), CreatorID: 0xb2}
		out.StateID = pfsync.StateID{ID: uint64(2*i + 2), CreatorID: 0xb2}
		states = append(states, in, out)
	}
	b.ReportAllocs()
	now := time.Now()
	var t *Table
	var w batch
	for i := 0; b.Loop(); i++ {
		if i%len(states) == 0 {
			b.StopTimer()
			t = newBenchTable(b)
			runtime.GC()
			b.StartTimer()
		}
		if err := t.Insert(now, &states[i%len(states)], nil); err != nil {
			b.Fatal(err)
		}
		if i%maxBatch == 0 {
			for t.take(now, &w) {
			}
		}
	}
}

// BenchmarkIdleRound is a round over 100 000 connections of TCP in which nobody asks the
// kernel.
func BenchmarkIdleRound(b *testing.B) {
	const n = 100_000
	now, t := time.Now(), newBenchTable(b)
	for _, e := range many(n, true) {
		t.changed(now, &e)
	}
	t.tell()
	for range wholeRounds {
		t.round()
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, proto := range t.round() {
			t.beginDump(proto)
		}
		t.keep(now)
	}
}

// TestTableMemory holds what a connection takes beside its two states.
func TestTableMemory(t *testing.T) {
	const n = 50_000
	all := many(n, true)
	now := time.Now()
	before := heap()
	table := newBenchTable(t)
	for i := range all {
		table.changed(now, &all[i])
		if i%tellAt == 0 {
			table.tell()
		}
	}
	table.tell()
	whole := (heap() - before) / n

	before = heap()
	memory, err := pfsync.NewMemory(table.cfg.Memory)
	if err != nil {
		t.Fatal(err)
	}
	var states [2]pfsync.State
	for i := range all {
		if err := table.mapping.Export(&all[i], 0, &states[0], &states[1]); err != nil {
			t.Fatal(err)
		}
		for j := range states {
			states[j].ID = uint64(2*i + j)
			if err := memory.Insert(now, &states[j], nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	two := (heap() - before) / n
	runtime.KeepAlive(memory)
	runtime.KeepAlive(table)
	runtime.KeepAlive(all)
	t.Logf("a connection of IPv4: %d octets, of which %d are its states", whole, two)
	if whole > two+72 { // the buffers of an empty table are some 3 of them
		t.Errorf("%d octets beside the states", whole-two)
	}
}
