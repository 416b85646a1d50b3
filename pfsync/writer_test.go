package pfsync_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// TestWriterV15 is V15: as many messages of one kind as the kernels send in a
// packet, and not one more.
func TestWriterV15(t *testing.T) {
	for _, c := range []struct {
		dialect                 pfsync.Dialect
		format                  pfsync.Format
		mtu                     int
		states, updates, others int
		length                  int // of the IP packet with states; IPv6 from FreeBSD 14 on
	}{
		{pfsync.OpenBSD, pfsync.FormatOpenBSD, 1500, 5, 17, 121, 40 + 4 + 5*264},
		{pfsync.OpenBSD, pfsync.FormatOpenBSD, 9000, 33, 106, 746, 40 + 4 + 33*264},
		{pfsync.FreeBSD12, pfsync.Format1301, 1500, 6, 17, 121, 1500},
		{pfsync.FreeBSD12, pfsync.Format1301, 9000, 36, 106, 746, 44 + 4 + 36*242},
		{pfsync.FreeBSD14, pfsync.Format1301, 1500, 5, 17, 119, 64 + 4 + 5*242},
		{pfsync.FreeBSD14, pfsync.Format1400, 1500, 5, 17, 119, 64 + 4 + 5*277},
		{pfsync.FreeBSD14, pfsync.Format1400, 9000, 32, 106, 744, 64 + 4 + 32*277},
		{pfsync.FreeBSD15, pfsync.Format1500, 1500, 3, 17, 119, 64 + 4 + 3*360},
		{pfsync.FreeBSD15, pfsync.Format1500, 9000, 24, 106, 744, 64 + 4 + 24*360},
		{pfsync.FreeBSD15, pfsync.Format1301, 9000, 36, 106, 744, 64 + 4 + 36*242},
	} {
		w := pfsync.NewWriter(c.dialect, c.format, c.mtu)
		st, upd, id := someState(1), pfsync.UpdC{}, pfsync.StateID{}
		for what, k := range map[string]struct {
			add  func() bool
			want int
		}{
			"INS": {func() bool { return w.Ins(&st) }, c.states}, "UPD": {func() bool { return w.Upd(&st) }, c.states},
			"UPD_C": {func() bool { return w.UpdC(&upd) }, c.updates}, "DEL_C": {func() bool { return w.DelC(id) }, c.others},
			"INS_ACK": {func() bool { return w.InsAck(id) }, c.others}, "UPD_REQ": {func() bool { return w.UpdReq(id) }, c.others},
		} {
			w.Reset(nil)
			n := 0
			for k.add() {
				n++
			}
			if n != k.want {
				t.Errorf("%v format %d MTU %d: %d %s in a frame, want %d", c.dialect, c.format, c.mtu, n, what, k.want)
			}
			ip := 20
			if c.dialect >= pfsync.FreeBSD14 {
				ip = 40
			}
			b := w.Bytes()
			if len(b)+ip > c.mtu || what == "INS" && len(b)+ip != c.length {
				t.Errorf("%v format %d MTU %d: the packet with %s has %d octets, want %d", c.dialect, c.format, c.mtu, what, len(b)+ip, c.length)
			}
			if _, err := pfsync.Parse(c.dialect, b); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestWriterMTU finds the edge for one message: it fits exactly, and not with an
// octet less.
func TestWriterMTU(t *testing.T) {
	for _, c := range []struct {
		dialect pfsync.Dialect
		mtu     int
	}{{pfsync.OpenBSD, 40 + 4 + 12}, {pfsync.FreeBSD12, 44 + 4 + 12}, {pfsync.FreeBSD15, 64 + 4 + 12}} {
		if w := pfsync.NewWriter(c.dialect, 0, c.mtu); !w.DelC(pfsync.StateID{}) || w.DelC(pfsync.StateID{}) {
			t.Errorf("%v: not one DEL_C fits %d", c.dialect, c.mtu)
		}
		for _, mtu := range []int{c.mtu - 1, 20, 0, -1} {
			w := pfsync.NewWriter(c.dialect, 0, mtu)
			if w.DelC(pfsync.StateID{}) || !w.Empty() {
				t.Errorf("%v: a DEL_C fits %d", c.dialect, mtu)
			}
			if _, err := pfsync.Parse(c.dialect, w.Bytes()); err != nil {
				t.Errorf("%v: the empty frame: %v", c.dialect, err)
			}
		}
	}
	w := pfsync.NewWriter(pfsync.FreeBSD12, 0, 1<<20)
	for w.DelC(pfsync.StateID{}) {
	}
	b := w.Bytes()
	if _, err := pfsync.Parse(pfsync.FreeBSD12, b); err != nil || len(b) > 65535 || len(b) < 65500 {
		t.Errorf("the longest frame has %d octets: %v", len(b), err)
	}
}

// TestWriterSamples writes the frames that the layout has.
func TestWriterSamples(t *testing.T) {
	w := pfsync.NewWriter(pfsync.OpenBSD, 0, 1500)
	w.UpdReq(pfsync.StateID{})
	checkSample(t, "openbsd_bulk_request_payload", w.Bytes())
	w.Reset(nil)
	w.Bus(&pfsync.Bus{CreatorID: 0xdeadbeef, Status: pfsync.BusEnd})
	checkSample(t, "openbsd_bus_end_payload_creator_deadbeef", w.Bytes())

	w = pfsync.NewWriter(pfsync.FreeBSD14, 0, 1500)
	w.Checksum = [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	w.UpdReq(pfsync.StateID{})
	checkSample(t, "freebsd_bulk_request_payload_with_sample_cksum", w.Bytes())
}

func checkSample(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := hex.DecodeString(layout().Examples[name])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%x, want\n%x", name, got, want)
	}
}

// TestWriterSections opens a section whenever the action changes.
func TestWriterSections(t *testing.T) {
	for _, c := range []struct {
		dialect pfsync.Dialect
		want    []string
	}{
		{pfsync.OpenBSD, []string{"INS_ACK 1x12", "UPD_C 2x84", "DEL_C 1x12", "INS 1x264", "DEL 1x264", "DEL_C 1x12", "CLR 1x20", "BUS 1x12", "TDB 1x52"}},
		{pfsync.FreeBSD12, []string{"INS_ACK 1x12", "UPD_C 2x84", "DEL_C 1x12", "INS 1x242", "DEL 1x242", "DEL_C 1x12", "CLR 1x20", "BUS 1x12", "TDB 1x48", "EOF 1x0"}},
		{pfsync.FreeBSD14, []string{"INS_ACK 1x12", "UPD_C 2x84", "DEL_C 1x12", "INS_1400 1x277", "DEL_C 2x12", "CLR 1x20", "BUS 1x12", "TDB 1x48", "EOF 1x0"}},
		{pfsync.FreeBSD15, []string{"INS_ACK 1x12", "UPD_C 2x84", "DEL_C 1x12", "INS_1500 1x360", "DEL_C 2x12", "CLR 1x20", "BUS 1x12", "TDB 1x48", "EOF 1x0"}},
	} {
		w := pfsync.NewWriter(c.dialect, 6666, 1500) // no format: that of the dialect
		st, id := someState(1), pfsync.StateID{ID: 1, CreatorID: 2}
		tdb := pfsync.TDB{SPI: 1, RPL: 2, CurBytes: 3, Proto: 50, Updates: 4}
		if !w.Empty() {
			t.Error("not empty to begin with")
		}
		if !w.InsAck(id) || !w.UpdC(&pfsync.UpdC{}) || !w.UpdC(&pfsync.UpdC{}) || !w.DelC(id) || !w.Ins(&st) || !w.Del(&st) ||
			!w.DelC(id) || !w.Clr(&pfsync.Clr{}) || !w.Bus(&pfsync.Bus{}) || !w.TDB(&tdb) || w.Empty() {
			t.Errorf("%v: a frame is full too early, or empty", c.dialect)
		}
		if got := parsed(c.dialect, w.Bytes()); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.dialect, got, c.want)
		}
	}
}

// TestWriterRandom appends messages at random and wants all of them back in order,
// each frame as full as it can be, and nothing of a message that did not fit.
func TestWriterRandom(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		d := pfsync.Dialect(seed % 4)
		mtu := 500 + rng.IntN(9000)
		w := pfsync.NewWriter(d, 0, mtu)
		var want, got []string
		buf := make([]byte, 0, mtu)
		w.Reset(buf)
		flush := func() {
			b := w.Bytes()
			if again := w.Bytes(); !bytes.Equal(b, again) {
				t.Fatalf("seed %d: completed twice it is another frame", seed)
			}
			if len(b)+20 > mtu || &b[0] != &buf[:1][0] {
				t.Fatalf("seed %d: %d octets for an MTU of %d", seed, len(b), mtu)
			}
			got = append(got, contents(t, d, b)...)
			w.Reset(buf)
		}
		for n := range 300 {
			add, what := someMessage(w, rng.IntN(8), n)
			before := bytes.Clone(w.Bytes())
			if !add() {
				if !bytes.Equal(before, w.Bytes()) {
					t.Fatalf("seed %d: a message that did not fit left something", seed)
				}
				flush()
				if !add() {
					t.Fatalf("seed %d: %s does not fit an empty frame of %d", seed, what, mtu)
				}
			}
			want = append(want, what)
			if rng.IntN(20) == 0 {
				flush()
			}
		}
		flush()
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: wrote\n%q, read\n%q", seed, want, got)
		}
	}
}

