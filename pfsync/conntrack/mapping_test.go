package conntrack

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func pfKey(af pfsync.AF, proto uint8, a string, aPort uint16, b string, bPort uint16) pfsync.Key {
	return pfsync.Key{AF: af, Proto: proto, Addr: [2]pfsync.Addr{pfAddr(ip(a)), pfAddr(ip(b))}, Port: [2]uint16{aPort, bPort}}
}

// udp is an entry with the addresses and ports of both tuples.
func udp(origSrc string, sport uint16, origDst string, dport uint16, replySrc string, rsport uint16, replyDst string, rdport uint16) Entry {
	return Entry{
		Orig:   Tuple{Src: ip(origSrc), SrcPort: sport, Dst: ip(origDst), DstPort: dport, Proto: ProtoUDP},
		Reply:  Tuple{Src: ip(replySrc), SrcPort: rsport, Dst: ip(replyDst), DstPort: rdport, Proto: ProtoUDP},
		Status: StatusConfirmed | StatusSeenReply, Timeout: 20,
	}
}

// TestMappingKeys goes through the ways in which a connection can be translated.
func TestMappingKeys(t *testing.T) {
	const c, v, s, n = "192.0.2.100", "203.0.113.1", "198.51.100.100", "198.51.100.1"
	key := func(a string, ap uint16, b string, bp uint16) pfsync.Key {
		return pfKey(pfsync.AFInet, ProtoUDP, a, ap, b, bp)
	}
	icmp := func(typ uint8, id, nat uint16) Entry {
		return Entry{
			Orig:   Tuple{Src: ip(c), Dst: ip(s), Proto: ProtoICMP, ICMPID: id, ICMPType: typ},
			Reply:  Tuple{Src: ip(s), Dst: ip(n), Proto: ProtoICMP, ICMPID: nat, ICMPType: inverseICMP(ProtoICMP, typ)},
			Status: StatusConfirmed | StatusSeenReply, Timeout: 20,
		}
	}
	icmpKey := func(a string, ap uint16, b string, bp uint16) pfsync.Key {
		return pfKey(pfsync.AFInet, ProtoICMP, a, ap, b, bp)
	}
	for _, tt := range []struct {
		name                               string
		dialect                            pfsync.Dialect
		e                                  Entry
		inWire, inStack, outStack, outWire pfsync.Key
	}{
		{"plain", pfsync.OpenBSD, udp(c, 1000, s, 53, s, 53, c, 1000),
			key(c, 1000, s, 53), key(c, 1000, s, 53), key(s, 53, c, 1000), key(s, 53, c, 1000)},
		{"source", pfsync.OpenBSD, udp(c, 1000, s, 53, s, 53, n, 2000),
			key(c, 1000, s, 53), key(c, 1000, s, 53), key(s, 53, c, 1000), key(s, 53, n, 2000)},
		{"destination", pfsync.OpenBSD, udp(c, 1000, v, 53, s, 5353, c, 1000),
			key(c, 1000, v, 53), key(c, 1000, s, 5353), key(s, 5353, c, 1000), key(s, 5353, c, 1000)},
		{"both", pfsync.FreeBSD15, udp(c, 1000, v, 53, s, 5353, n, 2000),
			key(c, 1000, v, 53), key(c, 1000, s, 5353), key(s, 5353, c, 1000), key(s, 5353, n, 2000)},
		{"port of the source only", pfsync.FreeBSD12, udp(c, 1000, s, 53, s, 53, c, 1001),
			key(c, 1000, s, 53), key(c, 1000, s, 53), key(s, 53, c, 1000), key(s, 53, c, 1001)},
		{"ping", pfsync.OpenBSD, icmp(8, 4711, 815),
			icmpKey(c, 4711, s, 8), icmpKey(c, 4711, s, 8), icmpKey(s, 8, c, 4711), icmpKey(s, 8, n, 815)},
		{"timestamp", pfsync.FreeBSD15, icmp(13, 4711, 815),
			icmpKey(c, 4711, s, 13), icmpKey(c, 4711, s, 13), icmpKey(s, 13, c, 4711), icmpKey(s, 13, n, 815)},
		{"ping to an old FreeBSD", pfsync.FreeBSD12, icmp(8, 4711, 815),
			icmpKey(c, 4711, s, 4711), icmpKey(c, 4711, s, 4711), icmpKey(s, 4711, c, 4711), icmpKey(s, 815, n, 815)},
	} {
		m := Mapping{Dialect: tt.dialect}
		var in, out pfsync.State
		if err := m.Export(&tt.e, 0, &in, &out); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := [4]pfsync.Key{tt.inWire, tt.inStack, tt.outStack, tt.outWire}
		if diff := cmp.Diff(want, [4]pfsync.Key{in.Wire, in.Stack, out.Stack, out.Wire}); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if in.Direction != pfsync.In || out.Direction != pfsync.Out || in.IfName.String() != "all" {
			t.Errorf("%s: %v %v %v", tt.name, in.Direction, out.Direction, in.IfName)
		}
	}
}

