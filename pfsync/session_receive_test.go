package pfsync_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// packetWith is a packet from a peer with messages.
func packetWith(d pfsync.Dialect, f pfsync.Format, fill func(w *pfsync.Writer)) pfsync.Packet {
	w := pfsync.NewWriter(d, f, 9000)
	fill(w)
	return pfsync.Packet{Data: w.Bytes(), TTL: 255, Src: netip.MustParseAddr("10.0.0.2")}
}

// running is a session that is up.
func running(t *testing.T, cfg pfsync.Config) *replayed {
	t.Helper()
	if cfg.HostID == 0 {
		cfg.HostID = scriptUs
	}
	r := replay(t, cfg, pfsync.MemoryConfig{})
	r.step(pfsync.Event{Kind: pfsync.EventLinkUp})
	r.step(pfsync.Event{Kind: pfsync.EventUp})
	r.take()
	return r
}

func (r *replayed) packet(p pfsync.Packet) {
	r.t.Helper()
	r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: p})
}

// TestPacketChecks has one packet for each counter.
func TestPacketChecks(t *testing.T) {
	good := func() pfsync.Packet {
		return packetWith(pfsync.OpenBSD, 0, func(w *pfsync.Writer) {
			st := testState(pfsync.StateID{ID: 1, CreatorID: scriptThem})
			w.Ins(&st)
		})
	}
	for _, c := range []struct {
		name   string
		change func(p *pfsync.Packet)
		want   counters
	}{
		{"good", func(p *pfsync.Packet) {}, counters{"ipackets": 1, "iacts.INS": 1}},
		{"over IPv6", func(p *pfsync.Packet) { p.Src = netip.MustParseAddr("fe80::1") }, counters{"ipackets6": 1, "badpeer": 1}},
		{"another interface", func(p *pfsync.Packet) { p.IfIndex = 7 }, counters{"ipackets": 1, "badif": 1}},
		{"an interface that is not known", func(p *pfsync.Packet) { p.IfIndex = 0 }, counters{"ipackets": 1, "iacts.INS": 1}},
		{"another interface before TTL", func(p *pfsync.Packet) { p.IfIndex, p.TTL = 7, 1 }, counters{"ipackets": 1, "badif": 1}},
		{"TTL", func(p *pfsync.Packet) { p.TTL = 254 }, counters{"ipackets": 1, "badttl": 1}},
		{"stranger", func(p *pfsync.Packet) { p.Src = netip.MustParseAddr("10.0.0.3") }, counters{"ipackets": 1, "badpeer": 1}},
		{"nothing", func(p *pfsync.Packet) { p.Data = nil }, counters{"ipackets": 1, "hdrops": 1}},
		{"half a header", func(p *pfsync.Packet) { p.Data = p.Data[:19] }, counters{"ipackets": 1, "hdrops": 1}},
		{"version", func(p *pfsync.Packet) { p.Data[0] = 5 }, counters{"ipackets": 1, "badver": 1}},
		{"length", func(p *pfsync.Packet) { p.Data[2] = 0xff }, counters{"ipackets": 1, "badlen": 1}},
		{"count", func(p *pfsync.Packet) { p.Data[23] = 9 }, counters{"ipackets": 1, "badlen": 1}},
		{"action", func(p *pfsync.Packet) { p.Data[20], p.Data[21] = 99, 0 }, counters{"ipackets": 1, "badact": 1}},
		{"value", func(p *pfsync.Packet) { p.Data[24+255] = 20 }, counters{"ipackets": 1, "badval": 1, "iacts.INS": 1}},
		{"creatorid 0", func(p *pfsync.Packet) { clear(p.Data[24+236:][:4]) }, counters{"ipackets": 1, "refused": 1, "iacts.INS": 1}},
	} {
		r := running(t, pfsync.Config{IfIndex: 3, Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2")}})
		was := r.Stats()
		p := good()
		p.IfIndex = 3
		c.change(&p)
		r.packet(p)
		if diff := cmp.Diff(c.want, changed(t, r.Stats(), was)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestImport has what becomes of a state that a peer has made.
func TestImport(t *testing.T) {
	name := func(s string) pfsync.Name { n, _ := pfsync.MakeName(s); return n }
	sent := testState(pfsync.StateID{ID: 1, CreatorID: scriptThem})
	sent.Rule, sent.Anchor, sent.NATRule = 4, 5, 6
	sent.Packets, sent.Bytes = [2]uint64{1, 2}, [2]uint64{3, 4}
	sent.Creation, sent.Expire = 100, 200
	sent.RTableID = [2]int32{-1, -1}
	all := []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD12, pfsync.FreeBSD14, pfsync.FreeBSD15}
	freeBSD := all[1:]
	for _, c := range []struct {
		name     string
		dialects []pfsync.Dialect
		format   pfsync.Format
		cfg      pfsync.Config
		change   func(st *pfsync.State)
		want     func(st *pfsync.State) // nil: it is refused
	}{
		{"as it is", all, 0, pfsync.Config{}, func(st *pfsync.State) {}, func(st *pfsync.State) {}},
		{"our own", all, 0, pfsync.Config{}, func(st *pfsync.State) { st.CreatorID = scriptUs }, func(st *pfsync.State) {}},
		{"ACK is not kept", all, 0, pfsync.Config{},
			func(st *pfsync.State) { st.Flags = pfsync.FlagAck | pfsync.FlagSloppy },
			func(st *pfsync.State) { st.Flags = pfsync.FlagSloppy }},
		{"no-sync", all, 0, pfsync.Config{}, func(st *pfsync.State) { st.Flags = pfsync.FlagNoSync }, nil},
		{"no-sync in the kernel", all[:1], 0, pfsync.Config{KernelExact: true}, func(st *pfsync.State) { st.Flags = pfsync.FlagNoSync }, func(st *pfsync.State) {}},
		{"no-sync in the kernel", freeBSD, 0, pfsync.Config{KernelExact: true},
			func(st *pfsync.State) { st.Flags = pfsync.FlagNoSync }, func(st *pfsync.State) { st.Flags = 0 }},
		{"scrub", all, 0, pfsync.Config{},
			func(st *pfsync.State) {
				st.Src.Scrub = pfsync.Scrub{Flags: 0xffff, TTL: 9, Valid: 7, TSMod: 8}
				st.Dst.Scrub = pfsync.Scrub{Flags: 1, TTL: 9, TSMod: 8}
			},
			func(st *pfsync.State) {
				st.Src.Scrub, st.Dst.Scrub = pfsync.Scrub{Flags: 1, TTL: 9, Valid: 1, TSMod: 8}, pfsync.Scrub{}
			}},
		{"rubbish behind the name", all, 0, pfsync.Config{},
			func(st *pfsync.State) { copy(st.IfName[:], "em0\x00rubbish") }, func(st *pfsync.State) { st.IfName = name("em0") }},
		{"another name for the interface", all, 0, pfsync.Config{Interfaces: map[string]string{"em0": "vio0"}},
			func(st *pfsync.State) { copy(st.IfName[:], "em0\x00rubbish") }, func(st *pfsync.State) { st.IfName = name("vio0") }},
		{"unknown interface", all[:1], 0, pfsync.Config{Known: only("vio0")},
			func(st *pfsync.State) { st.IfName = name("em0") }, func(st *pfsync.State) {}},
		{"unknown interface", freeBSD, 0, pfsync.Config{Known: only("vio0")}, func(st *pfsync.State) { st.IfName = name("em0") }, nil},
		{"known under our name for it", freeBSD, 0, pfsync.Config{Known: only("vio0"), Interfaces: map[string]string{"em0": "vio0"}},
			func(st *pfsync.State) { st.IfName = name("em0") }, func(st *pfsync.State) { st.IfName = name("vio0") }},
		{"not bound to an interface", freeBSD, 0, pfsync.Config{Known: only("vio0")}, func(st *pfsync.State) {}, func(st *pfsync.State) {}},
		{"name without an end", all[3:], 0, pfsync.Config{}, func(st *pfsync.State) { copy(st.IfName[:], "0123456789abcdef") }, nil},
		{"route-to with no rule", []pfsync.Dialect{pfsync.FreeBSD12}, 0, pfsync.Config{},
			func(st *pfsync.State) { st.RtAddr = pfsync.Addr{1} }, func(st *pfsync.State) {}},
		{"route-to with no rule, 1301", []pfsync.Dialect{pfsync.FreeBSD14, pfsync.FreeBSD15}, pfsync.Format1301, pfsync.Config{},
			func(st *pfsync.State) { st.RtAddr = pfsync.Addr{1} }, nil},
		{"route-to", []pfsync.Dialect{pfsync.FreeBSD14, pfsync.FreeBSD15}, 0, pfsync.Config{Known: only("vio0")},
			func(st *pfsync.State) {
				st.Rt, st.RtAF, st.RtAddr, st.RtIfName = pfsync.RouteTo, st.AF, pfsync.Addr{1}, name("vio0")
			}, func(st *pfsync.State) {}},
		{"route-to with an unknown interface", []pfsync.Dialect{pfsync.FreeBSD14, pfsync.FreeBSD15}, 0, pfsync.Config{Known: only("vio0")},
			func(st *pfsync.State) { st.Rt, st.RtAddr, st.RtIfName = pfsync.RouteTo, pfsync.Addr{1}, name("em0") }, nil},
		{"made on an unknown interface", all[3:], 0, pfsync.Config{Known: only("vio0")},
			func(st *pfsync.State) { st.OrigIfName = name("em0") }, func(st *pfsync.State) {}},
		{"bound to one, made on an unknown one", all[3:], 0, pfsync.Config{Known: only("vio0")},
			func(st *pfsync.State) { st.IfName, st.OrigIfName = name("vio0"), name("em0") }, nil},
		{"what is in the rule, 1301", []pfsync.Dialect{pfsync.FreeBSD14, pfsync.FreeBSD15}, pfsync.Format1301, pfsync.Config{},
			func(st *pfsync.State) { st.Flags = pfsync.FlagSetTOS | pfsync.FlagAllowOpts },
			func(st *pfsync.State) { st.Flags = pfsync.FlagAllowOpts }},
		{"SCTP without its tags", all[3:], 0, pfsync.Config{},
			func(st *pfsync.State) { st.Proto, st.Wire.Proto, st.Stack.Proto = 132, 132, 132 }, nil},
	} {
		for _, d := range c.dialects {
			cfg := c.cfg
			cfg.Dialect = d
			r := running(t, cfg)
			st := sent
			c.change(&st)
			was := r.Stats()
			r.packet(packetWith(d, c.format, func(w *pfsync.Writer) { w.Ins(&st) }))
			diff := changed(t, r.Stats(), was)
			var got pfsync.State
			there := r.store.Get(r.now, st.StateID, &got)
			if there != (c.want != nil) || there != (diff["refused"] == 0) {
				t.Errorf("%s, %v: imported %v, want %v; counted %v", c.name, d, there, c.want != nil, diff)
			}
			if !there {
				continue
			}
			// What the wire has no room for is not the session's business.
			var want pfsync.State
			f := c.format
			if f == 0 {
				f = formatOf(d)
			}
			if err := want.Unmarshal(f, st.Append(f, nil)); err != nil {
				t.Fatal(err)
			}
			want.Rule, want.Anchor, want.NATRule = ^uint32(0), ^uint32(0), ^uint32(0)
			want.Packets, want.Bytes = [2]uint64{}, [2]uint64{}
			want.OrigIfName = got.OrigIfName
			c.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %v (-want +got):\n%s", c.name, d, diff)
			}
		}
	}
}

func only(name string) func(string) bool { return func(s string) bool { return s == name } }

// TestTableIsFull: a section of INS that finds no room ends there, but one of UPD
// still updates what is known.
func TestTableIsFull(t *testing.T) {
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15} {
		r := replay(t, pfsync.Config{Dialect: d, HostID: scriptUs}, pfsync.MemoryConfig{Limit: 2})
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		var st [4]pfsync.State
		for i := range st {
			st[i] = testState(pfsync.StateID{ID: uint64(i), CreatorID: scriptThem})
		}
		r.packet(packetWith(d, 0, func(w *pfsync.Writer) {
			for i := range st {
				w.Ins(&st[i])
			}
		}))
		if n := r.store.Len(); n != 2 || r.Stats().Refused != 1 {
			t.Errorf("%v: %d states, refused %d, want 2 and 1", d, n, r.Stats().Refused)
		}
		st[1].Src.State = pfsync.TCPFinWait2
		r.packet(packetWith(d, 0, func(w *pfsync.Writer) { w.Upd(&st[3]); w.Upd(&st[1]) }))
		var got pfsync.State
		if r.store.Get(r.now, st[1].StateID, &got); got.Src.State != pfsync.TCPFinWait2 || r.Stats().BadState != 1 {
			t.Errorf("%v: state %d, badstate %d, want 9 and 1", d, got.Src.State, r.Stats().BadState)
		}
	}
}

// TestWatch: who watches hears of each change that a peer has made, and of no other.
func TestWatch(t *testing.T) {
	for _, d := range []pfsync.Dialect{pfsync.OpenBSD, pfsync.FreeBSD15} {
		var got []string
		r := running(t, pfsync.Config{Dialect: d, Watch: func(c pfsync.Change) {
			got = append(got, fmt.Sprintf("%d %v %d:%d", c.Op, c.State.StateID, c.State.Src.State, c.State.Dst.State))
		}})
		st := testState(pfsync.StateID{ID: 1, CreatorID: scriptThem})
		other := testState(pfsync.StateID{ID: 2, CreatorID: scriptThem})
		update := func(src, dst pfsync.PeerState) func(w *pfsync.Writer) {
			return func(w *pfsync.Writer) {
				st.Src.State, st.Dst.State = src, dst
				w.UpdC(&pfsync.UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout})
			}
		}
		for _, fill := range []func(w *pfsync.Writer){
			func(w *pfsync.Writer) { w.Ins(&st); w.Ins(&other) },
			func(w *pfsync.Writer) { w.Ins(&st) }, // refused
			update(7, 4),
			update(4, 9), // half of it is stale
			update(2, 2), // all of it
			func(w *pfsync.Writer) { w.DelC(st.StateID); w.DelC(st.StateID) },
			func(w *pfsync.Writer) { w.Upd(&st) },
			func(w *pfsync.Writer) { w.Clr(&pfsync.Clr{CreatorID: scriptThem, IfName: other.IfName}) },
		} {
			r.packet(packetWith(d, 0, fill))
		}
		ours := testState(pfsync.StateID{ID: 3, CreatorID: scriptUs})
		for _, kind := range []pfsync.EventKind{pfsync.EventInsert, pfsync.EventUpdate, pfsync.EventDelete} {
			r.step(pfsync.Event{Kind: kind, ID: ours.StateID, State: &ours})
		}
		first, second := "0000000000000001/00000002", "0000000000000002/00000002"
		want := []string{
			"0 " + first + " 4:4", "0 " + second + " 4:4", "1 " + first + " 7:4", "1 " + first + " 7:9", "2 " + first + " 0:0",
			"0 " + first + " 2:2",
		}
		if diff := cmp.Diff(want, got[:min(len(got), len(want))]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", d, diff)
		}
		if n := len(got) - len(want); n != 2 || r.store.Len() != 0 {
			t.Errorf("%v: heard of %d states that CLR removed, want 2; %d are left", d, n, r.store.Len())
		}
	}
}

// TestConfigValidate has one mistake for each rule.
func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  pfsync.Config
		ok   bool
	}{
		{"defaults", pfsync.Config{HostID: 1}, true},
		{"old format", pfsync.Config{HostID: 1, Dialect: pfsync.FreeBSD15, Format: pfsync.Format1301}, true},
		{"no pauses", pfsync.Config{HostID: 1, Bulk: pfsync.BulkConfig{Interval: -1, Burst: 1024}, Demote: -1}, true},
		{"small", pfsync.Config{HostID: 1, MTU: 40 + 4 + 264}, true},
		{"too small", pfsync.Config{HostID: 1, MTU: 40 + 4 + 263}, false},
		{"too large", pfsync.Config{HostID: 1, MTU: 65536}, false},
		{"hostid 0", pfsync.Config{}, false},
		{"dialect", pfsync.Config{HostID: 1, Dialect: 4}, false},
		{"new format", pfsync.Config{HostID: 1, Dialect: pfsync.FreeBSD12, Format: pfsync.Format1400}, false},
		{"slices", pfsync.Config{HostID: 1, Slices: 17}, false},
		{"defer limit", pfsync.Config{HostID: 1, DeferLimit: -1}, false},
		{"burst", pfsync.Config{HostID: 1, Bulk: pfsync.BulkConfig{Burst: 1025}}, false},
		{"request rate", pfsync.Config{HostID: 1, RequestRate: -1}, false},
		{"flush", pfsync.Config{HostID: 1, Flush: -time.Second}, false},
		{"deadline", pfsync.Config{HostID: 1, Bulk: pfsync.BulkConfig{Deadline: -1}}, false},
		{"peer", pfsync.Config{HostID: 1, Peers: []netip.Addr{pfsync.Group4}}, false},
		{"interface", pfsync.Config{HostID: 1, Interfaces: map[string]string{"em0": "0123456789abcdef"}}, false},
		{"no interface", pfsync.Config{HostID: 1, Interfaces: map[string]string{"em0": ""}}, false},
	} {
		if err := c.cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		s, err := pfsync.NewSession(c.cfg, nil)
		if (err == nil) != c.ok || (s == nil) == c.ok {
			t.Errorf("%s: NewSession: %v, %v", c.name, s, err)
		}
	}
	bad := pfsync.Config{MTU: 1, Slices: -1}
	joined, ok := bad.Validate().(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 || errors.Unwrap(bad.Validate()) != nil {
		t.Errorf("three mistakes are %v", bad.Validate())
	}
}
