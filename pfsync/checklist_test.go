package pfsync_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// The cases of pfsync.sh, which FreeBSD tests its pfsync with, in our words: two
// sessions stand for its two jails, and what a packet does to pf is told to them. Of
// what is about rules, there is what pfsync carries and when it is taken.
var checklist = []struct {
	name string
	test func(*testing.T)
}{
	{"basic", checkBasic},
	{"basic_defer", checkBasicDefer},
	{"defer", checkDefer},
	{"bulk", checkBulk},
	{"pbr", checkPBR},
	{"pfsync_pbr", checkPBR},
	{"ipsec", checkIPsec},
	{"timeout", checkTimeout},
	{"basic_ipv6_unicast", checkIPv6Unicast},
	{"basic_ipv6", checkIPv6},
	{"rtable", checkRTable},
	{"route_to_1301", checkRouteTo1301},
	{"route_to_1301_bad_ruleset", checkRouteTo1301},
	{"route_to_1301_bad_rpool", checkRouteTo1301},
	{"route_to_1400_bad_ruleset", checkRouteTo1400},
	{"route_to_1400_bad_ifname", checkRouteTo1400BadIfName},
	{"af_to_in_floating", checkAFToInFloating},
	{"af_to_in_if_bound", checkAFToInIfBound},
	{"af_to_out_if_bound", checkAFToOutIfBound},
	{"tag", checkTag},
	{"altq_queues", checkQueues},
	{"rt_af", checkRtAF},
	{"F1", checkFailover},
}

func TestChecklist(t *testing.T) {
	t.Parallel()
	for _, c := range checklist {
		t.Run(c.name, c.test)
	}
	for name, tests := range vectors {
		t.Run(name, func(t *testing.T) {
			known := testNames(t)
			for _, test := range tests {
				if !known[test] {
					t.Errorf("there is no %s", test)
				}
			}
		})
	}
}

// checkBasic: one ping through one box, and within two seconds the other one has
// its states.
func checkBasic(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		one := uint8(1)
		l, a, b := twoBoxes(t, d, func(c *pfsync.Config) { c.MaxUpd = &one })
		l.ping(a, 100)
		l.sleep(2 * time.Second)
		for id := uint64(100); id < 102; id++ {
			l.wantEcho(b, pfsync.StateID{ID: id, CreatorID: 1}, d)
		}
		if n := b.store.Len(); n != 2 {
			t.Errorf("the other box has %d states, want 2", n)
		}
	})
}

// ping passes a ping and its answer through a box.
func (l *cable) ping(b *box, id uint64) {
	l.t.Helper()
	in, out := flow(id, 1, echoID, echoType)
	l.pass(b, in, out)
	l.sleep(time.Millisecond)
	for _, st := range []*pfsync.State{in, out} {
		l.match(b, st.StateID, func(st *pfsync.State) { st.Timeout = pfsync.ICMPError })
	}
}

// wantEcho wants a box to list the state of a ping with both addresses and its creator.
func (l *cable) wantEcho(b *box, id pfsync.StateID, d pfsync.Dialect) {
	l.t.Helper()
	st := l.get(b, id)
	if st == nil {
		l.t.Errorf("the other box does not have %v", id)
		return
	}
	line := string(st.AppendPfctl(nil, d, 2))
	for _, want := range []string{"icmp", echoID.Addr().String(), echoType.Addr().String(), "creatorid: 00000001"} {
		if !strings.Contains(line, want) {
			l.t.Errorf("no %q in\n%s", want, line)
		}
	}
}