// overTheWire sends a state in each of the formats of a dialect.
func overTheWire(t *testing.T, d pfsync.Dialect, st pfsync.State) []pfsync.State {
	t.Helper()
	formats := map[pfsync.Dialect][]pfsync.Format{
		pfsync.OpenBSD: {pfsync.FormatOpenBSD}, pfsync.FreeBSD12: {pfsync.Format1301},
		pfsync.FreeBSD15: {pfsync.Format1301, pfsync.Format1400, pfsync.Format1500},
	}[d]
	var all []pfsync.State
	for _, f := range formats {
		var got pfsync.State
		got.Unmarshal(f, st.Append(f, nil))
		if err := got.Check(d); err != nil {
			t.Errorf("a %v would not take it: %v", d, err)
		}
		if got.Digest() != st.Digest() {
			t.Errorf("%v, format %d: it is another one behind the wire", d, f)
		}
		all = append(all, got)
	}
	return all
}

// TestMappingRoundTrip sends every kind of entry over every wire. What comes out is what
// went in, but for what conntrack is told of windows, and more than pf's time-out.
func TestMappingRoundTrip(t *testing.T) {
	entries := map[string]Entry{
		"UDP, unanswered": udp("192.0.2.1", 1, "192.0.2.2", 2, "192.0.2.2", 2, "192.0.2.1", 1),
		"UDP, answered":   udp("192.0.2.1", 1, "192.0.2.2", 2, "192.0.2.3", 3, "192.0.2.4", 4),
		"UDP, a stream":   udp("2001:db8::1", 1, "2001:db8::2", 2, "2001:db8::3", 3, "2001:db8::4", 4),
		"another protocol": {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: 50},
			Reply: Tuple{Src: ip("192.0.2.2"), Dst: ip("192.0.2.4"), Proto: 50}, Status: StatusConfirmed | StatusSeenReply, Timeout: 25},
		"ICMP": {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoICMP, ICMPID: 7, ICMPType: 8},
			Reply: Tuple{Src: ip("192.0.2.2"), Dst: ip("192.0.2.4"), Proto: ProtoICMP, ICMPID: 9}, Status: StatusConfirmed | StatusSeenReply, Timeout: 15},
		"ICMPv6": {Orig: Tuple{Src: ip("2001:db8::1"), Dst: ip("2001:db8::2"), Proto: ProtoICMPv6, ICMPID: 7, ICMPType: 128},
			Reply: Tuple{Src: ip("2001:db8::2"), Dst: ip("2001:db8::1"), Proto: ProtoICMPv6, ICMPID: 7, ICMPType: 129}, Status: StatusConfirmed | StatusSeenReply, Timeout: 15},
	}
	change := func(name string, f func(*Entry)) { e := entries[name]; f(&e); entries[name] = e }
	change("UDP, unanswered", func(e *Entry) { e.Status = StatusConfirmed })
	change("UDP, a stream", func(e *Entry) { e.Status |= StatusAssured; e.Timeout = 120 })
	// What conntrack's states are to come out as: pf knows no more of how far a
	// connection is that it must pick up.
	states := map[TCPState]TCPState{
		TCPSynRecv: TCPSynRecv, TCPEstablished: TCPEstablished, TCPFinWait: TCPFinWait, TCPCloseWait: TCPFinWait,
		TCPLastAck: TCPLastAck, TCPTimeWait: TCPTimeWait, TCPClose: TCPClose, TCPSynSent: TCPSynSent, TCPSynSent2: TCPSynRecv,
	}
	for from := range states {
		e := snat4(1000)
		e.TCP = TCP{State: from, WScale: [2]uint8{7, 9}, Flags: [2]TCPFlags{TCPWindowScale | TCPSACK, TCPWindowScale | TCPSACK}}
		e.Timeout = 40
		entries["TCP "+from.String()] = e
	}
	for name, e := range entries {
		for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD15} {
			m := Mapping{Dialect: d}
			var in, out pfsync.State
			if err := m.Export(&e, 0, &in, &out); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			in.StateID, out.StateID = pfsync.StateID{ID: 1, CreatorID: 9}, pfsync.StateID{ID: 2, CreatorID: 9}
			want := Entry{Orig: e.Orig, Reply: e.Reply, Status: e.Status & statusSettable, TCP: e.TCP, Timeout: min(e.Timeout, lifetime(in.Timeout))}
			if e.Orig.Proto == ProtoTCP {
				want.TCP.State = states[e.TCP.State]
				switch {
				case want.TCP.State.before(TCPSynRecv):
					want.Status = StatusConfirmed
				case want.TCP.State == TCPSynRecv:
					want.Status = StatusConfirmed | StatusSeenReply
				default:
					want.Status = StatusConfirmed | StatusSeenReply | StatusAssured
				}
				for dir := range want.TCP.Flags {
					want.TCP.Flags[dir] |= TCPLiberal
				}
			}
			ins, outs := overTheWire(t, d, in), overTheWire(t, d, out)
			for i := range ins {
				var got Entry
				if err := m.Import(&ins[i], &outs[i], &got); err != nil {
					t.Errorf("%s, %v: %v", name, d, err)
				} else if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Errorf("%s, %v: %s", name, d, diff)
				}
				one, _ := Middle(&ins[i])
				if other, _ := Middle(&outs[i]); one != other {
					t.Errorf("%s, %v: not to be found to belong together: %v and %v", name, d, one, other)
				}
			}
		}
	}
}

