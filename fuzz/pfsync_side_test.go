package fuzz

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzPfsyncSide feeds datagrams of a peer that was met to a converger: it does not
// panic, and what one makes it say and do is bounded.
func FuzzPfsyncSide(f *testing.F) {
	peer := netip.MustParseAddr("192.0.2.2")
	hello := []byte("gcps\x01\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01")
	f.Add(byte(1), hello[20:])
	f.Add(byte(2), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(byte(5), make([]byte, 520))
	f.Add(byte(6), make([]byte, 520))
	f.Add(byte(7), append(make([]byte, 20), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"...))
	f.Add(byte(8), make([]byte, 24))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) > pfsync.SideMTU {
			return
		}
		table, err := pfsync.NewMemory(pfsync.MemoryConfig{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1e9, 0)
		if err := table.Insert(now, &pfsync.State{StateID: pfsync.StateID{ID: 1, CreatorID: 1}}, nil); err != nil {
			t.Fatal(err)
		}
		v := pfsync.NewConverger(pfsync.ConvergeConfig{HostID: 1, Epoch: 1, Peers: []netip.Addr{peer}}, table)
		if _, err := v.Message(now, peer, hello); err != nil {
			t.Fatal(err)
		}
		b := append([]byte(nil), hello[:20]...)
		b[5] = kind
		for range 2 {
			now = now.Add(time.Second)
			out, _ := v.Message(now, peer, append(b, body...))
			check := func(out pfsync.ConvergeOutput) {
				if len(out.Messages) > 100 || len(out.Resend) > 1<<17 {
					t.Errorf("%d messages, %d states to send again", len(out.Messages), len(out.Resend))
				}
				for _, m := range out.Messages {
					if len(m.Data) > pfsync.SideMTU || m.Dst != peer {
						t.Errorf("%d octets to %v", len(m.Data), m.Dst)
					}
				}
			}
			check(out)
			check(v.Timer(now.Add(100 * time.Millisecond)))
		}
	})
}
