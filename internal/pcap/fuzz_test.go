package pcap

import (
	"bytes"
	"testing"
)

// FuzzReader wants no panic, bounded packets, and that what was read can be
// written and read again.
func FuzzReader(f *testing.F) {
	f.Add(classicFile(le, magicMicro, LinkEthernet, "one", "two"))
	f.Add(classicFile(be, magicNano, LinkRaw, "one"))
	f.Add(ngFile())
	f.Add(append(sectionBlock(be), interfaceBlock(be, LinkLoop, 1, option(be, optResol, "\x93"))...))
	f.Fuzz(func(t *testing.T, file []byte) {
		packets, _ := readAll(t, bytes.NewReader(file))
		for i, p := range packets {
			if len(p.Data) > MaxPacket || len(p.Data) > len(file) {
				t.Fatalf("packet %d has %d octets, the file %d", i, len(p.Data), len(file))
			}
			var copied bytes.Buffer
			w, err := NewWriter(&copied, p.Link)
			if err != nil {
				t.Fatal(err)
			}
			if w.Write(Packet{p.Time, p.Link, []byte(p.Data), p.Length}) != nil {
				continue // stamped beyond 32 bits
			}
			again, err := readAll(t, &copied)
			if err != nil || len(again) != 1 || again[0].Data != p.Data || again[0].Link != p.Link ||
				!p.Time.IsZero() && !again[0].Time.Equal(p.Time) {
				t.Fatalf("%+v was written and read as %+v, %v", p, again, err)
			}
		}
	})
}
