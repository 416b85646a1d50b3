package fuzz

import (
	"bytes"
	"encoding"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// FuzzPfsyncState decodes anything as a state of any format.
func FuzzPfsyncState(f *testing.F) {
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		format := formatsOf[pfsync.FreeBSD15][which%3]
		if which%4 == 3 {
			format = pfsync.FormatOpenBSD
		}
		dirt := pfsync.State{Updates: 9, QID: 9, Rt: 9, RtAF: 9, Tag: pfsync.Tag{9}, RTableID: [2]int32{9, 9}, OrigIfName: pfsync.Name{9}}
		st, dirty := pfsync.State{}, dirt
		b = bytes.Clone(b)
		err := st.Unmarshal(format, b[:len(b):len(b)])
		err2 := dirty.Unmarshal(format, append(bytes.Clone(b), make([]byte, 400)...)[:len(b)])
		if (err != nil) != (len(b) < format.Size()) || err != err2 {
			t.Fatalf("%d octets as a state of %d: %v, %v", len(b), format.Size(), err, err2)
		}
		if err != nil {
			if st != (pfsync.State{}) || dirty != dirt {
				t.Fatal("refused, yet it changed the state")
			}
			return
		}
		if st != dirty {
			t.Fatalf("decoded over another state it is\n%+v, else\n%+v", dirty, st)
		}
		for i := range b {
			b[i]++ // nothing of it may be kept
		}
		wire := st.Append(format, []byte("before"))
		var again, whole pfsync.State
		if err := again.Unmarshal(format, wire[6:]); err != nil || string(wire[:6]) != "before" || len(wire) != 6+format.Size() {
			t.Fatalf("%v: encoded it has %d octets", err, len(wire)-6)
		}
		if format == pfsync.Format1500 { // 0 of a key stands for the state's
			again.Stack.AF, again.Stack.Proto = zeroIf(st.Stack.AF == 0, again.Stack.AF), zeroIf(st.Stack.Proto == 0, again.Stack.Proto)
		}
		if again != st {
			t.Fatalf("encoded and decoded it is\n%+v, was\n%+v", again, st)
		}
		if err := whole.UnmarshalBinary(wire[6:]); err != nil {
			t.Fatal(err)
		}
		checkState(t, &st)
	})
}

func zeroIf[T any](yes bool, v T) (zero T) {
	if yes {
		return zero
	}
	return v
}

// checkState wants st judged and printed by every system.
func checkState(t *testing.T, st *pfsync.State) {
	upd := pfsync.UpdC{Src: st.Src, Dst: st.Dst, Timeout: st.Timeout}
	for d := pfsync.OpenBSD; d <= pfsync.FreeBSD15; d++ {
		ins, update := st.Check(d), st.CheckUpdate(d)
		for _, err := range []error{ins, update, upd.Check(d)} {
			if err != nil && (!errors.Is(err, pfsync.ErrValue) || err.Error() == pfsync.ErrValue.Error()) {
				t.Fatalf("%v: %v", d, err)
			}
		}
		if update != nil && ins == nil || (update == nil) != (upd.Check(d) == nil) {
			t.Fatalf("%v: an INS is %v, an UPD %v, an UPD_C %v", d, ins, update, upd.Check(d))
		}
		for verbose := range 3 {
			lines := 1 + verbose
			if verbose > 0 && st.Proto == 6 {
				lines++
			}
			if verbose == 2 && d >= pfsync.FreeBSD14 && st.OrigIfName.String() != st.IfName.String() {
				lines++
			}
			text := string(st.AppendPfctl(nil, d, verbose))
			if strings.Count(text, "\n")+1 != lines || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
				t.Fatalf("%v verbose %d: want %d lines of text:\n%q", d, verbose, lines, text)
			}
		}
	}
}

// FuzzPfsyncMessage decodes anything as any message but a state.
func FuzzPfsyncMessage(f *testing.F) {
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		switch kind % 6 {
		case 0:
			checkMessage(t, b, 20, pfsync.Clr{CreatorID: 9}, func(m *pfsync.Clr) encoding.BinaryUnmarshaler { return m }, (*pfsync.Writer).Clr)
		case 1:
			checkMessage(t, b, 12, pfsync.StateID{ID: 9}, func(m *pfsync.StateID) encoding.BinaryUnmarshaler { return m },
				func(w *pfsync.Writer, m *pfsync.StateID) bool { return w.InsAck(*m) })
		case 2:
			checkMessage(t, b, 84, pfsync.UpdC{Expire: 9, Flags: 9}, func(m *pfsync.UpdC) encoding.BinaryUnmarshaler { return m }, (*pfsync.Writer).UpdC)
		case 3:
			checkMessage(t, b, 12, pfsync.Bus{EndTime: 9}, func(m *pfsync.Bus) encoding.BinaryUnmarshaler { return m }, (*pfsync.Writer).Bus)
		case 4:
			checkMessage(t, b, 52, pfsync.TDB{RDomain: 9}, tdbOf(pfsync.OpenBSD), (*pfsync.Writer).TDB)
		case 5:
			checkMessage(t, b, 48, pfsync.TDB{RDomain: 9}, tdbOf(pfsync.FreeBSD14), (*pfsync.Writer).TDB)
		}
	})
}

// checkMessage decodes b, which must be size octets long, over a zero and a dirty
// message, and writes what it is and reads it again.
func checkMessage[T comparable](t *testing.T, b []byte, size int, dirt T, as func(*T) encoding.BinaryUnmarshaler, write func(*pfsync.Writer, *T) bool) {
	var m, zero T
	dirty := dirt
	err := as(&m).UnmarshalBinary(b[:len(b):len(b)])
	err2 := as(&dirty).UnmarshalBinary(append(bytes.Clone(b), make([]byte, 400)...)[:len(b)])
	if (err != nil) != (len(b) < size) || err != err2 {
		t.Fatalf("%T of %d octets: %v, %v", m, len(b), err, err2)
	}
	if err != nil {
		if m != zero || dirty != dirt {
			t.Fatalf("%T: refused, yet it changed", m)
		}
		return
	}
	if m != dirty {
		t.Fatalf("%T: decoded over another it is\n%+v, else\n%+v", m, dirty, m)
	}
	d := pfsync.OpenBSD
	if tdb, ok := as(&m).(tdbIn); ok {
		d = tdb.dialect
	}
	w := pfsync.NewWriter(d, 0, 1500)
	if !write(w, &m) {
		t.Fatalf("%T does not fit a frame", m)
	}
	f, err := pfsync.Parse(d, w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for s := range f.Sections() {
		for msg := range s.Messages() {
			var again T
			if err := as(&again).UnmarshalBinary(msg); err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%T: %v: written and read it is\n%+v, was\n%+v", m, err, again, m)
			}
		}
	}
}

// tdbIn is a TDB of a system.
type tdbIn struct {
	*pfsync.TDB
	dialect pfsync.Dialect
}

func (m tdbIn) UnmarshalBinary(b []byte) error { return m.Unmarshal(m.dialect, b) }

func tdbOf(d pfsync.Dialect) func(*pfsync.TDB) encoding.BinaryUnmarshaler {
	return func(m *pfsync.TDB) encoding.BinaryUnmarshaler { return tdbIn{m, d} }
}
