package pfsync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// The vectors of the specification that are about sessions. V1 to V4 and V16 are
// about frames.

func TestV5Bulk(t *testing.T) {
	t.Run("request, start, states, end", func(t *testing.T) {
		wantScript(t, `
new DIALECT boot
0 link up
> nothing, no timer
0 up
> [UPD_REQ all], demotion 32 (pfsync start), next 2.000
0.1 peer BUS start
> nothing, next 2.100
0.2 peer UPD p1
> nothing, next 2.200
0.3 peer BUS end
> demotion 0 (pfsync done), no timer
0.3 states
> p1 4:4
`, pfsync.OpenBSD)
		wantScript(t, `
new DIALECT boot
0 up
> [UPD_REQ all], demotion 240 (pfsync bulk start), next 5.000
0.1 peer BUS start
> nothing, next 5.100
0.2 peer UPD p1
> nothing, next 5.200
0.3 peer BUS end
> demotion 0 (pfsync bulk done), no timer
`, pfsync.FreeBSD12, pfsync.FreeBSD14, pfsync.FreeBSD15)
	})
	t.Run("answer", func(t *testing.T) {
		wantScript(t, `
new DIALECT states=12 count
0 peer UPD_REQ all
> [BUS start; UPD x5], next 0.020
1 wait
> @0.020 [UPD x5], next 0.040
> @0.040 [UPD x2; BUS end], no timer
`, pfsync.OpenBSD)
		wantScript(t, `
new DIALECT states=12 count
0 peer UPD_REQ all
> [BUS start; UPD x5], next 0.001
1 wait
> @0.001 [UPD x6], next 0.002
> @0.002 [UPD x1; BUS end], no timer
`, pfsync.FreeBSD12)
	})
	t.Run("empty table", func(t *testing.T) {
		wantScript(t, `
new DIALECT exact
0 peer UPD_REQ all
> [BUS end], no timer
`, pfsync.OpenBSD)
		wantScript(t, `
new DIALECT exact
0 peer UPD_REQ all
> [BUS start], next 0.001
1 wait
> @0.001 [BUS end], no timer
`, pfsync.FreeBSD12)
	})
	t.Run("end of an older one", func(t *testing.T) {
		wantScript(t, `
new DIALECT boot
0 up
> [UPD_REQ all], demotion 240 (pfsync bulk start), next 5.000
1 peer BUS end 3
> nothing, next 5.000
2 peer BUS end 2
> demotion 0 (pfsync bulk done), no timer
`, pfsync.FreeBSD12, pfsync.FreeBSD15)
	})
	t.Run("retries", func(t *testing.T) {
		for d, want := range map[pfsync.Dialect]struct {
			requests int
			given    time.Duration
		}{pfsync.OpenBSD: {12, 24 * time.Second}, pfsync.FreeBSD15: {13, 65 * time.Second}} {
			r := replay(t, pfsync.Config{Dialect: d, HostID: 1, Bulk: pfsync.BulkConfig{Deadline: time.Hour}}, pfsync.MemoryConfig{})
			up := r.now
			r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
			r.step(pfsync.Event{Kind: pfsync.EventUp})
			for r.out.Demotion != 0 {
				r.until(r.out.Deadline)
			}
			if n, given := len(r.take()), r.now.Sub(up); n != want.requests || given != want.given {
				t.Errorf("%v: %d requests, gave up after %v, want %d and %v", d, n, given, want.requests, want.given)
			}
		}
	})
}

