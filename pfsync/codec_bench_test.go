package pfsync_test

import (
	"fmt"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// BenchmarkCodec is frames of 9000 octets full of states, read and written, and
// beside them the same octets just copied.
func BenchmarkCodec(b *testing.B) {
	for _, at := range layouts {
		st := someState(1)
		w := pfsync.NewWriter(at.dialect, at.format, 9000)
		states := 0
		for w.Ins(&st) {
			states++
		}
		frame := append([]byte(nil), w.Bytes()...)
		buf := make([]byte, 0, 9000)
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("%s/%d", name, at.format), func(b *testing.B) {
				b.SetBytes(int64(len(frame)))
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(states)*float64(b.N)/b.Elapsed().Seconds(), "states/s")
			})
		}
		run("decode", func() {
			f, err := pfsync.Parse(at.dialect, frame)
			if err != nil {
				b.Fatal(err)
			}
			for s := range f.Sections() {
				for msg := range s.Messages() {
					if err := st.Unmarshal(s.Format, msg); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		run("encode", func() {
			w.Reset(buf)
			for w.Ins(&st) {
			}
			buf = w.Bytes()
		})
		run("memcpy", func() { buf = append(buf[:0], frame...) })
	}
}

// BenchmarkUpdC is the message that there are most of.
func BenchmarkUpdC(b *testing.B) {
	w := pfsync.NewWriter(pfsync.OpenBSD, 0, 1500)
	var m pfsync.UpdC
	for w.UpdC(&m) {
	}
	frame := append([]byte(nil), w.Bytes()...)
	buf := make([]byte, 0, 1500)
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			f, _ := pfsync.Parse(pfsync.OpenBSD, frame)
			for s := range f.Sections() {
				for msg := range s.Messages() {
					if err := m.UnmarshalBinary(msg); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			w.Reset(buf)
			for w.UpdC(&m) {
			}
			buf = w.Bytes()
		}
	})
	b.Run("memcpy", func(b *testing.B) {
		for b.Loop() {
			buf = append(buf[:0], frame...)
		}
	})
}
