package pfsync_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// routed is a state that sends its packets to a gateway on an interface.
func routed(st *pfsync.State, rt pfsync.RouteType, gateway, ifname string) *pfsync.State {
	addr := netip.MustParseAddr(gateway)
	st.Rt, st.RtAF = rt, pfsync.AFInet
	if addr.Is6() {
		st.RtAF = pfsync.AFInet6
	}
	copy(st.RtAddr[:], addr.AsSlice())
	copy(st.RtIfName[:], ifname)
	return st
}

// hop is where a box sends a packet of a connection by its states, "" if it has none.
func (l *cable) hop(b *box, id pfsync.StateID) string {
	st := l.get(b, id)
	if st == nil {
		return ""
	}
	gateway := netip.AddrFrom16(st.RtAddr)
	if st.RtAddr[4] == 0 {
		gateway = netip.AddrFrom4([4]byte(st.RtAddr[:4]))
	}
	return st.Rt.String() + " " + gateway.String()
}

// checkPBR: two pairs of firewalls, one behind the other, that send packets on by
// route-to and answers back by reply-to. Ten pings pass, the last five after both
// pairs have failed over. FreeBSD 12 finds the route in the rule, and only the
// gateway in the state.
func checkPBR(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		type pair struct {
			l    *cable
			a, b *box
			id   pfsync.StateID
			hop  string
		}
		var pairs []*pair
		for i, rt := range []pfsync.RouteType{pfsync.RouteTo, pfsync.ReplyTo} {
			p := new(pair)
			p.l, p.a, p.b = twoBoxes(t, d, nil)
			in, _ := flow(uint64(100+i), 1, echoID, echoType)
			p.l.pass(p.a, routed(in, rt, "192.0.2.254", "em1"))
			p.id, p.hop = in.StateID, rt.String()+" 192.0.2.254"
			if d == pfsync.FreeBSD12 {
				p.hop = pfsync.RouteNone.String() + " 192.0.2.254"
			}
			pairs = append(pairs, p)
		}
		for i := range 10 {
			for _, p := range pairs {
				active := p.a
				if i >= 5 {
					active = p.b
				}
				hop := p.l.hop(active, p.id)
				if i < 5 && d == pfsync.FreeBSD12 {
					hop = p.hop // where the rule is
				}
				if hop != p.hop || !p.l.match(active, p.id, func(*pfsync.State) {}) {
					t.Errorf("ping %d is lost: %q, want %q", i, hop, p.hop)
				}
				p.l.sleep(time.Second)
			}
		}
	})
}

// checkRTable: a state of a routing table that the other box does not have. Which
// tables there are, the embedder's table knows.
func checkRTable(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, nil)
		fewer := &oneTable{Memory: b.store}
		s, err := pfsync.NewSession(b.cfg, fewer)
		if err != nil {
			t.Fatal(err)
		}
		b.Session = s
		l.up(b)
		l.sleep(2 * time.Second)
		st, _ := flow(100, 1, echoID, echoType)
		st.RTableID = [2]int32{3, 3}
		if l.shared(a, b, st) != nil || !errors.Is(fewer.refused, errNoTable) || b.Stats().Refused != 1 {
			t.Errorf("refused %v, counted %d", fewer.refused, b.Stats().Refused)
		}
		st, _ = flow(102, 17, clientAddr, serverAddr)
		if l.shared(a, b, st) == nil {
			t.Error("a state of the main routing table is not there")
		}
	}, pfsync.OpenBSD, pfsync.FreeBSD14, pfsync.FreeBSD15)
}

// A oneTable is a table of a system with one routing table.
type oneTable struct {
	*pfsync.Memory
	refused error
}

var errNoTable = errors.New("no such routing table")

func (s *oneTable) Insert(now time.Time, st *pfsync.State, replaced func(pfsync.StateID)) error {
	if st.RTableID[0] > 0 || st.RTableID[1] > 0 {
		s.refused = errNoTable
		return s.refused
	}
	return s.Memory.Insert(now, st, replaced)
}

// checkRouteTo1301: with message version 1301 the route is in the rule of the state,
// if both boxes have the same rules and the pool of that one has one address. We have
// no rules: what has a route there is not taken, the same as with other rules or
// another pool.
func checkRouteTo1301(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, func(c *pfsync.Config) { c.Format = pfsync.Format1301 })
		st, _ := flow(100, 1, echoID, echoType)
		if l.shared(a, b, routed(st, pfsync.RouteTo, "192.0.2.254", "em1")) != nil {
			t.Error("the state is there without its route")
		}
		st, _ = flow(102, 17, clientAddr, serverAddr)
		if l.shared(a, b, st) == nil {
			t.Error("one without a route is not")
		}
	}, pfsync.FreeBSD14, pfsync.FreeBSD15)
}

// checkRouteTo1400: the state has its route, whatever the rules are.
func checkRouteTo1400(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, func(c *pfsync.Config) { c.Format = pfsync.Format1400 })
		st, _ := flow(100, 1, echoID, echoType)
		got := l.shared(a, b, routed(st, pfsync.RouteTo, "192.0.2.254", "em1"))
		if got == nil || got.Rt != pfsync.RouteTo || got.RtAddr != st.RtAddr || got.RtIfName.String() != "em1" || got.Rule != ^uint32(0) {
			t.Errorf("the other box has %+v", got)
		}
	}, pfsync.FreeBSD14, pfsync.FreeBSD15)
}

