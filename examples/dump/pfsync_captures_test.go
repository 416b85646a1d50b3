package main

import (
	"encoding/binary"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gocarp/gocarp/internal/pcap"
	"github.com/gocarp/gocarp/pfsync"
)

// payloads are the pfsync packets of a capture without their headers.
func payloads(t *testing.T, path string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, b := range frames(t, path) {
		if binary.BigEndian.Uint16(b[12:]) == 0x0800 && b[23] == 240 {
			all = append(all, b[14+20:14+binary.BigEndian.Uint16(b[16:])])
		}
	}
	return all
}

// forEachCapture runs a test for every capture with pfsync packets.
func forEachCapture(t *testing.T, test func(t *testing.T, path string, payloads [][]byte)) {
	for _, dir := range captureDirs() {
		files := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".pcap" {
				return err
			}
			if all := payloads(t, path); len(all) > 0 {
				files++
				t.Run(e.Name(), func(t *testing.T) { test(t, path, all) })
			}
			return nil
		})
		if err != nil || files == 0 {
			t.Errorf("%s: %d captures, %v", dir, files, err)
		}
	}
}

// TestPfsyncLayout wants every field of every message of real kernels, as read
// with a table of offsets.
func TestPfsyncLayout(t *testing.T) {
	table := readLayout(t)
	forEachCapture(t, func(t *testing.T, path string, all [][]byte) {
		have := only("pfsync", packets(t, "-r", path))
		if len(have) != len(all) {
			t.Fatalf("%d packets, want %d", len(have), len(all))
		}
		for i, p := range have {
			if p.Error != "" {
				continue
			}
			if diff := cmp.Diff(table.sections(t, all[i]), flatten(p.Sections), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("packet %d:\n%s", i+1, diff)
			}
		}
	})
}

// TestPfsyncRandom does the same with octets that no kernel would send, in all
// formats: there is no capture of those of FreeBSD 14 and 15.
func TestPfsyncRandom(t *testing.T) {
	table, rng := readLayout(t), rand.New(rand.NewPCG(1, 2))
	for name, sys := range table.OS {
		for _, a := range sys.Actions {
			size := sys.Structs[a.Message].Size
			if size == 0 {
				continue
			}
			const count = 50
			b := append(make([]byte, 20), a.Number, byte(size/4), 0, count)
			if sys.Version == 5 {
				b[21] = 0
			}
			b[0] = byte(sys.Version)
			for range count {
				b = append(b, randomMessage(rng, size, sys.Structs[a.Message].Flat)...)
			}
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			have := packets(t, "-r", save(t, pcap.LinkRaw, ipv4(240, b)))
			if diff := cmp.Diff(table.sections(t, b), flatten(have[0].Sections)); diff != "" || have[0].Error != "" {
				t.Errorf("%s, %s: error %q\n%s", name, a.Name, have[0].Error, diff)
			}
		}
	}
}

// randomMessage is random but for text, and mostly for address families.
func randomMessage(rng *rand.Rand, size int, leaves []leaf) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for _, f := range leaves {
		switch {
		case strings.HasPrefix(f.Type, "char"):
			for i := range f.Size {
				b[f.Offset+i] = 'a' + byte(rng.IntN(26))
			}
			b[f.Offset+rng.IntN(f.Size)] = 0
		case strings.HasSuffix(f.Name, "af"):
			b[f.Offset] = [...]byte{0, 2, 24, 28, 10, b[f.Offset]}[rng.IntN(6)]
		case f.Name == "rt_addr", strings.HasSuffix(f.Name, "scrub_flag"):
			clear(b[f.Offset:][:f.Size*rng.IntN(2)])
		case f.Type == "sockaddr":
			b[f.Offset+1] = [...]byte{2, 24, 28, 0}[rng.IntN(4)]
		}
	}
	return b
}

// TestPfsyncReencode makes every packet of a real kernel again from what was
// decoded, octet for octet.
func TestPfsyncReencode(t *testing.T) {
	forEachCapture(t, func(t *testing.T, path string, all [][]byte) {
		for i, p := range only("pfsync", packets(t, "-r", path)) {
			if p.Error != "" || madeByHand(path, p) {
				continue
			}
			if diff := cmp.Diff(all[i], reencode(t, all[i])); diff != "" {
				t.Errorf("packet %d:\n%s", i+1, diff)
			}
		}
	})
}

// madeByHand reports whether the makers of a capture sent p, to see what a kernel
// makes of it. They fill padding and repeat sections.
func madeByHand(path string, p jsonPacket) bool {
	return p.Src == "172.16.9.77" || p.Src == "10.3.0.77" || strings.Contains(path, "probe") && p.Src == "10.3.0.2"
}

func reencode(t *testing.T, b []byte) []byte {
	t.Helper()
	d, format := pfsync.OpenBSD, pfsync.FormatOpenBSD
	if b[0] == 5 {
		d, format = pfsync.FreeBSD12, pfsync.Format1301
	}
	f, err := pfsync.Parse(d, b)
	if err != nil {
		t.Fatal(err)
	}
	w := pfsync.NewWriter(d, format, 1<<16)
	w.Checksum = f.Checksum
	for s := range f.Sections() {
		for m := range s.Messages() {
			if !rewrite(w, d, s, m) {
				t.Fatalf("%s: full", s.Name())
			}
		}
	}
	return w.Bytes()
}

func rewrite(w *pfsync.Writer, d pfsync.Dialect, s pfsync.Section, b []byte) bool {
	var st pfsync.State
	var id pfsync.StateID
	switch s.Action {
	case pfsync.ActIns, pfsync.ActUpd, pfsync.ActDel:
		st.Unmarshal(s.Format, b)
	case pfsync.ActInsAck, pfsync.ActUpdReq, pfsync.ActDelC:
		id.UnmarshalBinary(b)
	}
	switch s.Action {
	case pfsync.ActClr:
		var m pfsync.Clr
		m.UnmarshalBinary(b)
		return w.Clr(&m)
	case pfsync.ActIns:
		return w.Ins(&st)
	case pfsync.ActInsAck:
		return w.InsAck(id)
	case pfsync.ActUpd:
		return w.Upd(&st)
	case pfsync.ActUpdC:
		var m pfsync.UpdC
		m.UnmarshalBinary(b)
		return w.UpdC(&m)
	case pfsync.ActUpdReq:
		return w.UpdReq(id)
	case pfsync.ActDel:
		return w.Del(&st)
	case pfsync.ActDelC:
		return w.DelC(id)
	case pfsync.ActBus:
		var m pfsync.Bus
		m.UnmarshalBinary(b)
		return w.Bus(&m)
	case pfsync.ActTDB:
		var m pfsync.TDB
		m.Unmarshal(d, b)
		return w.TDB(&m)
	}
	return false
}