// TestMappingOfOne: one of the two states is enough for a connection that is not
// translated on the side of the other.
func TestMappingOfOne(t *testing.T) {
	m := Mapping{}
	dnat := udp("192.0.2.1", 1, "203.0.113.1", 2, "198.51.100.1", 3, "192.0.2.1", 1)
	snat := udp("192.0.2.1", 1, "198.51.100.1", 3, "198.51.100.1", 3, "203.0.113.1", 4)
	for name, e := range map[string]Entry{"in": dnat, "out": snat} {
		var in, out pfsync.State
		if err := m.Export(&e, 0, &in, &out); err != nil {
			t.Fatal(err)
		}
		one, other := &in, (*pfsync.State)(nil)
		if name == "out" {
			one, other = nil, &out
		}
		var got Entry
		if err := m.Import(one, other, &got); err != nil || got.Orig != e.Orig || got.Reply != e.Reply {
			t.Errorf("%s: %v, %v, want %v", name, &got, err, &e)
		}
	}
}

// TestMappingTCPExport holds what a pf peer is told against what was found to work on
// live kernels.
func TestMappingTCPExport(t *testing.T) {
	scaled := [2]TCPFlags{TCPWindowScale, TCPWindowScale}
	for _, tt := range []struct {
		name   string
		sloppy bool
		tcp    TCP
		src    pfsync.Peer
		dst    pfsync.Peer
		flags  pfsync.StateFlags
		class  pfsync.Timeout
	}{
		{"scaled", false, TCP{State: TCPEstablished, WScale: [2]uint8{10, 2}, Flags: scaled},
			pfsync.Peer{SeqHi: 1, MaxWin: 256, WScale: 0x8a}, pfsync.Peer{SeqHi: 1, MaxWin: 65535, WScale: 0x82}, 0, pfsync.TCPEstab},
		{"scaled by most", false, TCP{State: TCPEstablished, WScale: [2]uint8{14, 77}, Flags: scaled},
			pfsync.Peer{SeqHi: 1, MaxWin: 16, WScale: 0x8e}, pfsync.Peer{SeqHi: 1, MaxWin: 16, WScale: 0x8e}, 0, pfsync.TCPEstab},
		{"known not to be scaled", false, TCP{State: TCPEstablished, Flags: [2]TCPFlags{TCPWindowScale, 0}},
			pfsync.Peer{SeqHi: 1, MaxWin: 65535}, pfsync.Peer{SeqHi: 1, MaxWin: 65535}, 0, pfsync.TCPEstab},
		{"met in mid-stream", false, TCP{State: TCPEstablished, Flags: [2]TCPFlags{TCPLiberal, TCPLiberal}},
			pfsync.Peer{State: 4}, pfsync.Peer{State: 4}, pfsync.FlagSloppy, pfsync.TCPEstab},
		{"all sloppy", true, TCP{State: TCPEstablished, Flags: scaled},
			pfsync.Peer{State: 4}, pfsync.Peer{State: 4}, pfsync.FlagSloppy, pfsync.TCPEstab},
		{"all sloppy, the server closes", true, TCP{State: TCPFinWait, Flags: [2]TCPFlags{0, TCPCloseInit}},
			pfsync.Peer{State: 4}, pfsync.Peer{State: 7}, pfsync.FlagSloppy, pfsync.TCPClose},
		{"over", false, TCP{State: TCPTimeWait, Flags: scaled},
			pfsync.Peer{State: 9, SeqHi: 1, MaxWin: 65535, WScale: 0x80}, pfsync.Peer{State: 9, SeqHi: 1, MaxWin: 65535, WScale: 0x80}, 0, pfsync.TCPClosedTimeout},
	} {
		e := tcp4(1000)
		e.TCP, e.Timeout = tt.tcp, 432000
		var in, out pfsync.State
		if err := (Mapping{Sloppy: tt.sloppy}).Export(&e, 0, &in, &out); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for _, st := range []pfsync.State{in, out} {
			if diff := cmp.Diff([2]pfsync.Peer{tt.src, tt.dst}, [2]pfsync.Peer{st.Src, st.Dst}); diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
			if st.Flags != tt.flags || st.Timeout != tt.class || st.Expire != lifetime(tt.class) {
				t.Errorf("%s: flags %#x, class %v, %d s left", tt.name, st.Flags, st.Timeout, st.Expire)
			}
		}
	}
}

