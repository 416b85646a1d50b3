package conntrack

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A peerSink is a peer of a Table: what that tells is done to another one at once.
type peerSink struct {
	from, to *mirrorTest
	told     int // updates
}

func (p *peerSink) Inserted(id pfsync.StateID) {
	var st pfsync.State
	if !p.from.Get(p.from.now, id, &st) || p.to.Insert(p.to.now, &st, nil) != nil {
		p.to.t.Errorf("the peer does not take %v", id)
	}
}

// Updated has a state that is gone there be asked for, as a peer does.
func (p *peerSink) Updated(id pfsync.StateID, _ uint8) {
	p.told++
	if !p.to.Update(p.to.now, id, inUse) {
		p.Inserted(id)
	}
}

func (p *peerSink) Deleted(id pfsync.StateID)   { p.to.Delete(id) }
func (p *peerSink) Expired(id pfsync.StateID)   { p.to.Delete(id) }
func (p *peerSink) Flush(context.Context) error { return nil }

// TestRounds: for as long as the kernel has a connection the peers have it, whatever it
// is, and however long nothing passes; of TCP with a look every now and then.
func TestRounds(t *testing.T) {
	stage := func(e Entry, state TCPState) Entry { e.TCP.State = state; return e }
	ping := sample()["icmp"]
	ping.Status |= StatusSeenReply
	gre := sample()["gre"]
	gre.Status |= StatusSeenReply
	for name, c := range map[string]struct {
		e     Entry
		life  int // that each packet gives it in the kernel, in seconds
		every int // how long there are packets: never, or at this distance for an hour
	}{
		"TCP, idle":             {tcp4(1), 5000, 0},
		"TCP, half closed":      {stage(tcp4(1), TCPFinWait), 120, 0},
		"TCP, half closed, old": {stage(tcp4(1), TCPCloseWait), 60, 50},
		"TCP, over":             {stage(tcp4(1), TCPTimeWait), 120, 0},
		"TCP, begun":            {stage(tcp4(1), TCPSynRecv), 60, 0},
		"UDP, idle":             {udpSNAT(StatusAssured), 600, 0},
		"UDP, seldom":           {udpSNAT(StatusAssured), 120, 100},
		"UDP, short":            {udpSNAT(0), 30, 25},
		"UDP, busy":             {udpSNAT(StatusAssured), 120, 1},
		"a ping":                {ping, 30, 0},
		"pings":                 {ping, 30, 1},
		"GRE":                   {gre, 600, 0},
	} {
		t.Run(name, func(t *testing.T) {
			// An hour is a day here.
			conf := TableConfig{Memory: pfsync.MemoryConfig{Timeouts: pfsync.Timeouts{pfsync.TCPEstab: time.Hour}}}
			m, peer := newMirrorTest(t, conf), newMirrorTest(t, conf)
			sink := &peerSink{from: m, to: peer}
			m.SetSink(sink)
			m.large()
			others := []Entry{tcp4(99), udp("192.0.2.100", 99, "198.51.100.1", 99, "198.51.100.1", 99, "192.0.2.100", 99)}
			for i := range others { // so that both kinds are there to be looked at
				others[i].Timeout = 86400
				m.changed(m.now, &others[i])
			}
			c.e.Timeout = uint32(c.life)
			m.changed(m.now, &c.e)
			m.tell()
			looks := 0
			for sec := 1; c.e.Timeout > 0; sec++ {
				m.now = m.now.Add(time.Second)
				peer.now = m.now
				c.e.Timeout--
				if c.every > 0 && sec%c.every == 0 && sec < 3600 {
					c.e.Timeout = uint32(c.life)
				}
				peer.Expire(peer.now, nil) // before it can be told anything
				if peer.Len() != 6 && c.e.Timeout > 0 {
					t.Fatalf("after %d s, with %d left here, the peer has %d states", sec, c.e.Timeout, peer.Len())
				}
				m.Expire(m.now, nil)
				if sec%15 == 0 && c.e.Timeout > 0 {
					if protos := m.roundOf(append(others, c.e)...); slices.Contains(protos, 0) {
						looks++
					}
				}
				m.tell()
				if sec > 5000 && looks > sec/15/wholeEvery+wholeRounds {
					t.Fatalf("%d looks at everything in %d s", looks, sec)
				}
			}
			m.destroyed(m.now, &c.e)
			m.tell()
			if peer.Len() != 4 {
				t.Errorf("it is over, and the peer has %d states", peer.Len())
			}
		})
	}
}

// large has the table look as if there were many connections of TCP, and nothing had
// happened for a while.
func (t *Table) large() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns.protos[ProtoTCP] += 1 << 20
	t.whole = 0
}

// calm goes through the rounds that are about everything.
func (m *mirrorTest) calm(all ...Entry) {
	m.t.Helper()
	for range wholeRounds {
		if got := m.roundOf(all...); !slices.Equal(got, []uint8{0}) {
			m.t.Fatalf("a round about %v, not everything", got)
		}
	}
}