// TestV6Stale is the stale matrix: all pairs of TCP states, with sequence numbers
// that are behind, equal, ahead, and at the far side of the circle. What FreeBSD
// does is judged with KernelExact.
func TestV6Stale(t *testing.T) {
	const base = 0xfffff000 // so that "ahead" wraps around
	gaps := []uint32{0, 1, 0x1fff, 1<<31 - 1, 1 << 31, 1<<31 + 1, 0xffffffff}
	gt := func(a, b uint32) bool { return int32(a-b) > 0 }
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD15} {
		r := replay(t, pfsync.Config{Dialect: d, HostID: scriptUs, KernelExact: true}, pfsync.MemoryConfig{})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		id := pfsync.StateID{ID: 1, CreatorID: scriptThem}
		for local := range pfsync.PeerState(13) {
			for remote := range pfsync.PeerState(13) {
				for _, gap := range gaps {
					l, rem := uint32(base), base+gap
					srcStale := local > remote && (local < 11 || remote >= 11) || local == remote && gt(l, rem)
					dstStale := local > remote || local == remote && gt(l, rem)
					if d != pfsync.OpenBSD {
						dstStale = local > remote || local >= 1 && gt(l, rem)
					}
					for _, half := range []string{"src", "dst"} {
						st := testState(id)
						upd := pfsync.UpdC{StateID: id, Src: st.Src, Dst: st.Dst, Timeout: pfsync.TCPClose}
						stale, ours, theirs := srcStale, &st.Src, &upd.Src
						if half == "dst" {
							stale, ours, theirs = dstStale, &st.Dst, &upd.Dst
						}
						*ours = pfsync.Peer{State: local, SeqLo: l, MaxWin: 1}
						*theirs = pfsync.Peer{State: remote, SeqLo: rem, MaxWin: 2}
						r.store.Delete(id)
						if err := r.store.Insert(r.now, &st, nil); err != nil {
							t.Fatal(err)
						}
						was := r.Stats().Stale
						w := pfsync.NewWriter(d, 0, 1500)
						w.UpdC(&upd)
						r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
						if got := r.Stats().Stale != was; got != stale {
							t.Fatalf("%v %s: %d seq %#x, received %d seq %#x: stale %v, want %v", d, half, local, l, remote, rem, got, stale)
						}
						var after pfsync.State
						r.store.Get(r.now, id, &after)
						taken := after.Src.MaxWin == 2 || after.Dst.MaxWin == 2
						overwritten := half == "dst" && d != pfsync.OpenBSD
						if taken == stale && !overwritten || overwritten && !taken {
							t.Fatalf("%v %s: %d seq %#x, received %d seq %#x: stale %v, taken %v", d, half, local, l, remote, rem, stale, taken)
						}
						if after.Timeout != pfsync.TCPClose {
							t.Fatalf("%v: the other half is fresh, and the timeout class is %v", d, after.Timeout)
						}
					}
				}
			}
		}
	}
}

func TestV7Unknown(t *testing.T) {
	wantScript(t, `
new DIALECT
0 peer UPD p1 7:4
> nothing, no timer
0 peer UPD_C p2 4:4 + UPD_C p1 7:7 + UPD_C p3 4:4
> [UPD_REQ p3, p2], no timer
0 states
> p1 7:7
`, pfsync.OpenBSD)
	for d, want := range map[pfsync.Dialect]string{
		pfsync.OpenBSD:   "[UPD_REQ p4, p3, p2]", // the kernel's list begins with the last
		pfsync.FreeBSD15: "[UPD_REQ p2, p3, p4]",
	} {
		r := replay(t, pfsync.Config{Dialect: d, HostID: scriptUs}, pfsync.MemoryConfig{})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		r.take()
		w := pfsync.NewWriter(d, 0, 1500)
		for _, id := range []uint64{2, 3, 4} {
			w.UpdC(&pfsync.UpdC{StateID: pfsync.StateID{ID: id, CreatorID: scriptThem}})
		}
		r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
		s := scripted{t: t, r: r}
		if sent := r.take(); len(sent) != 1 || s.frame(sent[0]) != want {
			t.Errorf("%v: sent %x, want %s", d, sent, want)
		}
	}
}

func TestV8InsAck(t *testing.T) {
	wantScript(t, `
new DIALECT
0 peer INS p1 ack
> [INS_ACK p1], no timer
0 peer UPD p2 ack
> [INS_ACK p2], no timer
0 peer INS p1 ack
> refused 1, no timer
0 peer INS p3
> nothing, no timer
`)
}

func TestV9InsertThenDelete(t *testing.T) {
	wantScript(t, `
new DIALECT
0 insert 1
> nothing, next 1.000
0.9 delete 1
> nothing, no timer
5 wait
`)
}

func TestV10MaxUpd(t *testing.T) {
	wantScript(t, `
new DIALECT
0 insert 1
> nothing, next 1.000
2 update 1
> @1.000 [INS 1 4:4], no timer
> nothing, next 3.000
2.1 update 1 x127
> nothing, next 3.000
2.2 update 1
> [UPD_C 1 4:4], no timer
3 update 1
> nothing, next 4.000
3.1 update 1 x127
> nothing, next 4.000
5 wait
> @4.000 [UPD_C 1 4:4], no timer
`)
	for _, maxupd := range []int{0, 1} { // both mean the second
		wantScript(t, fmt.Sprintf(`
new DIALECT maxupd=%d
0 insert 1
> nothing, next 1.000
2 update 1
> @1.000 [INS 1 4:4], no timer
> nothing, next 3.000
2.1 update 1
> [UPD_C 1 4:4], no timer
`, maxupd))
	}
	wantScript(t, `
new DIALECT
0 insert 1 udp
> nothing, next 1.000
2 update 1 udp x1000
> @1.000 [INS 1 2:2], no timer
> nothing, next 3.000
5 wait
> @3.000 [UPD_C 1 2:2], no timer
`)
}

func TestV11DeleteUnknown(t *testing.T) {
	wantScript(t, `
new DIALECT
0 peer INS p1
> nothing, no timer
0 peer DEL_C p2 + DEL_C p1
> badstate 1, no timer
0 states
> none
5 wait
`)
}

