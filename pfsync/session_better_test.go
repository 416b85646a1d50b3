package pfsync_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// What a session does better than the kernels, each beside what they do. More of
// the bulk update is in testdata/script/session-better-bulk-*.txt.

func TestBetterEmptyPeer(t *testing.T) {
	wantScript(t, `
new DIALECT boot exact
0 link up
> nothing, no timer
0 up
> [UPD_REQ all], demotion 32 (pfsync start), next 2.000
0.1 peer BUS end
> nothing, next 2.000

new DIALECT boot
0 link up
> nothing, no timer
0 up
> [UPD_REQ all], demotion 32 (pfsync start), next 2.000
0.1 peer BUS end
> demotion 0 (pfsync done), no timer
`, pfsync.OpenBSD)
}

// TestBetterEmptyAnswer has one session ask and one answer, both with no states:
// the one that is a kernel is content only with our answer.
func TestBetterEmptyAnswer(t *testing.T) {
	for _, exact := range []bool{false, true} {
		asks := replay(t, pfsync.Config{HostID: 1, KernelExact: true}, pfsync.MemoryConfig{})
		answers := replay(t, pfsync.Config{HostID: 2, KernelExact: exact}, pfsync.MemoryConfig{})
		answers.step(pfsync.Event{Kind: pfsync.EventUp})
		asks.step(pfsync.Event{Kind: pfsync.EventLinkUp})
		asks.step(pfsync.Event{Kind: pfsync.EventUp})
		for _, b := range asks.take() {
			answers.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: b, TTL: 255}})
		}
		for _, b := range answers.take() {
			asks.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: b, TTL: 255}})
		}
		if asks.Synced() == exact {
			t.Errorf("answered by a kernel %v: synced %v", exact, asks.Synced())
		}
	}
}

func TestBetterNothingSticks(t *testing.T) {
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15} {
		r := replay(t, pfsync.Config{Dialect: d, HostID: 1}, pfsync.MemoryConfig{})
		start := r.now
		r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		w := pfsync.NewWriter(d, 0, 1500)
		for i := range 1000 { // a peer that never ends
			r.bus(pfsync.BusStart)
			st := testState(pfsync.StateID{ID: uint64(i), CreatorID: 2})
			w.Reset(nil)
			w.Upd(&st)
			r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
			r.sleep(100 * time.Millisecond)
			if over := r.now.Sub(start) >= time.Minute; (r.out.Demotion == 0) != over {
				t.Fatalf("%v: demotion %d after %v", d, r.out.Demotion, r.now.Sub(start))
			}
		}
	}
}

func TestBetterLinkReturns(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 link down
> demotion 1 (pfsync link), no timer
9 link up
> demotion 0 (pfsync link), no timer

new DIALECT
0 link down
> demotion 1 (pfsync link), no timer
9 link up
> [UPD_REQ all], demotion 0 (pfsync link), next 11.000
`, pfsync.OpenBSD)
}

func TestBetterResync(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 resync
> demotion 240 (pfsync bulk start), next 5.000

new DIALECT
0 resync
> [UPD_REQ all], next 5.000
`, pfsync.FreeBSD14)
}

func TestBetterRequestLeavesAtOnce(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 peer UPD_C p1 4:4
> nothing, no timer
5 insert 1
> nothing, next 6.000
6 wait
> @6.000 [INS 1 4:4; UPD_REQ p1], no timer

new DIALECT
0 peer UPD_C p1 4:4
> [UPD_REQ p1], no timer
`, pfsync.FreeBSD12)
}

// TestBetterMerge: the responder's half stays ours if it is the better one, and
// what is further is taken though its sequence number is behind.
func TestBetterMerge(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 peer INS p1 4:4
> nothing, no timer
1 peer UPD_C p1 7:2
> [UPD_C p1 7:2], stale 1, no timer
1 states
> p1 7:2

new DIALECT
0 peer INS p1 4:4
> nothing, no timer
1 peer UPD_C p1 7:2
> [UPD_C p1 7:4], stale 1, no timer
1 states
> p1 7:4
`, pfsync.FreeBSD12, pfsync.FreeBSD15)
	for _, exact := range []bool{false, true} {
		r := replay(t, pfsync.Config{Dialect: pfsync.FreeBSD15, HostID: 1, KernelExact: exact}, pfsync.MemoryConfig{})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		st := testState(pfsync.StateID{ID: 1, CreatorID: 2})
		if err := r.store.Insert(r.now, &st, nil); err != nil {
			t.Fatal(err)
		}
		st.Dst.State, st.Dst.SeqLo = pfsync.TCPFinWait2, st.Dst.SeqLo-1
		w := pfsync.NewWriter(pfsync.FreeBSD15, 0, 1500)
		w.UpdC(&pfsync.UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
		r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
		if got := r.Stats().Stale == 1; got != exact {
			t.Errorf("kernel %v: stale %v", exact, got)
		}
	}
}