// TestMissed: an end that made no event is found by the next round that is about it, and
// by no other.
func TestMissed(t *testing.T) {
	tcp, dns := tcp4(1), udp("192.0.2.100", 1, "198.51.100.1", 53, "198.51.100.1", 53, "192.0.2.100", 1)
	dns.Status |= StatusAssured
	tcp.Timeout, dns.Timeout = 86400, 3600
	for name, c := range map[string]struct {
		left   Entry
		rounds int
	}{"UDP": {tcp, 1}, "TCP": {dns, wholeEvery}} {
		m := newMirrorTest(t, TableConfig{})
		m.large()
		m.lookAtAll(wholeRounds)
		m.changed(m.now, &tcp)
		m.changed(m.now, &dns)
		m.said()
		m.calm(tcp, dns)
		m.wantSaid(name+", while it is there", []string(nil)...)
		for i := range c.rounds {
			if m.Len() != 4 {
				t.Errorf("%s: %d states after %d rounds", name, m.Len(), i)
			}
			m.roundOf(c.left)
		}
		m.wantSaid(name+" is gone", "delete ours", "delete ours")
	}
}

// TestWholeRounds: when traffic has moved, the next rounds are about everything.
func TestWholeRounds(t *testing.T) {
	tcp, dns := tcp4(1), udp("192.0.2.100", 1, "198.51.100.1", 53, "198.51.100.1", 53, "192.0.2.100", 1)
	tcp.Timeout, dns.Timeout = 86400, 3600
	for name, c := range map[string]struct {
		happens func(*mirrorTest)
		rounds  int // about everything
	}{
		"nothing":     {func(*mirrorTest) {}, 0},
		"a take-over": {func(m *mirrorTest) { m.Commit(m.t.Context()) }, wholeRounds},
		"a yield":     {func(m *mirrorTest) { m.Yield(true); m.Yield(false) }, wholeRounds},
		"adoption":    {func(m *mirrorTest) { m.adopting = true; m.Adopted() }, wholeRounds},
	} {
		m := newMirrorTest(t, TableConfig{})
		<-m.redump // by what newMirrorTest does
		m.large()
		m.changed(m.now, &tcp)
		m.changed(m.now, &dns)
		if got := m.roundOf(tcp, dns); !slices.Equal(got, []uint8{ProtoUDP}) {
			t.Fatalf("%s: before: a round about %v, want UDP", name, got)
		}
		c.happens(m)
		select { // as watch does
		case <-m.redump:
			m.lookAtAll(wholeRounds)
		default:
		}
		for i := range c.rounds + 1 {
			want := []uint8{0}
			if i == c.rounds {
				want = []uint8{ProtoUDP}
			}
			if got := m.roundOf(tcp, dns); !slices.Equal(got, want) {
				t.Errorf("%s: round %d is about %v, want %v", name, i, got, want)
			}
		}
	}
}

// TestRoundWalks: what is left out must be worth the walks through the table that it takes
// to leave it out.
func TestRoundWalks(t *testing.T) {
	for _, row := range []struct {
		tcp    int
		others []uint8
		want   []uint8
	}{
		{10, nil, nil},
		{10, []uint8{ProtoICMP}, []uint8{0}},
		{walkCost, []uint8{ProtoICMP}, []uint8{ProtoICMP}},
		{walkCost, []uint8{ProtoUDP}, []uint8{0}},
		{2 * walkCost, []uint8{ProtoUDP}, []uint8{ProtoUDP}},
		{4*walkCost - 1, []uint8{ProtoICMP, ProtoUDP, ProtoICMPv6}, []uint8{0}},
		{4 * walkCost, []uint8{ProtoICMP, ProtoUDP, ProtoICMPv6}, []uint8{ProtoICMP, ProtoUDP, ProtoICMPv6}},
	} {
		m := newMirrorTest(t, TableConfig{})
		m.calm()
		m.conns.protos[ProtoTCP] = row.tcp
		for _, proto := range row.others {
			m.conns.protos[proto] = 1
		}
		if got := m.round(); !slices.Equal(got, row.want) {
			t.Errorf("%d of TCP, some of %v: looked for %v, want %v", row.tcp, row.others, got, row.want)
		}
	}
}

// TestPutBack: a standby puts back at the end of a round what its kernel has dropped, or
// did not take, also if that is not about it.
func TestPutBack(t *testing.T) {
	e := snat4(1000)
	for name, lose := range map[string]func(*mirrorTest){
		"dropped":   func(m *mirrorTest) { m.destroyed(m.now, &e) },
		"not taken": func(m *mirrorTest) { m.failed(OpUpsert, &e, errors.New("no")) },
	} {
		m := newMirrorTest(t, TableConfig{})
		m.peerSays(&e, nil)
		m.written()
		m.calm(e)
		lose(m)
		m.wantWritten(name + ", at once")
		if got := m.roundOf(); len(got) != 0 {
			t.Fatalf("a round about %v, though there is only TCP", got)
		}
		m.wantWritten(name+", after a round", e)
		m.roundOf()
		m.wantWritten(name + ", once is enough")
		m.wantSaid(name+", and lives on", []string(nil)...)
	}
}
