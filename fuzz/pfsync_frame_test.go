package fuzz

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzPfsyncFrame reads anything as a frame of any dialect, as a reference does
// that is written from the protocol, decodes what is in it and encodes it again.
func FuzzPfsyncFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, dialect uint8, b []byte) {
		d := pfsync.Dialect(dialect % 4)
		was := bytes.Clone(b)
		got, err := readFrame(t, d, b[:len(b):len(b)])
		want, wantErr := refFrame(d, b)
		if err != wantErr || !gocmp.Equal(want, got) {
			t.Fatalf("%v: error %v, want %v, sections\n%s", d, err, wantErr, gocmp.Diff(want, got))
		}
		spare := append(bytes.Clone(b), bytes.Repeat([]byte{1}, 400)...)[:len(b)]
		if again, err2 := readFrame(t, d, spare); err2 != err || !gocmp.Equal(got, again) {
			t.Fatalf("%v: error %v, but %v with spare capacity", d, err, err2)
		}
		for _, format := range formatsOf[d] {
			checkRewrite(t, d, format, got)
		}
		if !bytes.Equal(b, was) {
			t.Fatal("reading changed the frame")
		}
	})
}

// A section is what there is to know of a section of a frame.
type section struct {
	Number   uint8
	Action   pfsync.Action
	Format   pfsync.Format
	Count    int
	Messages [][]byte
}

// readFrame is all that is in a frame.
func readFrame(t *testing.T, d pfsync.Dialect, b []byte) (out []section, err error) {
	f, err := pfsync.Parse(d, b)
	for s := range f.Sections() {
		sec := section{s.Number, s.Action, s.Format, s.Count, nil}
		for msg := range s.Messages() {
			if len(msg) != s.Size || cap(msg) != s.Size {
				t.Fatalf("%s: a message of %d octets with room for %d, want %d", s.Name(), len(msg), cap(msg), s.Size)
			}
			sec.Messages = append(sec.Messages, msg)
		}
		out = append(out, sec)
	}
	if errors.Is(err, pfsync.ErrAction) {
		_ = f.Bad.Name()
		for range f.Bad.Messages() {
			t.Fatal("a section that is no good has a message")
		}
	}
	return out, err
}

