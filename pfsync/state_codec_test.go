package pfsync_test

import (
	"encoding/binary"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// someState is a state with something in every field that all formats have, and
// zeros elsewhere; n makes it another one.
func someState(n int) pfsync.State {
	st := pfsync.State{
		StateID: pfsync.StateID{ID: 0x6b01f3bf00000000 + uint64(n), CreatorID: 0x8e0e4cdf},
		Wire:    pfsync.Key{Port: [2]uint16{443, 50001}, AF: pfsync.AFInet, Proto: 6},
		Src: pfsync.Peer{
			Scrub: pfsync.Scrub{Flags: 1, TTL: 63, Valid: 1, TSMod: 0x01020304},
			SeqLo: 1000, SeqHi: 66536, SeqDiff: 77, MaxWin: 502, MSS: 1460, State: pfsync.TCPEstablished, WScale: 0x87,
		},
		Dst: pfsync.Peer{SeqLo: 9000, SeqHi: 73000, MaxWin: 501, MSS: 1440, State: pfsync.TCPFinWait2, WScale: 0x8a},

		Rule: 13, Anchor: 1<<32 - 1, NATRule: 1<<32 - 1,
		Creation: 3661, Expire: 86399, Packets: [2]uint64{4, 3}, Bytes: [2]uint64{1 << 40, 172},
		RTableID: [2]int32{-1, -1},
		AF:       pfsync.AFInet, Proto: 6, Direction: pfsync.Out, Log: 1, Timeout: pfsync.TCPClose,
		Flags: pfsync.FlagSloppy,
	}
	copy(st.IfName[:], "em0")
	copy(st.Wire.Addr[0][:], []byte{203, 0, 113, 100})
	copy(st.Wire.Addr[1][:], []byte{203, 0, 113, 1})
	st.Stack = st.Wire
	copy(st.Stack.Addr[1][:], []byte{10, 1, 0, 100})
	st.Stack.Port[1] = 43001
	return st
}

// TestStateUnmarshalV14 is V14: the number of IPv6 is of the system, and all
// numbers, wrong ones too, survive decoding and encoding.
func TestStateUnmarshalV14(t *testing.T) {
	for _, c := range []struct {
		format       pfsync.Format
		inet6        uint8
		af, wire, rt int // where they are
	}{
		{pfsync.FormatOpenBSD, 24, 250, 62, 254},
		{pfsync.Format1301, 28, 232, 0, 0},
		{pfsync.Format1400, 28, 232, 0, 260},
		{pfsync.Format1500, 28, 344, 344, 352},
	} {
		for n := range 256 {
			b := make([]byte, c.format.Size())
			b[c.af] = byte(n)
			if c.wire != 0 {
				b[c.wire] = byte(n)
			}
			if c.rt != 0 {
				b[c.rt] = byte(n)
			}
			if c.format == pfsync.Format1500 {
				b[345] = byte(n) // of the stack, for which 0 stands for the one of the wire
			}
			var st pfsync.State
			if err := st.Unmarshal(c.format, b); err != nil {
				t.Fatal(err)
			}
			if (st.AF == pfsync.AFInet) != (n == 2) || (st.AF == pfsync.AFInet6) != (n == int(c.inet6)) || (st.Wire.AF == pfsync.AFInet6) != (n == int(c.inet6)) {
				t.Errorf("format %d: address family %d is %v", c.format, n, st.AF)
			}
			if back := st.Append(c.format, nil); string(back) != string(b) {
				t.Errorf("format %d: address family and route type %d came back as %d %d", c.format, n, back[c.af], back[c.rt])
			}
		}
	}
}

// TestRouteTypes holds the names of route types against the numbers of the systems.
func TestRouteTypes(t *testing.T) {
	for _, at := range layouts {
		off := map[pfsync.Format]int{pfsync.FormatOpenBSD: 254, pfsync.Format1400: 260, pfsync.Format1500: 352}[at.format]
		if off == 0 {
			continue
		}
		for name, n := range layout().Rt[at.family] {
			b := make([]byte, at.format.Size())
			b[off] = n
			var st pfsync.State
			if err := st.Unmarshal(at.format, b); err != nil || st.Rt.String() != name {
				t.Errorf("format %d: route type %d is %v, %v, want %s", at.format, n, st.Rt, err, name)
			}
		}
	}
}

// TestStateFormats tries what is no state.
func TestStateFormats(t *testing.T) {
	was := someState(1)
	st := was
	for _, f := range []pfsync.Format{0, 1, 1300, 1501} {
		if err := st.Unmarshal(f, make([]byte, 400)); err != pfsync.ErrFormat || st != was {
			t.Errorf("format %d: %v", f, err)
		}
		if b := st.Append(f, []byte("before")); string(b) != "before" || f.Size() != 0 {
			t.Errorf("format %d: appended %q, size %d", f, b, f.Size())
		}
	}
	for _, f := range []pfsync.Format{pfsync.FormatOpenBSD, pfsync.Format1301, pfsync.Format1400, pfsync.Format1500} {
		if err := st.Unmarshal(f, make([]byte, f.Size()-1, 400)); err != pfsync.ErrLen || st != was {
			t.Errorf("format %d, an octet short: %v", f, err)
		}
		if err := st.UnmarshalBinary(make([]byte, f.Size()+1)); err != pfsync.ErrLen || st != was {
			t.Errorf("format %d, an octet too long: %v", f, err)
		}
	}
}

// TestStateFormatsOfOneSystem tells a node that knows all of FreeBSD's formats a
// state in an old one, and looks at what it says in a newer one: what the peer has
// to know to take it.
func TestStateFormatsOfOneSystem(t *testing.T) {
	old := someState(1)
	old.Rt, old.Flags = pfsync.RouteTo, pfsync.FlagSetPrio
	copy(old.RtAddr[:], []byte{192, 0, 2, 1})
	copy(old.RtIfName[:], "em1")
	old.RTableID[0], old.SetPrio, old.MaxMSS, old.MinTTL, old.SetTOS = 3, [2]uint8{1, 2}, 1400, 64, 8
	old.QID, old.PQID, old.DNPipe, old.DNRPipe = 1, 2, 3, 4

	var st pfsync.State
	if err := st.Unmarshal(pfsync.Format1400, old.Append(pfsync.Format1400, nil)); err != nil {
		t.Fatal(err)
	}
	var got pfsync.State
	if err := got.Unmarshal(pfsync.Format1500, st.Append(pfsync.Format1500, nil)); err != nil {
		t.Fatal(err)
	}
	want := old
	want.OrigIfName, want.RtAF = old.IfName, pfsync.AFInet
	if got != want {
		t.Errorf("from 1400 to 1500 it became\n%+v\nwant\n%+v", got, want)
	}
	if err := got.Check(pfsync.FreeBSD15); err != nil {
		t.Error(err)
	}
	if b := got.Append(pfsync.Format1301, nil); b[238] != 0 {
		t.Errorf("1301 has flags %#x of %#x", b[238], got.Flags)
	}
	if err := st.Unmarshal(pfsync.Format1301, got.Append(pfsync.Format1301, nil)); err != nil || st.RTableID != [2]int32{-1, -1} {
		t.Errorf("1301 has routing tables %v, %v", st.RTableID, err)
	}
}

// TestStateKeysLikeState encodes a state of which only the state as a whole has
// family and protocol, and one that OpenBSD translates between them.
func TestStateKeysLikeState(t *testing.T) {
	st := someState(1)
	st.AF, st.Proto = pfsync.AFInet6, 17
	st.Wire.AF, st.Wire.Proto, st.Stack.AF, st.Stack.Proto = 0, 0, 0, 0
	b := st.Append(pfsync.Format1500, nil)
	if b[344] != 28 || b[345] != 28 || b[347] != 17 || b[348] != 17 {
		t.Errorf("1500 has families %v, protocols %v", b[344:346], b[347:349])
	}
	if err := st.Check(pfsync.OpenBSD); err != nil {
		t.Errorf("keys without a family: %v", err)
	}

	st.Proto, st.Wire.AF, st.Stack.AF = 58, pfsync.AFInet6, pfsync.AFInet
	var got pfsync.State
	if err := got.Unmarshal(pfsync.FormatOpenBSD, st.Append(pfsync.FormatOpenBSD, nil)); err != nil {
		t.Fatal(err)
	}
	if got.Wire.Proto != 58 || got.Stack.Proto != 1 || got.Proto != 58 {
		t.Errorf("ICMPv6 through af-to has protocols %d and %d", got.Wire.Proto, got.Stack.Proto)
	}
}

// TestOpaque holds identities to what pfctl shows.
func TestOpaque(t *testing.T) {
	id := pfsync.StateID{ID: 0x6b01f3bf00000001, CreatorID: 0x000e4cdf}
	if got := id.String(); got != "6b01f3bf00000001/000e4cdf" {
		t.Error(got)
	}
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], id.ID)
	binary.BigEndian.PutUint32(b[8:], id.CreatorID)
	var got pfsync.StateID
	if err := got.UnmarshalBinary(b[:]); err != nil || got != id {
		t.Errorf("%v %v", got, err)
	}
}
