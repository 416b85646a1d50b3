package pfsync_test

import (
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// TestCodecAllocs holds that neither reading nor writing a frame allocates.
func TestCodecAllocs(t *testing.T) {
	for _, at := range layouts {
		w := pfsync.NewWriter(at.dialect, at.format, 1500)
		buf := make([]byte, 0, 1500)
		st, upd, clr, bus, tdb := someState(1), pfsync.UpdC{}, pfsync.Clr{}, pfsync.Bus{}, pfsync.TDB{}
		write := func() []byte {
			w.Reset(buf)
			_ = w.InsAck(st.StateID) && w.UpdC(&upd) && w.DelC(st.StateID) && w.Ins(&st) && w.Upd(&st) &&
				w.UpdReq(st.StateID) && w.Clr(&clr) && w.Bus(&bus) && w.TDB(&tdb)
			for w.Del(&st) {
			}
			return w.Bytes()
		}
		if n := testing.AllocsPerRun(100, func() { write() }); n != 0 {
			t.Errorf("%v: writing a frame allocates %v times", at.dialect, n)
		}

		frame := write()
		cut := frame[:len(frame)-5]
		var got, messages int
		read := func() {
			got, messages = 0, 0
			f, err := pfsync.Parse(at.dialect, frame)
			if err != nil {
				t.Fatal(err)
			}
			for s := range f.Sections() {
				for msg := range s.Messages() {
					messages++
					if decode(at.dialect, s, msg, &st, &upd, &clr, &bus, &tdb) == nil {
						got++
					}
				}
			}
			if _, err := pfsync.Parse(at.dialect, cut); err == nil {
				t.Fatal("a frame that was cut off is fine")
			}
		}
		if n := testing.AllocsPerRun(100, read); n != 0 || got < 10 || got != messages {
			t.Errorf("%v: reading a frame of %d messages, of which %d were fine, allocates %v times", at.dialect, messages, got, n)
		}
		if n := testing.AllocsPerRun(100, func() { buf = st.Append(at.format, buf[:0]) }); n != 0 {
			t.Errorf("%v: encoding a state allocates %v times", at.dialect, n)
		}
		if n := testing.AllocsPerRun(100, func() { _ = st.Check(at.dialect) }); n != 0 {
			t.Errorf("%v: checking a good state allocates %v times", at.dialect, n)
		}
	}
}

// decode reads a message into the one that it is.
func decode(d pfsync.Dialect, s pfsync.Section, msg []byte, st *pfsync.State, upd *pfsync.UpdC, clr *pfsync.Clr, bus *pfsync.Bus, tdb *pfsync.TDB) error {
	switch s.Action {
	case pfsync.ActIns, pfsync.ActUpd, pfsync.ActDel:
		return st.Unmarshal(s.Format, msg)
	case pfsync.ActInsAck, pfsync.ActUpdReq, pfsync.ActDelC:
		return st.StateID.UnmarshalBinary(msg)
	case pfsync.ActUpdC:
		return upd.UnmarshalBinary(msg)
	case pfsync.ActClr:
		return clr.UnmarshalBinary(msg)
	case pfsync.ActBus:
		return bus.UnmarshalBinary(msg)
	case pfsync.ActTDB:
		return tdb.Unmarshal(d, msg)
	}
	return pfsync.ErrAction
}
