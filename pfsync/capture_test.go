package pfsync_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/pcap"
	"github.com/gocarp/gocarp/pfsync"
)

// testdata/capture holds what real kernels sent, and what they say about it, in one
// directory for each system. GOCARP_CAPTURES names a directory with more.

// captures are the files that match NAME below the directory of a system.
func captures(t *testing.T, name string) []string {
	t.Helper()
	dirs := []string{filepath.Join("testdata", "capture")}
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		dirs = append(dirs, dir)
	}
	var files []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("%s has no %s", dir, name)
		}
		files = append(files, found...)
	}
	return files
}

// A captured packet is a pfsync payload, and whether a kernel made it, as opposed
// to an experimenter.
type captured struct {
	payload []byte
	kernel  bool
}

// readCapture returns the pfsync packets of a capture of Ethernet.
func readCapture(t *testing.T, file string) (out []captured) {
	t.Helper()
	packets, err := pcap.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if payload, ok := ofEthernet(p.Data); ok {
			out = append(out, captured{payload, p.Data[6] == 0x52})
		}
	}
	return out
}

// ofEthernet is the pfsync payload of a frame.
func ofEthernet(frame []byte) ([]byte, bool) {
	if len(frame) < 14 || frame[12] != 8 || frame[13] != 0 {
		return nil, false
	}
	ip, payload, err := inet.ParseIP(frame[14:])
	return payload, err == nil && ip.Protocol == pfsync.ProtocolNumber
}

// dialectOf is what the kernels of the captures in file speak.
func dialectOf(file string) pfsync.Dialect {
	if filepath.Base(filepath.Dir(file)) == "openbsd" {
		return pfsync.OpenBSD
	}
	return pfsync.FreeBSD12
}

// TestCapturesRoundTrip decodes every packet that a kernel sent and encodes it
// again, octet for octet.
func TestCapturesRoundTrip(t *testing.T) {
	for _, file := range captures(t, "*/*pfsync*.pcap") {
		t.Run(file, func(t *testing.T) {
			for n, p := range readCapture(t, file) {
				if !p.kernel {
					continue
				}
				d := dialectOf(file)
				if p.payload[0] == 6 {
					d = pfsync.OpenBSD // in a mixed capture
				}
				f, err := pfsync.Parse(d, p.payload)
				if err != nil {
					t.Fatalf("packet %d: %v", n, err)
				}
				if got := rewrite(t, &f); !bytes.Equal(got, p.payload) {
					t.Errorf("packet %d came back as another:\n%s", n, cmp.Diff(p.payload, got))
				}
			}
		})
	}
}

// rewrite decodes all of a frame and encodes it again.
func rewrite(t *testing.T, f *pfsync.Frame) []byte {
	t.Helper()
	var format pfsync.Format
	for s := range f.Sections() {
		if s.Format != 0 {
			format = s.Format
		}
	}
	w := pfsync.NewWriter(f.Dialect, format, 1<<16)
	w.Checksum = f.Checksum
	for s := range f.Sections() {
		for msg := range s.Messages() {
			if err := copyMessage(w, s, msg); err != nil {
				t.Fatalf("%s: %v", s.Name(), err)
			}
		}
	}
	return w.Bytes()
}

var errFull = errors.New("the frame is full")

// copyMessage decodes a message and appends it to w.
func copyMessage(w *pfsync.Writer, s pfsync.Section, msg []byte) (err error) {
	var (
		st  pfsync.State
		id  pfsync.StateID
		upd pfsync.UpdC
		clr pfsync.Clr
		bus pfsync.Bus
		tdb pfsync.TDB
		ok  bool
	)
	switch s.Action {
	case pfsync.ActIns, pfsync.ActUpd, pfsync.ActDel:
		err = st.Unmarshal(s.Format, msg)
	case pfsync.ActInsAck, pfsync.ActUpdReq, pfsync.ActDelC:
		err = id.UnmarshalBinary(msg)
	case pfsync.ActUpdC:
		err = upd.UnmarshalBinary(msg)
	}
	switch s.Action {
	case pfsync.ActIns:
		ok = w.Ins(&st)
	case pfsync.ActUpd:
		ok = w.Upd(&st)
	case pfsync.ActDel:
		ok = w.Del(&st)
	case pfsync.ActInsAck:
		ok = w.InsAck(id)
	case pfsync.ActUpdReq:
		ok = w.UpdReq(id)
	case pfsync.ActDelC:
		ok = w.DelC(id)
	case pfsync.ActUpdC:
		ok = w.UpdC(&upd)
	case pfsync.ActClr:
		err = clr.UnmarshalBinary(msg)
		ok = w.Clr(&clr)
	case pfsync.ActBus:
		err = bus.UnmarshalBinary(msg)
		ok = w.Bus(&bus)
	case pfsync.ActTDB:
		err = tdb.Unmarshal(tdbDialect(s), msg)
		ok = w.TDB(&tdb)
	}
	if err == nil && !ok {
		err = errFull
	}
	return err
}

// tdbDialect is a dialect that has TDBs as long as those of s.
func tdbDialect(s pfsync.Section) pfsync.Dialect {
	if s.Number == 15 {
		return pfsync.OpenBSD
	}
	return pfsync.FreeBSD12
}

// TestCapturesCounts holds the number of messages of each kind against those that
// another decoder found.
func TestCapturesCounts(t *testing.T) {
	for _, file := range captures(t, "freebsd/pfsync-*.json") {
		var truth struct {
			Counts map[string]int `json:"pfsync_message_counts"`
		}
		readTruth(t, file, &truth)
		if truth.Counts == nil {
			continue
		}
		counts := make(map[string]int)
		for _, p := range readCapture(t, strings.TrimSuffix(file, ".json")+".syn.pcap") {
			f, _ := pfsync.Parse(pfsync.FreeBSD12, p.payload)
			for s := range f.Sections() {
				counts[s.Name()] += s.Count
			}
		}
		if diff := cmp.Diff(truth.Counts, counts); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
	}
}

func readTruth(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// A hexString is octets that are written in hexadecimal.
type hexString []byte

func (h *hexString) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}
