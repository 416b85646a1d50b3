package pfsync_test

import (
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// vectors are the tests that hold the mandatory vectors of the specification.
var vectors = map[string][]string{
	"V1":  {"TestLayoutStates", "TestLayoutMessages", "TestLayoutActions", "TestLayoutNames"},
	"V2":  {"TestParseV2", "TestPacketChecks", "TestKernelVerdicts"},
	"V3":  {"TestParseV3"},
	"V4":  {"TestParseV4"},
	"V5":  {"TestV5Bulk", "TestBetterEmptyAnswer", "TestReplay"},
	"V6":  {"TestV6Stale", "TestMergeMatrixOpenBSD", "TestMergeMatrixFreeBSD"},
	"V7":  {"TestV7Unknown", "TestReplay"},
	"V8":  {"TestV8InsAck", "TestReplayDefer"},
	"V9":  {"TestV9InsertThenDelete"},
	"V10": {"TestV10MaxUpd", "TestReplay"},
	"V11": {"TestV11DeleteUnknown"},
	"V12": {"TestV12Clear", "TestBetterClearInterface"},
	"V13": {"TestV13NoEcho"},
	"V14": {"TestStateUnmarshalV14", "TestV14AddressFamily"},
	"V15": {"TestWriterV15", "TestV15Fill"},
	"V16": {
		"fuzz.FuzzPfsyncFrame", "fuzz.FuzzPfsyncState", "fuzz.FuzzPfsyncMessage", "fuzz.FuzzSession",
		"fuzz.FuzzPfsyncSide", "fuzz.FuzzPfsyncStore",
	},

	// F1 on a real network, with connections of Linux; checkFailover has it with pf's
	// own check of sequence numbers.
	"F1 live": {"conntrack.TestSurvival", "conntrack.TestStream"},
}

// A stream is an interactive TCP connection, whose packets pf checks.
type stream struct {
	l      *cable
	id     pfsync.StateID
	client uint32 // next sequence numbers
	server uint32
	lost   int
	passed int
}

const streamWindow = 65535

// keystroke sends some octets, and some more back, through a box. What is lost is
// sent again the next time.
func (s *stream) keystroke(b *box) {
	if s.packet(b, true, s.client, s.server, 36) {
		s.client += 36
		if s.packet(b, false, s.server, s.client, 100) {
			s.server += 100
		}
	}
}

// packet is pf_tcp_track_full for an established connection.
func (s *stream) packet(b *box, fromClient bool, seq, ack uint32, length int) bool {
	const slack = 0xffff + 1500 // MAXACKWINDOW
	after := func(a, b uint32) bool { return int32(a-b) >= 0 }
	good := false
	known := s.l.match(b, s.id, func(st *pfsync.State) {
		src, dst := &st.Src, &st.Dst
		if !fromClient {
			src, dst = dst, src
		}
		end := seq + uint32(length)
		skew := int32(dst.SeqLo - ack)
		good = after(src.SeqHi, end) && after(seq, src.SeqLo-uint32(dst.MaxWin)) && skew >= -slack && skew <= slack
		if good {
			src.SeqLo = end
			dst.SeqHi = ack + streamWindow
		}
	})
	if !known || !good {
		s.lost++
		return false
	}
	s.passed++
	return true
}

// checkFailover: a long connection like that of SSH survives the switch from the
// active box to the other one, and back, with one packet lost at most.
func checkFailover(t *testing.T) {
	allDialects(t, func(t *testing.T, d pfsync.Dialect) {
		l, a, b := twoBoxes(t, d, nil)
		st, _ := flow(100, 6, clientAddr, serverAddr)
		st.Timeout = pfsync.TCPEstab
		s := &stream{l: l, id: pfsync.StateID{ID: 100, CreatorID: 1}, client: 0xfffff000, server: 1} // wraps around
		st.Src = pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: s.client, SeqHi: s.server + streamWindow, MaxWin: streamWindow}
		st.Src.SeqHi = s.client + streamWindow
		st.Dst = pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: s.server, SeqHi: s.server + streamWindow, MaxWin: streamWindow}
		l.pass(a, st)
		through := func(b *box, strokes int) {
			for range strokes {
				s.keystroke(b)
				l.sleep(100 * time.Millisecond)
			}
		}
		through(a, 300)
		l.cut(a) // it dies between two keystrokes, with what waits to be sent
		l.sleep(3 * time.Second)
		through(b, 300)
		if s.lost > 1 || s.passed < 1190 {
			t.Fatalf("%d packets lost, %d passed", s.lost, s.passed)
		}

		// It boots, gets the table, and takes over again.
		again := &box{replayed: replay(t, pfsync.Config{Dialect: d, HostID: 3}, pfsync.MemoryConfig{})}
		l.boxes = append(l.boxes, again)
		l.up(again)
		l.sleep(2 * time.Second)
		if !again.Synced() {
			t.Fatal("not in sync after two seconds")
		}
		through(again, 300)
		if s.lost > 1 || s.passed < 1790 {
			t.Errorf("%d packets lost, %d passed", s.lost, s.passed)
		}
	})
}
