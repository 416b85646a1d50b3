package pfsync_test

import (
	"errors"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// TestCheck tries the values on the edge, on every system.
func TestCheck(t *testing.T) {
	for d := pfsync.OpenBSD; d <= pfsync.FreeBSD15; d++ {
		max := pfsync.Timeout(layout().TimeoutMax["openbsd"])
		if d >= pfsync.FreeBSD14 {
			max = pfsync.Timeout(layout().TimeoutMax["freebsd14plus_with_sctp"])
		}
		for _, c := range []struct {
			what   string
			change func(*pfsync.State)
			want   string // of an INS, "" if it is fine
			update bool   // an UPD and an UPD_C are as bad
		}{
			{"nothing", func(*pfsync.State) {}, "", false},
			{"the last class", func(st *pfsync.State) { st.Timeout = max - 1 }, "", false},
			{"one more", func(st *pfsync.State) { st.Timeout = max }, "timeout class", true},
			{"initiator 12", func(st *pfsync.State) { st.Src.State = 12 }, "", false},
			{"initiator 13", func(st *pfsync.State) { st.Src.State = 13 }, "bad value: state of the initiator 13", true},
			{"responder 12", func(st *pfsync.State) { st.Dst.State = 12 }, "", false},
			{"responder 255", func(st *pfsync.State) { st.Dst.State = 255 }, "bad value: state of the responder 255", true},
			{"direction 0", func(st *pfsync.State) { st.Direction = 0 }, "", false},
			{"direction 3", func(st *pfsync.State) { st.Direction = 3 }, "bad value: direction 3", false},
			{"family 24", func(st *pfsync.State) { st.AF = 24 }, "bad value: address family 24", false},
			{"family of a key", func(st *pfsync.State) { st.Wire.AF = 3 }, "bad value: address family of the wire key 3", false},
			{"family of a key", func(st *pfsync.State) { st.Stack.AF = 0 }, "bad value: address family of the stack key 0", false},
			{"families of no key", func(st *pfsync.State) { st.Wire.AF, st.Stack.AF = 0, 0 }, "", false},
			{"families of both", func(st *pfsync.State) { st.Wire.AF, st.AF = pfsync.AFInet6, pfsync.AFInet6 }, "", false},
		} {
			st := someState(1)
			c.change(&st)
			upd := pfsync.UpdC{Src: st.Src, Dst: st.Dst, Timeout: st.Timeout}
			check := func(message string, err error, bad bool) {
				if (err != nil) != bad || err != nil && !errors.Is(err, pfsync.ErrValue) {
					t.Errorf("%v %s, %s: %v", d, message, c.what, err)
				}
				if err != nil && c.want != "timeout class" && err.Error() != c.want {
					t.Errorf("%v %s, %s: %v, want %s", d, message, c.what, err, c.want)
				}
			}
			check("INS", st.Check(d), c.want != "")
			check("UPD", st.CheckUpdate(d), c.update)
			check("UPD_C", upd.Check(d), c.update)
		}
	}
}
