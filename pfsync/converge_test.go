package pfsync

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestConvergerJudges is who is right about a state that differs.
func TestConvergerJudges(t *testing.T) {
	v := NewConverger(ConvergeConfig{HostID: 1, Epoch: 5}, nil)
	lower := &convergePeer{epoch: 9, status: ConvergeStatus{HostID: 2}} // we lead
	old, new := 10*time.Second, time.Second
	e := func(creator, digest uint32, idle time.Duration, removed bool) *listEntry {
		return &listEntry{StateID{7, creator}, digest, idle, removed}
	}
	for _, tt := range []struct {
		name         string
		mine, theirs *listEntry
		want         verdict
	}{
		{"the same", e(3, 1, old, false), e(3, 1, old, false), verdictSame},
		{"the same, changing", e(3, 1, new, false), e(3, 1, new, false), verdictSame},
		{"gone on both", e(3, 0, old, true), nil, verdictSame},
		{"only here", e(3, 1, old, false), nil, verdictSend},
		{"only here, but new", e(3, 1, new, false), nil, verdictFlowing},
		{"only there", nil, e(3, 1, old, false), verdictWant},
		{"only there, but new", nil, e(3, 1, new, false), verdictFlowing},
		{"removed here", e(3, 0, old, true), e(3, 1, old, false), verdictSend},
		{"removed here, just now", e(3, 0, new, true), e(3, 1, old, false), verdictFlowing},
		{"removed there", e(3, 1, old, false), e(3, 0, old, true), verdictWant},
		{"changed here last", e(3, 1, old, false), e(3, 2, 2*old, false), verdictSend},
		{"changed there last", e(3, 1, 2*old, false), e(3, 2, old, false), verdictWant},
		{"ours", e(1, 1, old, false), e(1, 2, old, false), verdictSend},
		{"theirs", e(2, 1, old, false), e(2, 2, old, false), verdictWant},
		{"of neither", e(3, 1, old, false), e(3, 2, old, false), verdictSend},
	} {
		if got := v.judge(lower, tt.mine, tt.theirs); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := v.judge(&convergePeer{epoch: 1}, e(3, 1, old, false), e(3, 2, old, false)); got != verdictWant {
		t.Errorf("of neither, they lead: %d, want %d", got, verdictWant)
	}
}

// TestConvergerIsBounded has a peer that was met ask for more than there is.
func TestConvergerIsBounded(t *testing.T) {
	table, err := NewMemory(MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddr("192.0.2.2")
	v := NewConverger(ConvergeConfig{HostID: 1, Epoch: 1, Peers: []netip.Addr{peer}}, table)
	now := time.Unix(1e9, 0)
	say := func(kind sideKind, body []byte) (ConvergeOutput, error) {
		return v.Message(now, peer, append(sideHeader{kind, 2, 9}.append(nil), body...))
	}
	if _, err := say(sideNack, appendSpans(nil, []span{{1, 2}})); !errors.Is(err, ErrSide) {
		t.Errorf("before a hello: %v, want %v", err, ErrSide)
	}
	if _, err := say(sideHello, (&helloMsg{echo: 1}).append(nil)); err != nil || !v.Active() {
		t.Fatalf("hello: %v, active: %v", err, v.Active())
	}
	if _, err := v.Message(now, netip.MustParseAddr("192.0.2.3"), nil); !errors.Is(err, ErrPeer) {
		t.Errorf("of a stranger: %v, want %v", err, ErrPeer)
	}
	for range sentFrames {
		v.sent.add(make([]StateID, 16))
	}
	out, err := say(sideNack, appendSpans(nil, slices.Repeat([]span{{1, sentFrames}}, maxSpans)))
	if err != nil || len(out.Resend) > sentIDs {
		t.Errorf("%v, %d states to send again, want at most %d", err, len(out.Resend), sentIDs)
	}
	if _, err := say(sideKind(99), nil); !errors.Is(err, ErrSide) {
		t.Errorf("unknown kind: %v", err)
	}
}

// TestConvergerAsksForTheWhole is about a table that is nearly empty.
func TestConvergerAsksForTheWhole(t *testing.T) {
	table, err := NewMemory(MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddr("192.0.2.2")
	v := NewConverger(ConvergeConfig{HostID: 1, Epoch: 1, Peers: []netip.Addr{peer}}, table)
	now := time.Unix(1e9, 0)
	hello := append(sideHeader{sideHello, 2, 9}.append(nil), (&helloMsg{echo: 1, root: 1, states: 50_000}).append(nil)...)
	asked := 0
	for range 30 {
		out, err := v.Message(now, peer, hello)
		if err != nil {
			t.Fatal(err)
		}
		if out.Resync {
			asked++
		}
		now = now.Add(time.Second)
	}
	if asked != 1 {
		t.Errorf("asked for the whole table %d times in 30 s, want once", asked)
	}
}
