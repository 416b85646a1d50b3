package pfsync_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// frameOf is a frame of version with the sections behind the header, whose length
// is right.
func frameOf(version uint8, sections ...[]byte) []byte {
	b := make([]byte, 20)
	b = append(b, slices.Concat(sections...)...)
	b[0], b[2], b[3] = version, byte(len(b)>>8), byte(len(b))
	return b
}

// section is a section with n octets behind its subheader, all of them 1.
func section(action, words uint8, count uint16, n int) []byte {
	return append([]byte{action, words, byte(count >> 8), byte(count)}, bytes.Repeat([]byte{1}, n)...)
}

// parsed is a frame in words: "INS 2x264" for each section, those to be skipped in
// brackets, then the error.
func parsed(d pfsync.Dialect, b []byte) (out []string) {
	f, err := pfsync.Parse(d, b)
	for s := range f.Sections() {
		n := 0
		for msg := range s.Messages() {
			if len(msg) != s.Size {
				out = append(out, fmt.Sprintf("a message of %d octets", len(msg)))
			}
			n++
		}
		if n != s.Count && s.Size != 0 && s.Action != pfsync.ActUnknown {
			out = append(out, fmt.Sprintf("%d messages", n))
		}
		word := fmt.Sprintf("%s %dx%d", s.Name(), s.Count, s.Size)
		if s.Action == pfsync.ActUnknown {
			word = "[" + word + "]"
		}
		out = append(out, word)
	}
	if err == pfsync.ErrAction || f.Bad.Count != 0 {
		out = append(out, fmt.Sprintf("bad %s x%d", f.Bad.Name(), f.Bad.Count))
	}
	if err != nil {
		out = append(out, err.Error())
	}
	return out
}

const (
	badLen    = "length does not fit the data"
	badAction = "unknown action"
)

// TestParseV2 is V2 of the test plan, where no capture of a kernel says so already.
func TestParseV2(t *testing.T) {
	eof := section(12, 0, 1, 0)
	long := frameOf(6, section(7, 3, 1, 12))
	long[3]++
	cut := frameOf(6, section(7, 3, 1, 12))
	cut[3] = 30
	below := frameOf(6, section(7, 3, 1, 12))
	below[3] = 19
	for _, c := range []struct {
		what    string
		dialect pfsync.Dialect
		frame   []byte
		want    []string
	}{
		{"nothing", pfsync.OpenBSD, nil, []string{"packet shorter than its header"}},
		{"19 octets", pfsync.FreeBSD15, frameOf(5)[:19], []string{"packet shorter than its header"}},
		{"header only", pfsync.OpenBSD, frameOf(6), nil},
		{"header only", pfsync.FreeBSD14, frameOf(5), nil},
		{"version 5", pfsync.OpenBSD, frameOf(5), []string{"version is not the one of the dialect"}},
		{"version 6", pfsync.FreeBSD15, frameOf(6), []string{"version is not the one of the dialect"}},
		{"length too long", pfsync.OpenBSD, long, []string{badLen}},
		{"length below the header", pfsync.OpenBSD, below, []string{badLen}},
		{"length within a message", pfsync.OpenBSD, cut, []string{"bad DEL_C x1", badLen}},
		{"3 octets of a subheader", pfsync.OpenBSD, frameOf(6, section(7, 3, 1, 12), []byte{7, 3, 0}), []string{"DEL_C 1x12"}},

		{"an octet is missing", pfsync.OpenBSD, frameOf(6, section(7, 3, 1, 12), section(5, 3, 2, 23)), []string{"DEL_C 1x12", "bad UPD_REQ x2", badLen}},
		{"an octet is missing", pfsync.FreeBSD14, frameOf(5, section(7, 0, 1, 12), section(13, 0, 1, 276)), []string{"DEL_C 1x12", "bad INS_1400 x1", badLen}},
		{"the greatest count", pfsync.OpenBSD, frameOf(6, section(13, 255, 65535, 1024)), []string{"bad INS x65535", badLen}},
		{"the greatest count", pfsync.FreeBSD15, frameOf(5, section(16, 255, 65535, 1024)), []string{"bad UPD_1500 x65535", badLen}},

		{"unknown action", pfsync.OpenBSD, frameOf(6, section(99, 3, 2, 24), section(7, 3, 1, 12)), []string{"[UNKNOWN 2x12]", "DEL_C 1x12"}},
		{"unknown action over the end", pfsync.OpenBSD, frameOf(6, section(99, 3, 3, 24)), []string{"[UNKNOWN 3x12]"}},
		{"unknown action, length 0", pfsync.OpenBSD, frameOf(6, section(7, 3, 1, 12), section(16, 0, 1, 0)), []string{"DEL_C 1x12", "bad UNKNOWN x1", badAction}},
		{"unknown action, count 0", pfsync.OpenBSD, frameOf(6, section(16, 3, 0, 0)), []string{"bad UNKNOWN x0", badAction}},
		{"unknown action", pfsync.FreeBSD15, frameOf(5, section(7, 0, 1, 12), section(17, 0, 0, 0), eof), []string{"DEL_C 1x12", "bad UNKNOWN x0", badAction}},
		{"INS_1400", pfsync.FreeBSD12, frameOf(5, section(13, 0, 1, 277), eof), []string{"bad UNKNOWN x1", badAction}},
		{"INS_1500", pfsync.FreeBSD14, frameOf(5, section(15, 0, 1, 360), eof), []string{"bad UNKNOWN x1", badAction}},
		{"DEL", pfsync.FreeBSD14, frameOf(5, section(6, 0, 1, 242), eof), []string{"bad DEL x1", badAction}},
		{"DEL", pfsync.FreeBSD12, frameOf(5, section(6, 0, 1, 242), eof), []string{"DEL 1x242", "EOF 1x0"}},
		{"states of all kinds", pfsync.FreeBSD15, frameOf(5, section(1, 0, 1, 242), section(14, 0, 1, 277), section(15, 0, 2, 720), eof),
			[]string{"INS_1301 1x242", "UPD_1400 1x277", "INS_1500 2x360", "EOF 1x0"}},

		{"length 0", pfsync.OpenBSD, frameOf(6, section(7, 0, 1, 12)), []string{"bad DEL_C x1", badAction}},
		{"count 0", pfsync.OpenBSD, frameOf(6, section(7, 3, 0, 0)), []string{"DEL_C 0x12"}},
		{"shorter messages", pfsync.OpenBSD, frameOf(6, section(4, 20, 2, 160), section(7, 3, 1, 12)), []string{"[UPD_C 2x80]", "DEL_C 1x12"}},
		{"dead action over the end", pfsync.OpenBSD, frameOf(6, section(1, 61, 1, 240)), []string{"bad OINS x1", badLen}},
	} {
		if got := parsed(c.dialect, c.frame); !slices.Equal(got, c.want) {
			t.Errorf("%v, %s:\n%s", c.dialect, c.what, cmp.Diff(c.want, got))
		}
	}
}