// refFrame is what readFrame should find.
func refFrame(d pfsync.Dialect, b []byte) (out []section, err error) {
	openbsd := d == pfsync.OpenBSD
	version := byte(5)
	if openbsd {
		version = 6
	}
	if len(b) < 20 {
		return nil, pfsync.ErrShort
	}
	if b[0] != version {
		return nil, pfsync.ErrVersion
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length > len(b) || openbsd && length < 20 {
		return nil, pfsync.ErrLen
	}
	rest := b[20:]
	if openbsd {
		rest = b[20:length]
	}
	for {
		at := len(b) - len(rest) // from the end of b, whatever was trimmed
		if openbsd {
			at = length - len(rest)
		}
		if at+4 > length {
			return out, nil
		}
		number, words, count := rest[0], int(rest[1]), int(binary.BigEndian.Uint16(rest[2:]))
		rest = rest[4:]
		s := section{Number: number, Count: count}
		var known int
		s.Action, s.Format, known = refAction(d, number)
		size := known
		switch {
		case openbsd:
			size = words * 4
			if number >= 16 || size < known {
				if size == 0 || count == 0 {
					return out, pfsync.ErrAction
				}
				s.Action, s.Format = pfsync.ActUnknown, 0
				s.Messages = split(rest, size, min(count, len(rest)/size))
				rest, out = rest[min(count*size, len(rest)):], append(out, s)
				continue
			}
		case s.Action == pfsync.ActUnknown:
			return out, pfsync.ErrAction
		}
		if size*count > len(rest) {
			return out, pfsync.ErrLen
		}
		s.Messages = split(rest, size, count)
		rest, out = rest[size*count:], append(out, s)
		if s.Action == pfsync.ActEOF {
			if len(rest) > 0 {
				return out, pfsync.ErrLen
			}
			return out, nil
		}
	}
}

// split cuts count messages of size off b.
func split(b []byte, size, count int) (out [][]byte) {
	if size == 0 {
		return nil
	}
	for range count {
		out, b = append(out, b[:size]), b[size:]
	}
	return out
}

// refAction is the table of the protocol: what a number means to d, in which
// format states are, and how long a message has to be.
func refAction(d pfsync.Dialect, number uint8) (pfsync.Action, pfsync.Format, int) {
	openbsd := d == pfsync.OpenBSD
	switch number {
	case 0:
		return pfsync.ActClr, 0, 20
	case 2:
		return pfsync.ActInsAck, 0, 12
	case 4:
		return pfsync.ActUpdC, 0, 84
	case 5:
		return pfsync.ActUpdReq, 0, 12
	case 7:
		return pfsync.ActDelC, 0, 12
	case 10:
		return pfsync.ActBus, 0, 12
	}
	switch {
	case openbsd && number == 6:
		return pfsync.ActDel, pfsync.FormatOpenBSD, 264
	case openbsd && number == 13:
		return pfsync.ActIns, pfsync.FormatOpenBSD, 264
	case openbsd && number == 14:
		return pfsync.ActUpd, pfsync.FormatOpenBSD, 264
	case openbsd && number == 15:
		return pfsync.ActTDB, 0, 52
	case openbsd:
		return pfsync.ActUnknown, 0, 0
	case number == 1:
		return pfsync.ActIns, pfsync.Format1301, 242
	case number == 3:
		return pfsync.ActUpd, pfsync.Format1301, 242
	case number == 6 && d == pfsync.FreeBSD12:
		return pfsync.ActDel, pfsync.Format1301, 242
	case number == 11:
		return pfsync.ActTDB, 0, 48
	case number == 12:
		return pfsync.ActEOF, 0, 0
	case number == 13 && d >= pfsync.FreeBSD14:
		return pfsync.ActIns, pfsync.Format1400, 277
	case number == 14 && d >= pfsync.FreeBSD14:
		return pfsync.ActUpd, pfsync.Format1400, 277
	case number == 15 && d == pfsync.FreeBSD15:
		return pfsync.ActIns, pfsync.Format1500, 360
	case number == 16 && d == pfsync.FreeBSD15:
		return pfsync.ActUpd, pfsync.Format1500, 360
	}
	return pfsync.ActUnknown, 0, 0
}

// formatsOf are the formats of states that may be in a frame.
var formatsOf = map[pfsync.Dialect][]pfsync.Format{
	pfsync.OpenBSD:   {pfsync.FormatOpenBSD},
	pfsync.FreeBSD12: {pfsync.Format1301},
	pfsync.FreeBSD14: {pfsync.Format1301, pfsync.Format1400},
	pfsync.FreeBSD15: {pfsync.Format1301, pfsync.Format1400, pfsync.Format1500},
}

// checkRewrite decodes the messages of a frame, those with states only if they are
// in one format, and writes them to another, which must say the same, and come
// back octet for octet when it is decoded and written once more.
func checkRewrite(t *testing.T, d pfsync.Dialect, format pfsync.Format, secs []section) {
	wire, want := rewrite(t, d, format, secs)
	again, err := readFrame(t, d, wire)
	if err != nil {
		t.Fatalf("%v: what was written is %v:\n%x", d, err, wire)
	}
	wire2, got := rewrite(t, d, format, again)
	if !slices.Equal(want, got) {
		t.Fatalf("%v: written and read it is different:\n%s", d, gocmp.Diff(want, got))
	}
	if !bytes.Equal(wire, wire2) {
		t.Fatalf("%v: read and written it is\n%x, was\n%x", d, wire2, wire)
	}
}

// rewrite writes a frame with the messages of secs, and returns it and what they
// are in Go.
func rewrite(t *testing.T, d pfsync.Dialect, format pfsync.Format, secs []section) (wire []byte, decoded []any) {
	w := pfsync.NewWriter(d, format, 1<<17)
	for _, s := range secs {
		if s.Format != 0 && s.Format != format || s.Action == pfsync.ActUnknown {
			continue
		}
		for _, msg := range s.Messages {
			v, ok := transcribe(t, w, d, s.Action, s.Format, msg)
			if !ok {
				return w.Bytes(), decoded // only FreeBSD's frames can be too long: they read beyond Len
			}
			decoded = append(decoded, v)
		}
	}
	return w.Bytes(), decoded
}

// transcribe decodes a message and appends it to w.
func transcribe(t *testing.T, w *pfsync.Writer, d pfsync.Dialect, a pfsync.Action, format pfsync.Format, msg []byte) (any, bool) {
	var (
		st  pfsync.State
		id  pfsync.StateID
		upd pfsync.UpdC
		clr pfsync.Clr
		bus pfsync.Bus
		tdb pfsync.TDB
	)
	must := func(err error) {
		if err != nil {
			t.Fatalf("%v: %v", a, err)
		}
	}
	switch a {
	case pfsync.ActIns, pfsync.ActUpd, pfsync.ActDel:
		must(st.Unmarshal(format, msg))
		for _, k := range []*pfsync.Key{&st.Wire, &st.Stack} {
			if format == pfsync.Format1500 { // 0 stands for the state's
				k.AF, k.Proto = cmp.Or(k.AF, st.AF), cmp.Or(k.Proto, st.Proto)
			}
		}
		return st, map[pfsync.Action]func(*pfsync.State) bool{
			pfsync.ActIns: w.Ins, pfsync.ActUpd: w.Upd, pfsync.ActDel: w.Del,
		}[a](&st)
	case pfsync.ActInsAck:
		must(id.UnmarshalBinary(msg))
		return id, w.InsAck(id)
	case pfsync.ActUpdReq:
		must(id.UnmarshalBinary(msg))
		return id, w.UpdReq(id)
	case pfsync.ActDelC:
		must(id.UnmarshalBinary(msg))
		return id, w.DelC(id)
	case pfsync.ActUpdC:
		must(upd.UnmarshalBinary(msg))
		return upd, w.UpdC(&upd)
	case pfsync.ActClr:
		must(clr.UnmarshalBinary(msg))
		return clr, w.Clr(&clr)
	case pfsync.ActBus:
		must(bus.UnmarshalBinary(msg))
		return bus, w.Bus(&bus)
	case pfsync.ActTDB:
		must(tdb.Unmarshal(d, msg))
		return tdb, w.TDB(&tdb)
	}
	t.Fatalf("a message of %v", a)
	return nil, false
}