// TestMappingTCPImport goes through what pf can say of a TCP connection.
func TestMappingTCPImport(t *testing.T) {
	const none, orig, reply = -1, DirOrig, DirReply
	for _, tt := range []struct {
		src, dst pfsync.PeerState
		want     TCPState
		closer   int
	}{
		{2, 0, TCPSynSent, none}, {2, 2, TCPSynSent2, none}, {4, 2, TCPSynRecv, none}, {4, 4, TCPEstablished, none},
		{7, 4, TCPFinWait, orig}, {4, 7, TCPFinWait, reply}, {9, 4, TCPCloseWait, orig}, {4, 9, TCPCloseWait, reply},
		{9, 7, TCPLastAck, orig}, {7, 9, TCPLastAck, reply}, {7, 7, TCPLastAck, none}, {9, 9, TCPTimeWait, none},
		{10, 10, TCPClose, none}, {10, 9, TCPTimeWait, none},
		{11, 0, TCPNone, none}, {12, 4, TCPNone, none}, {0, 0, TCPNone, none},
	} {
		st := pfsync.State{Direction: pfsync.In, Proto: ProtoTCP, Timeout: pfsync.TCPEstab, Expire: 100,
			Wire: pfKey(pfsync.AFInet, ProtoTCP, "192.0.2.1", 1, "192.0.2.2", 2)}
		st.Stack = st.Wire
		st.Src = pfsync.Peer{State: tt.src, SeqLo: 1000, SeqHi: 2000}
		st.Dst = pfsync.Peer{State: tt.dst, SeqLo: 3000, SeqHi: 4000}
		var e Entry
		err := (Mapping{}).Import(&st, nil, &e)
		if tt.want == TCPNone {
			if !errors.Is(err, ErrUnmapped) {
				t.Errorf("%d:%d: %v, %v", tt.src, tt.dst, e.TCP.State, err)
			}
			continue
		}
		if err != nil || e.TCP.State != tt.want {
			t.Errorf("%d:%d: %v, want %v, %v", tt.src, tt.dst, e.TCP.State, tt.want, err)
		}
		for dir := range e.TCP.Flags {
			if has := e.TCP.Flags[dir]&TCPCloseInit != 0; has != (dir == tt.closer) {
				t.Errorf("%d:%d: direction %d has closed: %t", tt.src, tt.dst, dir, has)
			}
			if e.TCP.Flags[dir]&(TCPLiberal|TCPSACK|TCPWindowScale) != TCPLiberal|TCPSACK {
				t.Errorf("%d:%d: flags %#x", tt.src, tt.dst, e.TCP.Flags[dir])
			}
		}
	}
}