// someMessage is one of eight, which n is in, and its name.
func someMessage(w *pfsync.Writer, kind, n int) (add func() bool, what string) {
	id := pfsync.StateID{ID: uint64(n), CreatorID: 7}
	st := pfsync.State{StateID: id}
	switch kind {
	case 0:
		return func() bool { return w.Ins(&st) }, fmt.Sprint("INS ", n)
	case 1:
		return func() bool { return w.Upd(&st) }, fmt.Sprint("UPD ", n)
	case 2:
		return func() bool { return w.UpdC(&pfsync.UpdC{StateID: id}) }, fmt.Sprint("UPD_C ", n)
	case 3:
		return func() bool { return w.DelC(id) }, fmt.Sprint("DEL_C ", n)
	case 4:
		return func() bool { return w.UpdReq(id) }, fmt.Sprint("UPD_REQ ", n)
	case 5:
		return func() bool { return w.InsAck(id) }, fmt.Sprint("INS_ACK ", n)
	case 6:
		return func() bool { return w.Clr(&pfsync.Clr{CreatorID: uint32(n)}) }, fmt.Sprint("CLR ", n)
	}
	return func() bool { return w.Bus(&pfsync.Bus{EndTime: uint32(n)}) }, fmt.Sprint("BUS ", n)
}

// contents are the messages of a frame by the names that someMessage gives them.
func contents(t *testing.T, d pfsync.Dialect, b []byte) (out []string) {
	t.Helper()
	f, err := pfsync.Parse(d, b)
	if err != nil {
		t.Fatal(err)
	}
	for s := range f.Sections() {
		for msg := range s.Messages() {
			n := binary.BigEndian.Uint64(msg)
			switch s.Action {
			case pfsync.ActClr:
				n = uint64(binary.BigEndian.Uint32(msg[16:]))
			case pfsync.ActBus:
				n = uint64(binary.BigEndian.Uint32(msg[4:]))
			}
			out = append(out, fmt.Sprint(s.Action, " ", n))
		}
	}
	return out
}
