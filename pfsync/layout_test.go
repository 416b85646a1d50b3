package pfsync_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzLayout compares the two decoders and the two encoders.
func FuzzLayout(f *testing.F) {
	for i := range layouts {
		f.Add(uint8(i), []byte("\x01\x02\x03"))
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		at := layouts[int(i)%len(layouts)]
		wire := make([]byte, at.format.Size())
		for n := copy(wire, b); n > 0 && n < len(wire); n *= 2 { // short inputs go round
			copy(wire[n:], wire[:n])
		}
		compareWithLayout(t, int(i)%len(layouts), wire)
	})
}

func compareWithLayout(t *testing.T, i int, wire []byte) {
	t.Helper()
	at := layouts[i]
	got := pfsync.State{Tag: pfsync.Tag{9}, QID: 9, RtAF: 9, Updates: 9, RTableID: [2]int32{9, 9}} // dirty
	if err := got.Unmarshal(at.format, wire); err != nil {
		t.Fatal(err)
	}
	want := refDecode(i, wire)
	if got != *want {
		t.Fatalf("format %d: decoded it is not what the layout says:\n%s", at.format, cmp.Diff(*want, got))
	}
	back, wantBack := got.Append(at.format, nil), refEncode(i, *want)
	if !bytes.Equal(back, wantBack) {
		t.Fatalf("format %d: encoded it is not what the layout says:\n%s", at.format, cmp.Diff(wantBack, back))
	}
}

// TestLayoutStates is V1 for states: each octet of each format, alone and with any
// value that could mean something, says what the layout says; and so do random states.
func TestLayoutStates(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for i, at := range layouts {
		if want := layout().OS[at.os].Structs[at.state].Size; at.format.Size() != want {
			t.Errorf("format %d: %d octets, want %d", at.format, at.format.Size(), want)
		}
		wire := make([]byte, at.format.Size())
		for n := range wire {
			for _, v := range []byte{1, 2, 3, 4, 5, 10, 24, 28, 58, 0x80, 0xff} {
				wire[n] = v
				compareWithLayout(t, i, wire)
			}
			wire[n] = 0
		}
		for range 50 {
			for n := range wire {
				wire[n] = byte(rng.Uint32())
			}
			compareWithLayout(t, i, wire)
		}
	}
}

// TestLayoutMessages is V1 for the other messages: random octets, decoded, written
// to a frame and found there.
func TestLayoutMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, at := range layouts {
		w := pfsync.NewWriter(at.dialect, 0, 1500)
		id, upd, clr, bus, tdb := new(pfsync.StateID), new(pfsync.UpdC), new(pfsync.Clr), new(pfsync.Bus), new(pfsync.TDB)
		for _, c := range []struct {
			name    string
			message any
			decode  func([]byte) error
			write   func() bool
		}{
			{"clr", clr, clr.UnmarshalBinary, func() bool { return w.Clr(clr) }},
			{"ins_ack", id, id.UnmarshalBinary, func() bool { return w.InsAck(*id) }},
			{"upd_req", id, id.UnmarshalBinary, func() bool { return w.UpdReq(*id) }},
			{"del_c", id, id.UnmarshalBinary, func() bool { return w.DelC(*id) }},
			{"upd_c", upd, upd.UnmarshalBinary, func() bool { return w.UpdC(upd) }},
			{"bus", bus, bus.UnmarshalBinary, func() bool { return w.Bus(bus) }},
			{"tdb", tdb, func(b []byte) error { return tdb.Unmarshal(at.dialect, b) }, func() bool { return w.TDB(tdb) }},
		} {
			s := layout().OS[at.os].Structs[c.name]
			if c.name == "tdb" {
				s = wholeSockaddr(s)
			}
			wire := make([]byte, s.Size)
			for n := range wire {
				wire[n] = byte(rng.Uint32())
			}
			if c.name == "upd_c" && at.dialect != pfsync.OpenBSD {
				wire[81] = 0 // state_flags on OpenBSD, padding here
			}
			for n := range s.Size {
				if err := c.decode(wire[:n]); err != pfsync.ErrLen {
					t.Errorf("%s %s of %d octets: %v, want ErrLen", at.os, c.name, n, err)
				}
			}
			if err := c.decode(append(wire, 1, 2, 3)); err != nil {
				t.Errorf("%s %s: %v", at.os, c.name, err)
			}
			want := reflect.New(reflect.TypeOf(c.message).Elem()).Interface()
			s.decode(want, wire)
			if diff := cmp.Diff(want, c.message); diff != "" {
				t.Errorf("%s %s: decoded it is not what the layout says:\n%s", at.os, c.name, diff)
			}
			w.Reset(nil)
			if !c.write() {
				t.Fatalf("%s %s: it does not fit a frame", at.os, c.name)
			}
			if got := w.Bytes()[24:][:s.Size]; !bytes.Equal(got, s.encode(want)) {
				t.Errorf("%s %s: written it is\n%x, want\n%x", at.os, c.name, got, s.encode(want))
			}
		}
	}
}

