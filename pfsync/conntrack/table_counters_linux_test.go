package conntrack

import (
	"fmt"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// counted are the counters of all states, which are to be the same.
func (m *mirrorTest) counted() (all [2]Counters) {
	m.t.Helper()
	var st pfsync.State
	first := true
	for _, c := range m.conns.all(nil) {
		for _, id := range c.ids {
			m.Get(m.now, id, &st)
			var now [2]Counters
			for dir := range now {
				now[dir] = Counters{st.Packets[dir], st.Bytes[dir]}
			}
			if !first && now != all {
				m.t.Errorf("one state has %v, the other %v", all, now)
			}
			all, first = now, false
		}
	}
	return all
}

// TestCounters: what the kernel counts is in both states, is never less than it was, and
// makes no messages.
func TestCounters(t *testing.T) {
	m := newMirrorTest(t, TableConfig{})
	e := udpSNAT(StatusAssured)
	e.Timeout = 120
	e.Counters = [2]Counters{{1, 60}, {1, 100}}
	m.changed(m.now, &e)
	m.wantSaid("new", "insert ours", "insert ours")
	want := e.Counters
	check := func(when string) {
		t.Helper()
		if got := m.counted(); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("new")
	m.now = m.now.Add(10 * time.Second)
	e.Counters = [2]Counters{{50, 3000}, {70, 7000}}
	want = e.Counters
	m.dump(e)
	check("packets have passed")
	m.wantSaid("no time to tell", []string(nil)...)
	e.Counters = [2]Counters{{80, 4000}, {2, 100}} // it counts anew in one direction
	want[0] = e.Counters[0]
	m.changed(m.now, &e)
	check("an event")
	m.wantSaid("an event without news", []string(nil)...)
	e.Counters = [2]Counters{} // the sysctl was turned off
	m.now = m.now.Add(10 * time.Second)
	m.dump(e)
	check("no counters")

	standby := newMirrorTest(t, TableConfig{})
	in, _ := standby.peerSays(&e, func(st *pfsync.State) { st.Packets, st.Bytes = [2]uint64{1000, 2000}, [2]uint64{5, 6} })
	e.Counters = [2]Counters{{3000, 1}, {3000, 1}}
	standby.written()
	standby.dump(e)
	standby.now = standby.now.Add(10 * time.Second)
	e.Timeout = 180
	standby.dump(e)
	var st pfsync.State
	if standby.Get(standby.now, in.StateID, &st); st.Packets != [2]uint64{3000, 3000} || st.Bytes != [2]uint64{5, 6} {
		t.Errorf("taken over with less than was counted: %v packets, %v octets", st.Packets, st.Bytes)
	}
}

// TestTableCounters: what a kernel counts gets into the states, as a bulk update and the
// status have them.
func TestTableCounters(t *testing.T) {
	t.Parallel()
	p := newSyncPair(t, nil)
	p.fw1.ns.SetSysctl("net.netfilter.nf_conntrack_acct", "1")
	p.a.start()
	c := p.dial(p.NS("client"), p.NS("server"), "tcp", "198.51.100.100:7", "198.51.100.100:7")
	const octets = 20_000
	sent := 0
	counted := func() (packets, octets uint64) {
		for _, st := range p.a.states() {
			packets, octets = max(packets, st.Packets[0]), max(octets, st.Bytes[0])
		}
		return packets, octets
	}
	p.await(fmt.Sprintf("%d octets are counted", octets), func() bool {
		if sent < octets || sent%7 == 0 { // so that there are packets between two dumps
			if err := c.talk(fmt.Sprintf("%1000d", sent), long); err != nil {
				t.Fatal(err)
			}
		}
		sent += 1000
		time.Sleep(100 * time.Millisecond)
		n, all := counted()
		return n > octets/1000 && all > octets
	})
	e := p.fw1.find(func(e *Entry) bool { return e.Orig.DstPort == 7 })
	if n, all := counted(); n > e.Counters[DirOrig].Packets || all > e.Counters[DirOrig].Bytes {
		t.Errorf("%d packets, %d octets, and the kernel says %v", n, all, e.Counters)
	}
}