func TestV12Clear(t *testing.T) {
	wantScript(t, `
new DIALECT
0 insert 1
> nothing, next 1.000
0 peer INS p1 + INS p2 if=em1 + INS p3 if=em0
> nothing, next 1.000
1 peer CLR them em0
> @1.000 [INS 1 4:4], no timer
> nothing, no timer
1 states
> 1 4:4, p1 4:4, p2 4:4 on em1
1 update p2
> [UPD_C p2 4:4], no timer
1 peer CLR them
> nothing, no timer
1 states
> 1 4:4
5 wait
`)
}

func TestV13NoEcho(t *testing.T) {
	wantScript(t, `
new DIALECT
0 peer INS p1 + UPD p2 + UPD_C p1 7:4
> nothing, no timer
3 update p1
> nothing, next 4.000
4 wait
> @4.000 [UPD_C p1 4:4], no timer
5 delete p2
> nothing, next 6.000
7 wait
> @6.000 [DEL_C p2], no timer
8 peer CLR them
> nothing, no timer
20 wait
`)
}

func TestV14AddressFamily(t *testing.T) {
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD14, pfsync.FreeBSD15} {
		f := formatOf(d)
		offsets := map[pfsync.Format][]int{ // of the octets that say it
			pfsync.FormatOpenBSD: {24 + 38, 64 + 38, 250}, pfsync.Format1301: {232}, pfsync.Format1400: {232}, pfsync.Format1500: {344, 345},
		}[f]
		right, wrong := uint8(28), uint8(24)
		if d == pfsync.OpenBSD {
			right, wrong = wrong, right
		}
		st := testState(pfsync.StateID{ID: 1, CreatorID: scriptThem})
		st.AF, st.Wire.AF, st.Stack.AF = pfsync.AFInet6, pfsync.AFInet6, pfsync.AFInet6
		for _, number := range []uint8{right, wrong, 10} {
			r := replay(t, pfsync.Config{Dialect: d, HostID: scriptUs}, pfsync.MemoryConfig{})
			r.step(pfsync.Event{Kind: pfsync.EventUp})
			w := pfsync.NewWriter(d, f, 1500)
			w.Ins(&st)
			frame := w.Bytes()
			for _, off := range offsets {
				frame[24+off] = number
			}
			r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: frame, TTL: 255}})
			if got, bad := r.store.Len(), r.Stats().BadValue; got+int(bad) != 1 || (got == 1) != (number == right) {
				t.Errorf("%v: address family %d: %d states, badval %d", d, number, got, bad)
			}
			if number != right {
				continue
			}
			r.take()
			r.step(pfsync.Event{Kind: pfsync.EventResend, ID: st.StateID})
			r.sleep(time.Second)
			sent := r.take()
			if len(sent) != 1 {
				t.Fatalf("%v: sent %x", d, sent)
			}
			for _, off := range offsets {
				if sent[0][24+off] != right {
					t.Errorf("%v: sends address family %d", d, sent[0][24+off])
				}
			}
		}
	}
}

// TestV15Fill counts what goes into one packet.
func TestV15Fill(t *testing.T) {
	for _, c := range []struct {
		d                pfsync.Dialect
		mtu              int
		ins, updC, small int
	}{
		{pfsync.OpenBSD, 1500, 5, 17, 121},
		{pfsync.FreeBSD12, 1500, 6, 17, 121},
		{pfsync.FreeBSD14, 1500, 5, 17, 119},
		{pfsync.FreeBSD15, 1500, 3, 17, 119},
		{pfsync.OpenBSD, 9000, 33, 106, 746},
		{pfsync.FreeBSD12, 9000, 36, 106, 746},
		{pfsync.FreeBSD14, 9000, 32, 106, 744},
		{pfsync.FreeBSD15, 9000, 24, 106, 744},
	} {
		r := replay(t, pfsync.Config{Dialect: c.d, HostID: scriptUs, MTU: c.mtu}, pfsync.MemoryConfig{})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		r.bus(pfsync.BusEnd)
		r.take()
		first := func(kind pfsync.EventKind, n int) int {
			for i := range n {
				st := testState(pfsync.StateID{ID: uint64(i), CreatorID: scriptUs})
				ev := pfsync.Event{Kind: kind, ID: st.StateID}
				if kind == pfsync.EventInsert {
					if err := r.store.Insert(r.now, &st, nil); err != nil {
						t.Fatal(err)
					}
					ev.State = &st
				}
				r.step(ev)
			}
			r.sleep(time.Second)
			f, err := pfsync.Parse(c.d, r.take()[0])
			if err != nil {
				t.Fatal(err)
			}
			for sec := range f.Sections() {
				return sec.Count
			}
			return 0
		}
		got := []int{first(pfsync.EventInsert, 800), first(pfsync.EventUpdate, 800), first(pfsync.EventDelete, 800)}
		if diff := cmp.Diff([]int{c.ins, c.updC, c.small}, got); diff != "" {
			t.Errorf("%v, MTU %d (-want +got):\n%s", c.d, c.mtu, diff)
		}
	}
}