// checkRouteTo1400BadIfName: the other box has no interface of that name.
func checkRouteTo1400BadIfName(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, func(c *pfsync.Config) {
			c.Format, c.Known = pfsync.Format1400, func(name string) bool { return name == "em0" }
		})
		st, _ := flow(100, 1, echoID, echoType)
		if l.shared(a, b, routed(st, pfsync.RouteTo, "192.0.2.254", "em1")) != nil {
			t.Error("the state is there with a route to nowhere")
		}
		st, _ = flow(102, 17, clientAddr, serverAddr)
		if l.shared(a, b, routed(st, pfsync.RouteTo, "192.0.2.254", "em0")) == nil {
			t.Error("one to an interface that is there is not")
		}
	}, pfsync.FreeBSD14, pfsync.FreeBSD15)
}

// checkRtAF: an IPv4 connection may be sent to a next hop of IPv6.
func checkRtAF(t *testing.T) {
	for i, gateway := range []string{"192.0.2.254", "2001:db8::fe"} {
		l, a, b := twoBoxes(t, pfsync.FreeBSD15, nil)
		st, _ := flow(uint64(100+i), 1, echoID, echoType)
		sent := *routed(st, pfsync.RouteTo, gateway, "em1")
		got := l.shared(a, b, st)
		if got == nil || got.RtAF != sent.RtAF || got.RtAddr != sent.RtAddr || got.AF != pfsync.AFInet {
			t.Errorf("%s: the other box has %+v", gateway, got)
		}
	}
}

// translated are the keys of a connection from IPv6 to a server of IPv4.
func translated(st *pfsync.State) {
	outside, inside := pfsync.Key{AF: pfsync.AFInet6, Proto: 58}, pfsync.Key{AF: pfsync.AFInet, Proto: 1}
	copy(outside.Addr[0][:], netip.MustParseAddr("2001:db8::10").AsSlice())
	copy(outside.Addr[1][:], netip.MustParseAddr("64:ff9b::c633:6414").AsSlice())
	outside.Port = [2]uint16{4242, 128}
	copy(inside.Addr[0][:], netip.MustParseAddr("198.51.100.20").AsSlice())
	copy(inside.Addr[1][:], netip.MustParseAddr("192.0.2.1").AsSlice())
	inside.Port = [2]uint16{8, 4242}
	st.Wire, st.Stack = outside, inside
	if st.Direction == pfsync.Out {
		st.Wire, st.Stack = inside, outside
	}
	st.AF, st.Proto = st.Wire.AF, st.Wire.Proto
}

// checkAFTo: the state of a connection whose address family is translated is the
// same there, with both families, its interface and the one that it came by. OpenBSD
// carries it, too, but for the last.
func checkAFTo(t *testing.T, dir pfsync.Direction, ifname string) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, nil)
		st, _ := flow(100, 58, netip.MustParseAddrPort("[2001:db8::10]:1"), netip.MustParseAddrPort("[2001:db8::20]:128"))
		st.Direction = dir
		translated(st)
		st.IfName, _ = pfsync.MakeName(ifname)
		st.OrigIfName, _ = pfsync.MakeName("em0")
		got := l.shared(a, b, st)
		if got == nil {
			t.Fatal("the other box does not have it")
		}
		if got.Wire != st.Wire || got.Stack != st.Stack || got.AF != st.AF || got.IfName != st.IfName {
			t.Errorf("the other box has\n%+v, want\n%+v", got, st)
		}
		if d == pfsync.FreeBSD15 && got.OrigIfName != st.OrigIfName {
			t.Errorf("made on %v, want em0", got.OrigIfName)
		}
	}, pfsync.OpenBSD, pfsync.FreeBSD15)
}

func checkAFToInFloating(t *testing.T) { checkAFTo(t, pfsync.In, "all") }
func checkAFToInIfBound(t *testing.T)  { checkAFTo(t, pfsync.In, "em0") }
func checkAFToOutIfBound(t *testing.T) { checkAFTo(t, pfsync.Out, "em0") }

// checkTag: the tag of an inbound state goes along, for the rules of the other box
// to match.
func checkTag(t *testing.T) {
	l, a, b := twoBoxes(t, pfsync.FreeBSD15, nil)
	st, _ := flow(100, 6, clientAddr, serverAddr)
	copy(st.Tag[:], "from-inside")
	if got := l.shared(a, b, st); got == nil || got.Tag.String() != "from-inside" {
		t.Errorf("the other box has %+v", got)
	}
}

// checkQueues: of a queue its number goes along, not its name.
func checkQueues(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, nil)
		st, _ := flow(100, 6, clientAddr, serverAddr)
		st.QID, st.PQID = 3, 4
		if got := l.shared(a, b, st); got == nil || got.QID != 3 || got.PQID != 4 {
			t.Errorf("the other box has %+v", got)
		}
	}, pfsync.FreeBSD14, pfsync.FreeBSD15)
}