// wholeSockaddr takes the parts of the sockaddr for one field.
func wholeSockaddr(s *layoutStruct) *layoutStruct {
	whole := &layoutStruct{Size: s.Size}
	for _, f := range s.Flat {
		if name, ok := strings.CutPrefix(f.Name, "dst."); !ok {
			whole.Flat = append(whole.Flat, f)
		} else if name == "sa_len" {
			f.Name, f.Size = "dst", 28
			whole.Flat = append(whole.Flat, f)
		}
	}
	return whole
}

// TestLayoutActions is V1 for the numbers of actions: what each system does with
// each, and how long its messages are.
func TestLayoutActions(t *testing.T) {
	for _, at := range layouts {
		sys := layout().OS[at.os]
		for n := range 256 {
			strided := sys.Version == 6
			size, name, receive := 0, "UNKNOWN", "error"
			if strided {
				receive = "skip"
			}
			if n < len(sys.Actions) {
				a := sys.Actions[n]
				size, name, receive = a.Size, a.Name, a.Receive
			}
			stride := size
			if strided && size == 0 {
				stride = 8
			}
			b := make([]byte, 24+stride)
			b[0], b[3], b[20], b[23] = sys.Version, byte(len(b)), byte(n), 1
			b[2] = byte(len(b) >> 8)
			if strided {
				b[21] = byte(stride / 4)
			}
			f, err := pfsync.Parse(at.dialect, b)
			if strings.HasPrefix(receive, "error") {
				if err != pfsync.ErrAction || f.Bad.Number != byte(n) || f.Bad.Count != 1 || f.Bad.Name() != name {
					t.Errorf("%s action %d: %v %+v, want ErrAction", at.os, n, err, f.Bad)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s action %d: %v", at.os, n, err)
			}
			var secs []pfsync.Section
			for s := range f.Sections() {
				secs = append(secs, s)
			}
			if len(secs) != 1 {
				t.Errorf("%s action %d: %d sections", at.os, n, len(secs))
				continue
			}
			s := secs[0]
			if got := fmt.Sprint(s.Number, s.Name(), s.Size, s.Count); got != fmt.Sprint(n, name, stride, 1) {
				t.Errorf("%s action %d: it is %s", at.os, n, got)
			}
			if known := !strings.HasPrefix(receive, "skip") || name == "TDB"; known != (s.Action != pfsync.ActUnknown) {
				t.Errorf("%s action %d: it is %v, but the kernel's way is to %s", at.os, n, s.Action, receive)
			}
			if s.Action != pfsync.ActUnknown && !strings.HasPrefix(name, s.Action.String()) {
				t.Errorf("%s action %d, %s, is %v", at.os, n, name, s.Action)
			}
			if (s.Format.Size() == size) != (s.Action == pfsync.ActIns || s.Action == pfsync.ActUpd || s.Action == pfsync.ActDel || size == 0) {
				t.Errorf("%s action %d has states of format %d", at.os, n, s.Format)
			}
		}
	}
}

// TestLayoutNames holds the names of peer states against the kernels'.
func TestLayoutNames(t *testing.T) {
	for s, name := range layout().TCP {
		if got := pfsync.PeerStateName(6, pfsync.PeerState(s)); got != name {
			t.Errorf("TCP state %d is %s, want %s", s, got, name)
		}
	}
	for s, name := range layout().UDP {
		for _, proto := range []uint8{17, 47, 132} {
			if got := pfsync.PeerStateName(proto, pfsync.PeerState(s)); got != name {
				t.Errorf("protocol %d state %d is %s, want %s", proto, s, got, name)
			}
		}
	}
	for proto, s := range map[uint8]pfsync.PeerState{1: 0, 58: 1, 6: 13, 17: 3} {
		if got := pfsync.PeerStateName(proto, s); got != strconv.Itoa(int(s)) {
			t.Errorf("protocol %d state %d is %s", proto, s, got)
		}
	}
}
