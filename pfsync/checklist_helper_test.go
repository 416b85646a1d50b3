package pfsync_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A box is a firewall with pf, as far as pfsync can tell: a table and a session.
type box struct {
	*replayed
	released []release
}

// A cable is a sync network between boxes. Frames take a millisecond.
type cable struct {
	t     *testing.T
	now   time.Time
	boxes []*box
	fly   []flight
	first []flight // of the frames that were ever sent, to is who sent it
}

type flight struct {
	at      time.Time
	to      *box
	payload []byte
}

const cableDelay = time.Millisecond

// newCable connects boxes of a dialect, which are down. Their hostids are 1, 2 and so on.
func newCable(t *testing.T, d pfsync.Dialect, n int, change func(c *pfsync.Config)) *cable {
	t.Helper()
	l := &cable{t: t, now: time.Unix(1700000000, 0)}
	for i := range n {
		cfg := pfsync.Config{Dialect: d, HostID: uint32(i + 1)}
		if change != nil {
			change(&cfg)
		}
		l.boxes = append(l.boxes, &box{replayed: replay(t, cfg, pfsync.MemoryConfig{})})
	}
	return l
}

// twoBoxes are up, and through with their bulk updates.
func twoBoxes(t *testing.T, d pfsync.Dialect, change func(c *pfsync.Config)) (l *cable, one, two *box) {
	t.Helper()
	l = newCable(t, d, 2, change)
	one, two = l.boxes[0], l.boxes[1]
	l.up(one)
	l.up(two)
	l.sleep(10 * time.Second)
	if !one.Synced() || !two.Synced() || one.out.Demotion+two.out.Demotion != 0 {
		t.Fatalf("%v: not in sync after 10 s", d)
	}
	return l, one, two
}

// allDialects are those that a case is run with.
func allDialects(t *testing.T, test func(t *testing.T, d pfsync.Dialect), dialects ...pfsync.Dialect) {
	if len(dialects) == 0 {
		dialects = []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD14, pfsync.FreeBSD15}
	}
	for _, d := range dialects {
		t.Run(d.String(), func(t *testing.T) { test(t, d) })
	}
}

func (l *cable) up(b *box) {
	l.t.Helper()
	l.tell(b, pfsync.Event{Kind: pfsync.EventLinkUp})
	l.tell(b, pfsync.Event{Kind: pfsync.EventUp})
}

// tell tells a box what happens now.
func (l *cable) tell(b *box, ev pfsync.Event) {
	l.t.Helper()
	b.now = l.now
	b.step(ev)
	for _, id := range b.out.Release {
		b.released = append(b.released, release{l.now, id})
	}
	for _, f := range b.take() {
		l.first = append(l.first, flight{l.now, b, f})
		for _, to := range l.boxes {
			if to != b {
				l.fly = append(l.fly, flight{l.now.Add(cableDelay), to, f})
			}
		}
	}
}

// sleep lets time pass.
func (l *cable) sleep(d time.Duration) {
	l.t.Helper()
	end := l.now.Add(d)
	for {
		at, who := end, (*box)(nil)
		for _, b := range l.boxes {
			if d := b.out.Deadline; !d.IsZero() && !d.After(at) {
				at, who = d, b
			}
		}
		if len(l.fly) > 0 && !l.fly[0].at.After(at) {
			f := l.fly[0]
			l.fly = l.fly[1:]
			l.now = f.at
			l.tell(f.to, pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: f.payload, TTL: 255}})
			continue
		}
		l.now = at
		if who == nil {
			return
		}
		l.tell(who, pfsync.Event{Kind: pfsync.EventTimer})
	}
}

// cut takes a box off.
func (l *cable) cut(b *box) {
	l.boxes = slices.DeleteFunc(l.boxes, func(other *box) bool { return other == b })
	l.fly = slices.DeleteFunc(l.fly, func(f flight) bool { return f.to == b })
}

// pass makes a state as a packet does that passes a rule.
func (l *cable) pass(b *box, states ...*pfsync.State) {
	l.t.Helper()
	for _, st := range states {
		st.CreatorID = b.cfg.HostID
		if err := b.store.Insert(l.now, st, nil); err != nil {
			l.t.Fatal(err)
		}
		l.tell(b, pfsync.Event{Kind: pfsync.EventInsert, State: st})
	}
}

// match changes a state as a packet does that matches it, and reports whether there
// is one.
func (l *cable) match(b *box, id pfsync.StateID, change func(st *pfsync.State)) bool {
	l.t.Helper()
	var proto uint8
	if !b.store.Update(l.now, id, func(st *pfsync.State) pfsync.Keep {
		proto = st.Proto
		change(st)
		return pfsync.KeepAll
	}) {
		return false
	}
	l.tell(b, pfsync.Event{Kind: pfsync.EventUpdate, ID: id, Proto: proto})
	return true
}

// get is a state in the table of a box, nil if there is none.
func (l *cable) get(b *box, id pfsync.StateID) *pfsync.State {
	var st pfsync.State
	if !b.store.Get(l.now, id, &st) {
		return nil
	}
	return &st
}

// shared is what becomes of a state on the other box, nil if that does not have it
// after two seconds.
func (l *cable) shared(from, to *box, st *pfsync.State) *pfsync.State {
	l.t.Helper()
	l.pass(from, st)
	l.sleep(2 * time.Second)
	return l.get(to, st.StateID)
}

// flow are the states that a connection from src to dst makes on a firewall that
// forwards it, each as its first packet leaves it.
func flow(n uint64, proto uint8, src, dst netip.AddrPort) (in, out *pfsync.State) {
	st := pfsync.State{StateID: pfsync.StateID{ID: n}, Proto: proto, AF: pfsync.AFInet, Direction: pfsync.In}
	switch proto {
	case 1, 58:
		st.Timeout = pfsync.ICMPFirst
	case 6:
		st.Timeout, st.Src.State = pfsync.TCPFirst, pfsync.TCPSynSent
	case 17:
		st.Timeout, st.Src.State = pfsync.UDPFirst, pfsync.Single
	}
	if src.Addr().Is6() {
		st.AF = pfsync.AFInet6
	}
	copy(st.IfName[:], "all")
	st.OrigIfName = st.IfName
	st.RTableID = [2]int32{-1, -1}
	k := pfsync.Key{AF: st.AF, Proto: proto, Port: [2]uint16{src.Port(), dst.Port()}}
	copy(k.Addr[0][:], src.Addr().AsSlice())
	copy(k.Addr[1][:], dst.Addr().AsSlice())
	st.Wire, st.Stack = k, k
	in = &st
	other := st
	out = &other
	out.ID, out.Direction = n+1, pfsync.Out
	slices.Reverse(k.Addr[:])
	slices.Reverse(k.Port[:])
	out.Wire, out.Stack = k, k
	return in, out
}

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.10:40000")
	serverAddr = netip.MustParseAddrPort("198.51.100.20:22")
	echoID     = netip.MustParseAddrPort("192.0.2.10:4242")
	echoType   = netip.MustParseAddrPort("198.51.100.20:8")
)
