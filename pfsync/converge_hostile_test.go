package pfsync

import (
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"testing"
	"time"
)

// A sceptic is a converger with a peer whose every word is made up here.
type sceptic struct {
	*Converger
	t     *testing.T
	table *Memory
	now   time.Time
	epoch uint64 // of the peer
}

var scepticPeer = netip.MustParseAddr("192.0.2.2")

// newSceptic has met a peer that leads, or is led.
func newSceptic(t *testing.T, peerLeads bool) *sceptic {
	t.Helper()
	table, err := NewMemory(MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := &sceptic{t: t, table: table, now: time.Unix(1e9, 0), epoch: 9}
	if peerLeads {
		s.epoch = 1
	}
	s.Converger = NewConverger(ConvergeConfig{HostID: 1, Epoch: 5, Peers: []netip.Addr{scepticPeer}}, table)
	s.hello(1, 0)
	s.Timer(s.now)
	return s
}

func (s *sceptic) say(kind sideKind, body []byte) (ConvergeOutput, error) {
	return s.Message(s.now, scepticPeer, append(sideHeader{kind, 2, s.epoch}.append(nil), body...))
}

func (s *sceptic) hello(next, root uint64) ConvergeOutput {
	s.t.Helper()
	m := helloMsg{echo: 5, next: next, root: root, states: uint64(s.table.Len())}
	out, err := s.say(sideHello, m.append(nil))
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// frame has frame n of the peer arrive.
func (s *sceptic) frame(n uint64) {
	var checksum [16]byte
	stamp{uint32(s.epoch), n}.put(checksum[:])
	s.Received(s.now, checksum)
}

// fill puts states into the table.
func (s *sceptic) fill(n int) {
	s.t.Helper()
	for i := range n {
		st := State{StateID: StateID{uint64(i + 1), 7}, AF: AFInet, Proto: protoTCP, Timeout: TCPEstab}
		st.Wire.Port[0], st.Wire.Port[1] = uint16(i), uint16(i>>16)
		st.Stack = st.Wire
		if err := s.table.Insert(s.now, &st, nil); err != nil {
			s.t.Fatal(err)
		}
	}
}

// kinds are how many messages of each kind are in out.
func kinds(out ConvergeOutput) map[sideKind]int {
	n := make(map[sideKind]int)
	for _, m := range out.Messages {
		n[sideKind(m.Data[5])]++
	}
	return n
}

// TestIdleTimesCompareAsTheWireHasThem is about states that nobody has touched for
// longer than a list can say.
func TestIdleTimesCompareAsTheWireHasThem(t *testing.T) {
	s := newSceptic(t, false)
	p := s.peers[0]
	mine := &listEntry{StateID{7, 1}, 1, 3 * time.Hour, false} // made by us
	theirs := &listEntry{StateID{7, 1}, 2, math.MaxUint16 * idleUnit, false}
	if got := s.judge(p, mine, theirs); got != verdictSend {
		t.Errorf("judged %d, want ours (%d): theirs was idle for two hours or more", got, verdictSend)
	}
}

// TestComparisonsPause has tables that are never the same, as busy ones.
func TestComparisonsPause(t *testing.T) {
	s := newSceptic(t, false)
	s.fill(10)
	begun := 0
	for i := range 600 {
		out := s.Timer(s.now)
		round := s.peers[0].round
		begun += kinds(out)[sideGroups]
		if kinds(out)[sideGroups] > 0 { // nothing differs when looked at closely
			d := digestsMsg{round: round, row: s.rows()[0]}
			if _, err := s.say(sideBuckets, d.append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 0 {
			begun += kinds(s.hello(1, uint64(i)))[sideGroups]
		}
		s.now = s.now.Add(100 * time.Millisecond)
	}
	if most := int(time.Minute/s.cfg.Pause) + 1; begun > most {
		t.Errorf("%d comparisons in a minute, want at most %d", begun, most)
	}
}

// TestFutileRepairsAreRare has a peer that lacks states, and still lacks them
// after each repair, as one whose table is full.
func TestFutileRepairsAreRare(t *testing.T) {
	t.Parallel()
	s := newSceptic(t, false)
	s.fill(30_000)
	s.now = s.now.Add(time.Minute)
	listed := 0
	const minutes = 10
	var hear func(out ConvergeOutput)
	answer := func(kind sideKind, body []byte) {
		out, err := s.say(kind, body)
		if err != nil {
			t.Fatal(err)
		}
		hear(out)
	}
	hear = func(out ConvergeOutput) {
		for _, m := range append([]SideMessage(nil), out.Messages...) {
			switch round := s.peers[0].round; sideKind(m.Data[5]) {
			case sideGroups:
				for g := range groupCount {
					d := digestsMsg{round: round, group: uint8(g)}
					answer(sideBuckets, d.append(nil))
				}
			case sideList:
				var l listMsg
				if err := l.parse(m.Data[sideHeaderLen:]); err != nil {
					t.Fatal(err)
				}
				listed += len(l.entries)
				r := resultMsg{round: round, differ: uint32(len(l.entries))}
				answer(sideResult, r.append(nil))
			}
		}
	}
	for i := range minutes * 600 {
		hear(s.Timer(s.now))
		if i%10 == 0 {
			hear(s.hello(1, 77))
		}
		s.now = s.now.Add(100 * time.Millisecond)
	}
	if rate := listed / (minutes * 60); rate > 2000 || listed < 30_000 {
		t.Errorf("%d states listed in a second, want each once and no more than 2000", rate)
	}
	if st := s.Status()[0]; st.Agreement != Different || st.Differ != 30_000 {
		t.Errorf("%+v, want 30000 that differ", st)
	}
}

// TestAcksThatSayNothingHoldNothingUp has a peer repeat an old one for ever.
func TestAcksThatSayNothingHoldNothingUp(t *testing.T) {
	s := newSceptic(t, false)
	for range 2 * behindAt {
		s.sent.add(nil)
	}
	behind := true
	for range 10 {
		behind = s.Behind(s.now)
		s.say(sideAck, make([]byte, 8))
		s.now = s.now.Add(behindFor / 2)
	}
	if behind {
		t.Error("still waits for a peer that takes nothing in")
	}
}

// TestDigestsAreAnsweredAtABoundedRate has a peer, or somebody who speaks in its
// name, begin comparison after comparison: each costs it 540 octets.
func TestDigestsAreAnsweredAtABoundedRate(t *testing.T) {
	s := newSceptic(t, true)
	s.fill(10_000)
	octets := 0
	for i := range 1000 {
		m := digestsMsg{round: uint32(i)}
		out, err := s.say(sideGroups, m.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			octets += len(m.Data)
		}
		s.now = s.now.Add(time.Millisecond)
	}
	if octets == 0 || octets > 150_000 {
		t.Errorf("answered with %d octets in a second, want at most 150000", octets)
	}
}

// TestOnlyTheLeaderBegins refuses what the other one has no business to say.
func TestOnlyTheLeaderBegins(t *testing.T) {
	lead, led := newSceptic(t, false), newSceptic(t, true)
	for name, tt := range map[string]struct {
		s    *sceptic
		kind sideKind
		body []byte
	}{
		"groups to a leader":  {lead, sideGroups, new(digestsMsg).append(nil)},
		"list to a leader":    {lead, sideList, (&listMsg{to: lastID}).append(nil)},
		"buckets to the led":  {led, sideBuckets, new(digestsMsg).append(nil)},
		"a result to the led": {led, sideResult, new(resultMsg).append(nil)},
	} {
		if out, err := tt.s.say(tt.kind, tt.body); !errors.Is(err, ErrSide) || len(out.Messages) > 0 {
			t.Errorf("%s: %v, %d messages", name, err, len(out.Messages))
		}
	}
}

// TestNackOfTheSameFramesCountsOnce is an amplifier: 16 octets for a whole frame.
func TestNackOfTheSameFramesCountsOnce(t *testing.T) {
	s := newSceptic(t, false)
	for range 100 {
		s.sent.add(make([]StateID, 5))
	}
	var spans []span
	for range maxSpans {
		spans = append(spans, span{1, 100})
	}
	out, err := s.say(sideNack, appendSpans(nil, spans))
	if err != nil || len(out.Resend) != 500 {
		t.Errorf("%v, %d states to send again, want the 500 once", err, len(out.Resend))
	}
}

// TestForgedNumberDoesNotDeafen has a frame with a number from the far future, which
// anybody on the link can send: the frames that are lost later are still missed.
func TestForgedNumberDoesNotDeafen(t *testing.T) {
	s := newSceptic(t, false)
	s.frame(1)
	s.frame(1 << 60)
	for n := uint64(2); n < 20; n++ {
		if n != 10 {
			s.frame(n)
		}
		s.now = s.now.Add(time.Second)
		s.hello(n+1, s.root())
		s.Timer(s.now)
	}
	s.frame(21)
	found := false
	s.now = s.now.Add(nackGrace)
	for _, m := range s.Timer(s.now).Messages {
		if sideKind(m.Data[5]) == sideNack {
			spans, _ := parseSpans(m.Data[sideHeaderLen:])
			for _, sp := range spans {
				found = found || sp == span{20, 20}
			}
		}
	}
	if !found {
		t.Errorf("frame 20 is not asked for; %+v", s.peers[0].gaps)
	}
}

// TestListsWithoutResultsAreNoAgreement has a path that carries small datagrams only.
func TestListsWithoutResultsAreNoAgreement(t *testing.T) {
	for _, leads := range []bool{false, true} {
		s := newSceptic(t, leads)
		s.fill(100)
		for i := range 100 {
			if leads && i%60 == 30 {
				m := digestsMsg{round: uint32(i)}
				if _, err := s.say(sideGroups, m.append(nil)); err != nil {
					t.Fatal(err)
				}
			}
			if kinds(s.Timer(s.now))[sideGroups] > 0 {
				for g := range groupCount {
					d := digestsMsg{round: s.peers[0].round, group: uint8(g)}
					if _, err := s.say(sideBuckets, d.append(nil)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if i%10 == 0 {
				s.hello(1, 77)
			}
			s.now = s.now.Add(100 * time.Millisecond)
			if a := s.Status()[0].Agreement; a == Identical {
				t.Fatalf("peer leads %v: tables are %v that differ, and nobody knows in what", leads, a)
			}
		}
	}
}

// TestGravesEndByThemselves is about a node that removes nothing any more.
func TestGravesEndByThemselves(t *testing.T) {
	s := newSceptic(t, false)
	id := StateID{1, 1}
	s.Removed(s.now, id, true)
	if !s.WasRemoved(id) {
		t.Fatal("not remembered")
	}
	s.Timer(s.now.Add(graveAge + time.Second))
	if s.WasRemoved(id) {
		t.Error("remembered for more than its time")
	}
}

// TestListsAreQuickBesideManyGraves judges all buckets while the graveyard is full.
func TestListsAreQuickBesideManyGraves(t *testing.T) {
	s := newSceptic(t, true)
	for i := range DefaultGraves {
		s.Removed(s.now, StateID{uint64(i), 1}, true)
	}
	start := time.Now()
	for b := range DigestBuckets {
		m := listMsg{bucket: uint16(b), to: lastID}
		if _, err := s.say(sideList, m.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("judging %d lists took %v: the node does nothing else meanwhile", DigestBuckets, took)
	}
}

// A fullSide has no room for anything.
type fullSide struct {
	SideTransport
	tried map[netip.Addr]int
}

func (f fullSide) WritePacket(dst netip.Addr, _ []byte) error {
	f.tried[dst]++
	return errors.New("queue is full")
}

// TestFullSideChannelIsNotInsistedOn: each try may take 40 ms, in which the node does
// nothing else.
func TestFullSideChannelIsNotInsistedOn(t *testing.T) {
	side := fullSide{tried: make(map[netip.Addr]int)}
	n := &Node{cfg: NodeConfig{Side: side}, log: slog.New(slog.DiscardHandler)}
	other := netip.MustParseAddr("192.0.2.3")
	out := ConvergeOutput{Messages: []SideMessage{{Dst: scepticPeer}, {Dst: scepticPeer}, {Dst: scepticPeer}, {Dst: other}}}
	n.converged(out)
	if side.tried[scepticPeer] != 1 || side.tried[other] != 1 {
		t.Errorf("tried %v, want once for each peer", side.tried)
	}
}

// TestLateFramesAreNotLost has frames overtaken by others and by a hello.
func TestLateFramesAreNotLost(t *testing.T) {
	s := newSceptic(t, false)
	s.hello(4, s.root())
	for _, n := range []uint64{2, 1, 3} {
		s.frame(n)
	}
	s.hello(5, s.root()) // 4 is lost
	s.now = s.now.Add(nackGrace)
	s.Timer(s.now)
	s.now = s.now.Add(nackAgain)
	s.Timer(s.now)
	if n := s.Status()[0].Lost; n != 1 {
		t.Errorf("%d frames lost, want 1", n)
	}
}

// A pickyTransport has no room for frames that begin with an x.
type pickyTransport struct {
	Transport
	sent *[]byte
}

func (p pickyTransport) WritePackets(_ netip.Addr, payloads [][]byte) (int, error) {
	for i, b := range payloads {
		if b[0] == 'x' {
			return i, errors.New("queue is full")
		}
		*p.sent = append(*p.sent, b[0])
	}
	return len(payloads), nil
}

// TestOneLostFrameIsOneLostFrame sends those behind it.
func TestOneLostFrameIsOneLostFrame(t *testing.T) {
	var sent []byte
	n := &Node{
		cfg: NodeConfig{Transport: pickyTransport{sent: &sent}}, log: slog.New(slog.DiscardHandler),
		dst: []netip.Addr{scepticPeer},
	}
	n.send([][]byte{{'a'}, {'x'}, {'b'}, {'x'}, {'x'}, {'c'}, {'x'}})
	if string(sent) != "abc" || n.outErrors != 4 {
		t.Errorf("sent %s, lost %d; want abc, 4", sent, n.outErrors)
	}
}

// TestWhatIsOverIsOver hears of a former life of the peer, of frames sent before it
// was met, and of a comparison that has ended.
func TestWhatIsOverIsOver(t *testing.T) {
	s := newSceptic(t, false)
	want := StateID{1, 1}.append(nil)
	s.epoch++
	if out, err := s.say(sideWant, want); !errors.Is(err, ErrSide) || len(out.Resend) > 0 {
		t.Errorf("asked in a former life: %v, %d states sent", err, len(out.Resend))
	}
	s.hello(1000, s.root())
	s.now = s.now.Add(nackGrace)
	if out := s.Timer(s.now); kinds(out)[sideNack] > 0 || s.Status()[0].Lost > 0 {
		t.Errorf("asks for frames of before, %d lost", s.Status()[0].Lost)
	}
	s.fill(10)
	s.now = s.now.Add(roundEnd)
	d := digestsMsg{round: s.peers[0].round}
	for g := range groupCount {
		d.group = uint8(g)
		if out, err := s.say(sideBuckets, d.append(nil)); err != nil || kinds(out)[sideList] > 0 {
			t.Fatalf("lists, though no comparison is on; %v", err)
		}
	}
}