func TestBetterClearInterface(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 peer INS p1 if=em0 + INS p2 if=em1
> nothing, no timer
0 peer CLR them em0
> nothing, no timer
0 states
> none

new DIALECT
0 peer INS p1 if=em0 + INS p2 if=em1
> nothing, no timer
0 peer CLR them em0
> nothing, no timer
0 states
> p2 4:4 on em1
`, pfsync.FreeBSD12)
}

func TestBetterClearOfOurs(t *testing.T) {
	wantScript(t, `
new DIALECT exact
0 insert 1
> nothing, next 1.000
0 peer CLR us
> nothing, no timer
0 states
> none

new DIALECT
0 insert 1
> nothing, next 1.000
0 peer CLR us
> clrdenied 1, next 1.000
0 states
> 1 4:4
`)
}

func TestBetterNoSync(t *testing.T) {
	wantScript(t, `
new DIALECT exact count
0 peer UPD p1 nosync
> nothing, no timer
0 states
> p1 4:4
0 insert 2 nosync
> nothing, no timer
0 peer UPD_REQ all
> [BUS start; UPD x2; BUS end], no timer

new DIALECT
0 peer UPD p1 nosync
> refused 1, no timer
0 insert 2 nosync
> nothing, no timer
0 peer UPD_REQ all
> [BUS start], [BUS end], no timer
`, pfsync.OpenBSD)
}

// TestBetterRemoved: a peer that has not heard of a removal is told again.
func TestBetterRemoved(t *testing.T) {
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15} {
		st := testState(pfsync.StateID{ID: 1, CreatorID: scriptThem})
		r := running(t, pfsync.Config{Dialect: d, Removed: func(id pfsync.StateID) bool { return id == st.StateID }})
		r.bus(pfsync.BusEnd)
		for what, fill := range map[string]func(w *pfsync.Writer){
			"INS": func(w *pfsync.Writer) { w.Ins(&st) },
			"UPD": func(w *pfsync.Writer) { w.Upd(&st) },
			"UPD_C": func(w *pfsync.Writer) {
				w.UpdC(&pfsync.UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
			},
		} {
			r.packet(packetWith(d, 0, fill))
			r.sleep(time.Second)
			s := scripted{t: t, r: r}
			if sent := r.take(); len(sent) != 1 || s.frame(sent[0]) != "[DEL_C p1]" || r.store.Len() != 0 {
				t.Errorf("%v: %s of what was removed: sent %x, %d states", d, what, sent, r.store.Len())
			}
		}
		if n := r.Stats().Returned; n != 3 {
			t.Errorf("%v: returned %d, want 3", d, n)
		}
	}
}

// TestBetterFloods: what a stranger can make us do is bounded.
func TestBetterFloods(t *testing.T) {
	t.Parallel()
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15} {
		const states = 2000
		r := replay(t, pfsync.Config{Dialect: d, HostID: 1, RequestRate: 500, Bulk: pfsync.BulkConfig{Interval: -1}}, pfsync.MemoryConfig{})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		for i := range states {
			st := testState(pfsync.StateID{ID: uint64(i), CreatorID: 1})
			if err := r.store.Insert(r.now, &st, nil); err != nil {
				t.Fatal(err)
			}
		}
		// flood sends a packet full of messages each millisecond for three seconds.
		flood := func(fill func(w *pfsync.Writer, i int) bool) (out [pfsync.ActEOF + 1]uint64) {
			t.Helper()
			was := r.Stats()
			i := 0
			for range 3000 {
				w := pfsync.NewWriter(d, 0, 1500)
				for fill(w, i) {
					i++
				}
				r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
				for !r.out.Deadline.IsZero() && !r.out.Deadline.After(r.now) {
					r.step(pfsync.Event{Kind: pfsync.EventTimer}) // without a pause
				}
				r.sleep(time.Millisecond)
				r.take()
			}
			now := r.Stats()
			for a := range out {
				out[a] = now.OutActions[a] - was.OutActions[a]
			}
			return out
		}
		out := flood(func(w *pfsync.Writer, i int) bool {
			return w.UpdReq(pfsync.StateID{ID: uint64(i % states), CreatorID: 1})
		})
		if n := out[pfsync.ActUpd]; n < 1900 || n > 2000 {
			t.Errorf("%v: %d states were sent in 3 s to who asked for each of them, want 500 at once and 500 a second", d, n)
		}
		if r.Stats().ReqDropped == 0 {
			t.Errorf("%v: no request was counted as dropped", d)
		}
		out = flood(func(w *pfsync.Writer, i int) bool { return w.UpdReq(pfsync.StateID{}) })
		if n := out[pfsync.ActUpd]; n < 3*states || n > 4*states {
			t.Errorf("%v: %d states were sent in 3 s to who asked for all, want 3 or 4 times %d", d, n, states)
		}
		was := r.Stats().ClrDenied
		flood(func(w *pfsync.Writer, i int) bool { return w.Clr(&pfsync.Clr{CreatorID: uint32(i) + 2}) })
		if n := r.Stats().InActions[pfsync.ActClr] - (r.Stats().ClrDenied - was); n < 64+20 || n > 64+24 {
			t.Errorf("%v: %d CLR were done in 3 s, want 64 and 8 a second", d, n)
		}
		if r.store.Len() != states {
			t.Errorf("%v: %d states are left", d, r.store.Len())
		}
	}
}

// TestBetterDuty: answers without pauses leave half of the time to other things.
func TestBetterDuty(t *testing.T) {
	r := replay(t, pfsync.Config{HostID: scriptUs, Bulk: pfsync.BulkConfig{Interval: -1, Burst: 10}}, pfsync.MemoryConfig{})
	for i := range 500 {
		st := testState(pfsync.StateID{ID: uint64(i), CreatorID: scriptUs})
		if err := r.store.Insert(r.now, &st, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.step(pfsync.Event{Kind: pfsync.EventUp})
	ask := packetWith(pfsync.OpenBSD, 0, func(w *pfsync.Writer) { w.UpdReq(pfsync.StateID{}) })
	began := r.now
	r.packet(ask)
	r.packet(ask)
	for r.Answering() { // by a machine that needs a second for ten frames
		r.now = r.now.Add(time.Second)
		r.step(pfsync.Event{Kind: pfsync.EventTimer})
	}
	took := r.now.Sub(began)
	r.take()
	r.until(began.Add(2*took - 1))
	if took < 5*time.Second || slices.ContainsFunc(r.take(), func(b []byte) bool { return len(b) > 1000 }) {
		t.Errorf("an answer that took %v is followed by another in less than %v", took, 2*took)
	}
	r.sleep(1)
	if len(r.take()) < 100 {
		t.Error("there is no second answer")
	}
}

// TestClockSetBack: timers that run have as long to go as before.
func TestClockSetBack(t *testing.T) {
	r := running(t, pfsync.Config{})
	r.bus(pfsync.BusEnd)
	r.sleep(time.Hour)
	st := testState(pfsync.StateID{ID: 1, CreatorID: scriptUs})
	if err := r.store.Insert(r.now, &st, nil); err != nil {
		t.Fatal(err)
	}
	r.step(pfsync.Event{Kind: pfsync.EventInsert, State: &st})
	r.now = r.now.Add(-time.Minute)
	r.step(pfsync.Event{Kind: pfsync.EventTimer})
	if left := r.out.Deadline.Sub(r.now); left != time.Second || len(r.take()) != 0 {
		t.Errorf("%v are left, want 1s", left)
	}
	r.sleep(time.Second)
	if sent := r.take(); len(sent) != 1 {
		t.Errorf("sent %x", sent)
	}
}

// TestBetterPeers: packets of others than the peers are counted and no more.
func TestBetterPeers(t *testing.T) {
	peer, stranger := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	r := replay(t, pfsync.Config{HostID: 1, Peers: []netip.Addr{peer}}, pfsync.MemoryConfig{})
	r.step(pfsync.Event{Kind: pfsync.EventUp})
	st := testState(pfsync.StateID{ID: 1, CreatorID: 2})
	w := pfsync.NewWriter(pfsync.OpenBSD, 0, 1500)
	w.Ins(&st)
	for _, src := range []netip.Addr{{}, stranger} {
		r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255, Src: src}})
	}
	if r.store.Len() != 0 || r.Stats().BadPeer != 2 {
		t.Errorf("%d states, badpeer %d after packets of strangers", r.store.Len(), r.Stats().BadPeer)
	}
	mapped := netip.AddrFrom16(peer.As16())
	r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255, Src: mapped}})
	if r.store.Len() != 1 {
		t.Error("the peer's packet was dropped")
	}
}