// TestParseV3 is V3: states of 288 octets, longer than anybody knows, are read at
// that stride, and their beginning is what they say.
func TestParseV3(t *testing.T) {
	sec := section(13, 288/4, 2, 2*288)
	for i := range 2 {
		st := someState(i)
		copy(sec[4+i*288:], st.Append(pfsync.FormatOpenBSD, nil))
	}
	f, err := pfsync.Parse(pfsync.OpenBSD, frameOf(6, sec, section(7, 3, 1, 12)))
	if err != nil {
		t.Fatal(err)
	}
	var states []pfsync.State
	var names []string
	for s := range f.Sections() {
		names = append(names, s.Name())
		for msg := range s.Messages() {
			if s.Action != pfsync.ActIns {
				break
			}
			var st pfsync.State
			if err := st.Unmarshal(s.Format, msg); err != nil {
				t.Fatal(err)
			}
			states = append(states, st)
		}
	}
	if !slices.Equal(names, []string{"INS", "DEL_C"}) {
		t.Errorf("sections %v", names)
	}
	if want := []pfsync.State{someState(0), someState(1)}; !cmp.Equal(want, states) {
		t.Error(cmp.Diff(want, states))
	}
}

// TestParseV4 is V4: FreeBSD does without EOF, and takes what is before it if
// anything is behind it, whether the header counts that or not.
func TestParseV4(t *testing.T) {
	for d := pfsync.FreeBSD12; d <= pfsync.FreeBSD15; d++ {
		del, eof := section(7, 0, 1, 12), section(12, 0, 1, 0)
		uncounted := append(frameOf(5, del, eof), 0, 0, 0)
		short := frameOf(5, del, eof)
		short[3] = 24 // FreeBSD takes it for where the last section may begin
		for _, c := range []struct {
			what  string
			frame []byte
			want  []string
		}{
			{"no EOF", frameOf(5, del), []string{"DEL_C 1x12"}},
			{"EOF", frameOf(5, del, eof), []string{"DEL_C 1x12", "EOF 1x0"}},
			{"EOF with count 0", frameOf(5, del, section(12, 0, 0, 0)), []string{"DEL_C 1x12", "EOF 0x0"}},
			{"a section behind EOF", frameOf(5, eof, del), []string{"EOF 1x0", badLen}},
			{"octets behind EOF that the header does not count", uncounted, []string{"DEL_C 1x12", "EOF 1x0", badLen}},
			{"octets behind the last section", frameOf(5, del, []byte{1, 2, 3}), []string{"DEL_C 1x12"}},
			{"a message beyond the length", short, []string{"DEL_C 1x12"}},
		} {
			if got := parsed(d, c.frame); !slices.Equal(got, c.want) {
				t.Errorf("%v, %s:\n%s", d, c.what, cmp.Diff(c.want, got))
			}
		}
	}
}

// TestParseReadsHeader looks at what else is in a frame.
func TestParseReadsHeader(t *testing.T) {
	b := frameOf(5, section(12, 0, 1, 0))
	copy(b[4:], "0123456789abcdef")
	f, err := pfsync.Parse(pfsync.FreeBSD14, b)
	if err != nil || f.Dialect != pfsync.FreeBSD14 || f.Version != 5 || f.Len != 24 || string(f.Checksum[:]) != "0123456789abcdef" {
		t.Errorf("%v %+v", err, f)
	}
	if f, err = pfsync.Parse(pfsync.OpenBSD, b); err != pfsync.ErrVersion || f.Version != 5 || f.Len != 24 {
		t.Errorf("of another version: %v %+v", err, f)
	}
}

// TestSectionsStop leaves the loops early.
func TestSectionsStop(t *testing.T) {
	f, err := pfsync.Parse(pfsync.OpenBSD, frameOf(6, section(7, 3, 3, 36), section(5, 3, 1, 12)))
	if err != nil {
		t.Fatal(err)
	}
	sections, messages := 0, 0
	for s := range f.Sections() {
		sections++
		for range s.Messages() {
			if messages++; messages == 2 {
				break
			}
		}
		break
	}
	if sections != 1 || messages != 2 {
		t.Errorf("%d sections, %d messages", sections, messages)
	}
}