// TestMappingRenew: what a connection has come to here never takes a state back, nor
// touches the numbers of a pf.
func TestMappingRenew(t *testing.T) {
	m := Mapping{}
	numbers := pfsync.Peer{State: 4, SeqLo: 7, SeqHi: 8, MaxWin: 9, WScale: 0x81}
	for _, tt := range []struct {
		name     string
		class    pfsync.Timeout
		src, dst pfsync.PeerState
		flags    pfsync.StateFlags
		state    TCPState
		news     bool
		wantC    pfsync.Timeout
		want     [2]pfsync.PeerState
	}{
		{"as it was", pfsync.TCPEstab, 0, 0, 0, TCPEstablished, false, pfsync.TCPEstab, [2]pfsync.PeerState{0, 0}},
		{"on", pfsync.TCPOpening, 0, 0, 0, TCPEstablished, true, pfsync.TCPEstab, [2]pfsync.PeerState{0, 0}},
		{"back", pfsync.TCPClose, 0, 0, 0, TCPEstablished, false, pfsync.TCPClose, [2]pfsync.PeerState{0, 0}},
		{"with a pf's numbers", pfsync.TCPEstab, 4, 4, 0, TCPFinWait, true, pfsync.TCPClose, [2]pfsync.PeerState{4, 4}},
		{"over", pfsync.TCPEstab, 4, 4, 0, TCPTimeWait, true, pfsync.TCPClosedTimeout, [2]pfsync.PeerState{9, 9}},
		{"sloppy", pfsync.TCPEstab, 4, 4, pfsync.FlagSloppy, TCPFinWait, true, pfsync.TCPClose, [2]pfsync.PeerState{7, 4}},
	} {
		st := pfsync.State{Proto: ProtoTCP, Timeout: tt.class, Src: numbers, Dst: numbers, Flags: tt.flags}
		st.Src.State, st.Dst.State = tt.src, tt.dst
		e := tcp4(1)
		e.TCP.State = tt.state
		e.TCP.Flags = [2]TCPFlags{TCPCloseInit, 0}
		news := m.renew(&e, &st)
		if news != tt.news || st.Timeout != tt.wantC || st.Src.State != tt.want[0] || st.Dst.State != tt.want[1] {
			t.Errorf("%s: news %t, %v, %d:%d", tt.name, news, st.Timeout, st.Src.State, st.Dst.State)
		}
		st.Src.State = numbers.State
		if st.Src != numbers {
			t.Errorf("%s: numbers have changed: %+v", tt.name, st.Src)
		}
	}
}

func TestUnmapped(t *testing.T) {
	m := Mapping{}
	var in, out pfsync.State
	zoned := tcp4(1)
	zoned.Zone = 5
	for name, e := range map[string]Entry{
		"a zone":             zoned,
		"SCTP":               {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoSCTP}},
		"CARP":               {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("224.0.0.18"), Proto: 112}},
		"an ICMP error":      {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoICMP, ICMPType: 3}},
		"TCP in no state":    {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoTCP}},
		"ICMP with a code":   {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoICMP, ICMPType: 8, ICMPCode: 1}},
		"pfsync itself":      {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("224.0.0.240"), Proto: 240}},
		"TCP, unknown state": {Orig: Tuple{Src: ip("192.0.2.1"), Dst: ip("192.0.2.2"), Proto: ProtoTCP}, TCP: TCP{State: 99}},
	} {
		if err := m.Export(&e, 0, &in, &out); !errors.Is(err, ErrUnmapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var e Entry
	nat64 := pfsync.State{Direction: pfsync.In, Wire: pfKey(pfsync.AFInet6, ProtoTCP, "::1", 1, "::2", 2), Stack: pfKey(pfsync.AFInet, ProtoTCP, "192.0.2.1", 1, "192.0.2.2", 2)}
	nowhere := pfsync.State{Wire: pfKey(pfsync.AFInet, ProtoTCP, "192.0.2.1", 1, "192.0.2.2", 2), Stack: pfKey(pfsync.AFInet, ProtoTCP, "192.0.2.1", 1, "192.0.2.2", 2)}
	for name, st := range map[string]pfsync.State{"NAT64": nat64, "no direction": nowhere} {
		if err := m.Import(&st, nil, &e); !errors.Is(err, ErrUnmapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkMapping(b *testing.B) {
	e := snat4(1000)
	e.TCP.Flags = [2]TCPFlags{TCPWindowScale, TCPWindowScale}
	m := Mapping{}
	var in, out pfsync.State
	var got Entry
	b.Run("export", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Export(&e, 1, &in, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("import", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := m.Import(&in, &out, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestMappingDoesNotAllocate(t *testing.T) {
	e := snat4(1000)
	var in, out pfsync.State
	var got Entry
	if n := testing.AllocsPerRun(100, func() {
		(Mapping{}).Export(&e, 1, &in, &out)
		(Mapping{}).Import(&in, &out, &got)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
