package conntrack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// many are established sessions, translated if asked for, no two the same.
func many(n int, translated bool) []Entry {
	all := make([]Entry, n)
	for i := range all {
		e := tcp4(uint16(1024 + i%50000))
		e.Orig.Src = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i/50000)})
		e.Reply = e.Orig.Inverse()
		if translated {
			e.Reply.Dst = netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i/50000)})
		}
		all[i] = e
	}
	return all
}

func BenchmarkDecode(b *testing.B) {
	want := snat4(1)
	msg := fromKernel(&want)
	var e Entry
	b.ReportAllocs()
	for b.Loop() {
		if err := e.UnmarshalBinary(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	plain, translated := tcp4(1), snat4(1)
	for name, fn := range map[string]func([]byte) ([]byte, error){
		"create":      func(b []byte) ([]byte, error) { return AppendCreate(b, 1, &plain) },
		"create SNAT": func(b []byte) ([]byte, error) { return AppendCreate(b, 1, &translated) },
		"update":      func(b []byte) ([]byte, error) { return AppendUpdate(b, 1, &plain) },
		"delete":      func(b []byte) ([]byte, error) { return AppendDelete(b, 1, &plain) },
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := fn(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const benchEntries = 100_000

// BenchmarkDump lists a table of 100 000 entries, and in turn has the kernel list
// it without reading the entries.
func BenchmarkDump(b *testing.B) {
	tb := aTable(b)
	tb.put(many(benchEntries, true)...)
	n := 0
	count := func(*Entry) error { n++; return nil }
	var bareTime, times []float64
	b.ReportAllocs()
	for b.Loop() {
		bareTime = append(bareTime, cpuSeconds(b, func() {
			d := tb.dumper
			d.seq++
			d.request(familyUnspec)
			d.ended = false
			if err := errors.Join(d.s.send(d.req), d.finish()); err != nil {
				b.Fatal(err)
			}
		}))
		times = append(times, cpuSeconds(b, func() {
			n = 0
			if err := tb.dumper.Dump(b.Context(), count); err != nil || n != benchEntries {
				b.Fatal(n, err)
			}
		}))
	}
	b.ReportMetric(rate(bareTime), "bare/cpu-s")
	b.ReportMetric(rate(times), "entries/cpu-s")
	b.ReportMetric(rate(times)/rate(bareTime), "entries/bare")
}

// BenchmarkListen reads 100 000 events that are waiting, and in turn has as many read one
// by one, without looking at them.
func BenchmarkListen(b *testing.B) {
	tb := aTable(b)
	entries := many(benchEntries, true)
	queued := func() *Listener {
		l := listen(b, tb, ListenConfig{ReadBuffer: 128 << 20})
		tb.put(entries...)
		return l
	}
	var bareTime, times []float64
	for b.Loop() {
		b.StopTimer()
		l := queued()
		buf := make([]byte, room)
		bareTime = append(bareTime, cpuSeconds(b, func() {
			for range benchEntries {
				if _, err := l.s.receive(buf); err != nil {
					b.Fatal(err)
				}
			}
		}))
		l.Close()
		tb.clear()
		l = queued()
		b.StartTimer()
		times = append(times, cpuSeconds(b, func() {
			for n := 0; n < benchEntries; {
				if err := l.Read(func(*Event) { n++ }); err != nil {
					b.Fatal(err)
				}
			}
		}))
		b.StopTimer()
		l.Close()
		tb.clear()
		b.StartTimer()
	}
	b.ReportMetric(rate(bareTime), "bare/cpu-s")
	b.ReportMetric(rate(times), "events/cpu-s")
	b.ReportMetric(rate(times)/rate(bareTime), "events/bare")
}

// A bareWriter is the least one can do: it sends messages that were made
// beforehand, 256 at a time, and waits for the last one to be acknowledged.
type bareWriter struct {
	s       *socket
	batches [][]byte
}

func newBareWriter(b *testing.B, tb *table, entries []Entry) *bareWriter {
	w := &bareWriter{s: opened(b, tb.ns, func() (*socket, error) { return openSocket(answerBuffer) })}
	b.Cleanup(func() { w.s.close() })
	for batch := range slices.Chunk(entries, maxBatch) {
		var msg []byte
		var err error
		last := 0
		for i := range batch {
			last = len(msg)
			if msg, err = AppendCreate(msg, uint32(i), &batch[i]); err != nil {
				b.Fatal(err)
			}
		}
		msg[last+6] |= flagAck
		w.batches = append(w.batches, msg)
	}
	return w
}

func (w *bareWriter) run(b *testing.B) {
	var buf [4096]byte
	for _, msg := range w.batches {
		if err := w.s.send(msg); err != nil {
			b.Fatal(err)
		}
		n, err := w.s.receive(buf[:])
		if err != nil || n < 20 || binary.NativeEndian.Uint32(buf[16:]) != 0 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkInject fills the table with 100 000 entries by the bareWriter and by
// the Writer in turn.
func BenchmarkInject(b *testing.B) {
	for name, translated := range map[string]bool{"plain": false, "SNAT": true} {
		b.Run(name, func(b *testing.B) {
			tb := aTable(b)
			entries := many(benchEntries, translated)
			bare := newBareWriter(b, tb, entries)
			var bareTime, createTime, updateTime []float64
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				tb.clear()
				bareTime = append(bareTime, cpuSeconds(b, func() { bare.run(b) }))
				tb.clear()
				b.StartTimer()
				createTime = append(createTime, cpuSeconds(b, func() { tb.put(entries...) }))
				b.StopTimer()
				updateTime = append(updateTime, cpuSeconds(b, func() {
					for i := range entries {
						tb.writer.Update(&entries[i])
					}
					tb.flush()
				}))
				b.StartTimer()
			}
			b.ReportMetric(rate(bareTime), "bare/cpu-s")
			b.ReportMetric(rate(createTime), "create/cpu-s")
			b.ReportMetric(rate(updateTime), "update/cpu-s")
			b.ReportMetric(rate(createTime)/rate(bareTime), "create/bare")
		})
	}
}

// BenchmarkTimerBesideWriter measures how late a timer of 2 ms is in a goroutine
// beside one that fills the table: CARP's adverts must not suffer.
func BenchmarkTimerBesideWriter(b *testing.B) {
	const period = 2 * time.Millisecond
	entries := many(benchEntries, true)
	for name, busy := range map[string]bool{"idle": false, "writing": true} {
		b.Run(name, func(b *testing.B) {
			tb := aTable(b)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for busy {
					for i := range entries {
						select {
						case <-stop:
							return
						default:
							tb.writer.Upsert(&entries[i])
						}
					}
				}
			}()
			var late []time.Duration
			for b.Loop() {
				start := time.Now()
				<-time.After(period)
				late = append(late, time.Since(start)-period)
			}
			close(stop)
			<-stopped
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-us")
		})
	}
}

// rate is the entries per second of the median time.
func rate(times []float64) float64 {
	slices.Sort(times)
	return benchEntries / times[len(times)/2]
}

// cpuSeconds is the processor time that the process takes for fn, in the kernel,
// too. On a machine of our own that is the time that goes by.
func cpuSeconds(b *testing.B, fn func()) float64 {
	b.Helper()
	used := func() float64 {
		var ru unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
			b.Fatal(err)
		}
		return float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9
	}
	before := used()
	fn()
	return used() - before
}