// checkBasicDefer: the same with defer, whose packets go as soon as the other box
// has acknowledged their state.
func checkBasicDefer(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, func(c *pfsync.Config) { c.Defer = true })
		start := l.now
		in, out := flow(100, 1, echoID, echoType)
		l.pass(a, in, out)
		l.sleep(2 * time.Second)
		for id := uint64(100); id < 102; id++ {
			l.wantEcho(b, pfsync.StateID{ID: id, CreatorID: 1}, d)
		}
		if len(a.released) != 2 || a.released[0] != (release{start, in.StateID}) || a.released[1] != (release{start.Add(2 * cableDelay), out.StateID}) {
			t.Errorf("released %v from %v on, want the inbound one at once, the outbound one when it is acknowledged", a.released, start)
		}
	})
}

// checkDefer: one box alone. With defer the sync network sees the state before the
// packet goes, which waits for as long as it is to; without, the packet goes first.
func checkDefer(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		const delay = 2500 * time.Millisecond
		for _, hold := range []bool{true, false} {
			l := newCable(t, d, 1, func(c *pfsync.Config) { c.Defer, c.DeferDelay = hold, delay })
			a := l.boxes[0]
			l.up(a)
			l.sleep(100 * time.Second) // gives up on a bulk update
			l.first = nil
			start := l.now
			_, out := flow(100, 1, echoID, echoType)
			l.pass(a, out)
			l.sleep(5 * time.Second)
			if len(l.first) != 1 {
				t.Fatalf("%d frames, want 1", len(l.first))
			}
			msgs := messagesOf(t, d, l.first[0].payload)
			acks := len(msgs) == 1 && msgs[0].action == pfsync.ActIns && msgs[0].state(t).Flags&pfsync.FlagAck != 0
			sent := l.first[0].at.Sub(start)
			switch {
			case acks != hold:
				t.Errorf("defer %v: INS asks to be acknowledged: %v", hold, acks)
			case hold && (sent != 0 || len(a.released) != 1 || a.released[0] != release{start.Add(delay), out.StateID}):
				t.Errorf("sent after %v, released %v from %v on", sent, a.released, start)
			case !hold && (sent != time.Second || len(a.released) != 0):
				t.Errorf("without defer: sent after %v, released %v", sent, a.released)
			}
		}
	})
}

// checkBulk: a state that is older than the other box's pfsync is there within two
// seconds.
func checkBulk(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l := newCable(t, d, 2, nil)
		a, b := l.boxes[0], l.boxes[1]
		l.up(a)
		l.sleep(100 * time.Second)
		l.ping(a, 100)
		l.sleep(2 * time.Second)
		if b.store.Len() != 0 {
			t.Fatal("the other box has states before it is up")
		}
		l.up(b)
		if b.out.Demotion == 0 {
			t.Error("not demoted while the bulk update is outstanding")
		}
		l.sleep(2 * time.Second)
		for id := uint64(100); id < 102; id++ {
			l.wantEcho(b, pfsync.StateID{ID: id, CreatorID: 1}, d)
		}
		if b.out.Demotion != 0 || !b.Synced() {
			t.Errorf("still demoted by %d", b.out.Demotion)
		}
	})
}

// checkTimeout: defer, and no sync interface. Traffic on the loopback makes states,
// and what would be sent and never can leaves nothing behind.
func checkTimeout(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l := newCable(t, d, 1, func(c *pfsync.Config) { c.Defer = true })
		a := l.boxes[0]
		local4, local6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
		in4, out4 := flow(1, 1, netip.AddrPortFrom(local4, 1), netip.AddrPortFrom(local4, 8))
		in6, out6 := flow(3, 58, netip.AddrPortFrom(local6, 1), netip.AddrPortFrom(local6, 128))
		// A state that comes in where it went out has the key that the other has.
		for _, st := range []*pfsync.State{out4, in4, out6, in6} {
			st.CreatorID = 1
			l.tell(a, pfsync.Event{Kind: pfsync.EventInsert, State: st})
		}
		l.sleep(2 * time.Second)
		if len(l.first) != 0 || len(a.released) != 4 || !a.out.Deadline.IsZero() {
			t.Errorf("%d frames, %d released, next %v; want none, all 4, nothing", len(l.first), len(a.released), a.out.Deadline)
		}
	})
}
