package pfsync_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A probeLog is what a FreeBSD kernel made of frames that were sent to it, and what
// it was told to do in between.
type probeLog struct {
	HostID   string `json:"hostid"`
	Captures struct {
		Sync string `json:"syn"`
	} `json:"captures"`
	Commands []struct {
		T   float64 `json:"t"`
		Cmd string  `json:"cmd"`
	} `json:"commands"`
	Cases []probeCase `json:"cases"`
}

type probeCase struct {
	What    string       `json:"case"`
	SentAt  float64      `json:"sent_at"`
	Frame   hexBytes     `json:"frame"`
	Stats   counters     `json:"stats_delta"`
	New     []probeState `json:"states_new"`
	Gone    []string     `json:"states_gone"`
	Changed []struct {
		ID      string `json:"id"`
		Changed map[string][2]json.RawMessage
	} `json:"states_changed"`
	Total int `json:"states_total"`
}

// A probeState is a state as the recording has it.
type probeState struct {
	ID         string    `json:"id"`
	CreatorID  string    `json:"creatorid"`
	IfName     string    `json:"ifname"`
	Wire       probeKey  `json:"key_wire"`
	Stack      probeKey  `json:"key_stack"`
	Src        probePeer `json:"src"`
	Dst        probePeer `json:"dst"`
	RtAddr     string    `json:"rt_addr"`
	Rule       uint32    `json:"rule"`
	Anchor     uint32    `json:"anchor"`
	NATRule    uint32    `json:"nat_rule"`
	Creation   uint32    `json:"creation"`
	Expire     uint32    `json:"expire"`
	Packets    [2]uint64 `json:"packets"`
	Bytes      [2]uint64 `json:"bytes"`
	AF         uint8     `json:"af"`
	Proto      uint8     `json:"proto"`
	Direction  uint8     `json:"direction"`
	Log        uint8     `json:"log"`
	StateFlags uint16    `json:"state_flags"`
	Timeout    uint8     `json:"timeout"`
	SyncFlags  uint8     `json:"sync_flags"`
	Updates    uint8     `json:"updates"`
}

type probeKey struct {
	Addr [2]string `json:"addr"`
	Port [2]uint16 `json:"port"`
}

type probePeer struct {
	SeqLo   uint32 `json:"seqlo"`
	SeqHi   uint32 `json:"seqhi"`
	SeqDiff uint32 `json:"seqdiff"`
	MaxWin  uint16 `json:"max_win"`
	MSS     uint16 `json:"mss"`
	State   uint8  `json:"state"`
	WScale  uint8  `json:"wscale"`
	Scrub   *struct {
		Flags uint16 `json:"pfss_flags"`
		TTL   uint8  `json:"pfss_ttl"`
		Valid uint8  `json:"scrub_flag"`
		TSMod uint32 `json:"pfss_ts_mod"`
	} `json:"scrub"`
}

const syncIndex, lanIndex = 3, 1

func TestProbeFreeBSD(t *testing.T) {
	eachOracle(t, "freebsd-probe.json", "freebsd/pfsync-probe.json", func(t *testing.T, dir string, log probeLog) {
		kernel := sentBy(t, filepath.Join(dir, log.Captures.Sync), "525400")
		host, err := strconv.ParseUint(log.HostID, 0, 32)
		if err != nil || len(log.Cases) == 0 || len(kernel) == 0 {
			t.Fatal("nothing was recorded", err)
		}
		timeouts := pfsync.Timeouts{}
		var configured []time.Time // when SIOCSETPFSYNC was called
		for _, c := range log.Commands {
			f := strings.Fields(c.Cmd)
			switch f[0] {
			case "timeout":
				class, _ := strconv.Atoi(f[1])
				sec, _ := strconv.Atoi(f[2])
				timeouts[pfsync.Timeout(class)] = time.Duration(sec) * time.Second
			case "pfsync":
				configured = append(configured, recorded(c.T))
			}
		}
		r := replay(t, pfsync.Config{
			Dialect: pfsync.FreeBSD12, HostID: uint32(host), KernelExact: true, Slices: 2, Demote: -1, IfIndex: syncIndex,
			Known: func(ifname string) bool { return strings.HasPrefix(ifname, "vtnet") },
		}, pfsync.MemoryConfig{Timeouts: timeouts})
		r.now = configured[0]
		r.step(pfsync.Event{Kind: pfsync.EventUp})
		configured = configured[1:]

		for i, c := range log.Cases {
			at, end := recorded(c.SentAt), recorded(c.SentAt).Add(time.Second)
			if i+1 < len(log.Cases) {
				end = recorded(log.Cases[i+1].SentAt)
			}
			reconfigure := func(before time.Time) {
				for len(configured) > 0 && configured[0].Before(before) {
					r.until(configured[0])
					r.step(pfsync.Event{Kind: pfsync.EventResync})
					configured = configured[1:]
				}
				r.until(before)
			}
			reconfigure(at)
			r.compare(c.What+", before it", &kernel, at)

			was, states := r.Stats(), r.states()
			c.send(r)
			soon := at.Add(50 * time.Millisecond)
			r.until(soon)
			c.compare(t, r, timeouts, was, states)
			reconfigure(end)
			r.compare(c.What, &kernel, end)
		}
	})
}

// send gives the frame to the session, unless it came on another network to a
// group that nobody has joined there.
func (c *probeCase) send(r *replayed) {
	r.t.Helper()
	p := packetOf(r.t, c.Frame)
	p.IfIndex = syncIndex
	if strings.Contains(c.What, "LAN interface") {
		if p.Dst.IsMulticast() {
			return
		}
		p.IfIndex = lanIndex
	}
	r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: p})
}

// compare compares what was sent until then.
func (r *replayed) compare(what string, kernel *[]sentFrame, end time.Time) {
	r.t.Helper()
	var sent [][]byte
	for len(*kernel) > 0 && (*kernel)[0].at.Before(end) {
		sent = append(sent, (*kernel)[0].payload)
		*kernel = (*kernel)[1:]
	}
	if diff := cmp.Diff(describeAll(r.t, r.cfg.Dialect, sent), describeAll(r.t, r.cfg.Dialect, r.take())); diff != "" {
		r.t.Errorf("%s: frames (-kernel +ours):\n%s", what, diff)
	}
}

func (r *replayed) states() map[string]pfsync.State {
	m := make(map[string]pfsync.State)
	for st := range r.store.States(r.now) {
		m[st.StateID.String()] = *st
	}
	return m
}

// compare compares the counters and the table with what they were.
func (c *probeCase) compare(t *testing.T, r *replayed, timeouts pfsync.Timeouts, was pfsync.Stats, before map[string]pfsync.State) {
	t.Helper()
	if diff := cmp.Diff(c.Stats, kernelCounters(t, r.cfg.Dialect, r.Stats(), was)); diff != "" {
		t.Errorf("%s: counters (-kernel +ours):\n%s", c.What, diff)
	}
	after := r.states()
	if len(after) != c.Total {
		t.Errorf("%s: %d states, kernel has %d", c.What, len(after), c.Total)
	}
	var news, gone []string
	changed := make(map[string]pfsync.State)
	for id, st := range after {
		switch old, ok := before[id]; {
		case !ok:
			news = append(news, id)
		case old.Src != st.Src || old.Dst != st.Dst || old.Timeout != st.Timeout:
			changed[id[:16]] = st
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	slices.Sort(c.Gone)
	if !slices.Equal(gone, c.Gone) {
		t.Errorf("%s: %q are gone, in the kernel %q", c.What, gone, c.Gone)
	}
	if len(news) != len(c.New) {
		t.Errorf("%s: %q are new, in the kernel %+v", c.What, news, c.New)
	}
	for _, k := range c.New {
		st, ok := after[k.ID+"/"+k.CreatorID]
		if !ok {
			t.Errorf("%s: no state %s/%s", c.What, k.ID, k.CreatorID)
			continue
		}
		ours := stateOf(&st)
		// The kernel believes in states that live for longer than their class; a
		// Memory cuts that.
		class, ok := timeouts[st.Timeout]
		if !ok {
			class = pfsync.FreeBSD12.Timeouts()[st.Timeout]
		}
		k.Expire = min(k.Expire, uint32(class.Seconds()))
		if d := int(ours.Expire - k.Expire); d < -2 || d > 2 || int(ours.Creation-k.Creation+2) > 4 {
			t.Errorf("%s: age %d, left %d, in the kernel %d and %d", c.What, ours.Creation, ours.Expire, k.Creation, k.Expire)
		}
		k.Rule = ^uint32(0) // see blankAges
		k.Expire, k.Creation = ours.Expire, ours.Creation
		if diff := cmp.Diff(k, ours); diff != "" {
			t.Errorf("%s: state (-kernel +ours):\n%s", c.What, diff)
		}
	}
	if len(changed) != len(c.Changed) {
		t.Errorf("%s: %d states changed, in the kernel %d", c.What, len(changed), len(c.Changed))
	}
	for _, k := range c.Changed {
		st := changed[k.ID]
		ours := stateOf(&st)
		for field, v := range k.Changed {
			var theirs probeState
			b := fmt.Appendf(nil, `{%q: %s}`, field, v[1])
			if err := json.Unmarshal(b, &theirs); err != nil {
				t.Fatal(err)
			}
			want := ours
			switch field {
			case "src":
				want.Src = theirs.Src
			case "dst":
				want.Dst = theirs.Dst
			case "timeout":
				want.Timeout = theirs.Timeout
			case "timeout_name":
			default:
				t.Errorf("%s: %s changed in the kernel", c.What, field)
			}
			if diff := cmp.Diff(want, ours); diff != "" {
				t.Errorf("%s: changed state (-kernel +ours):\n%s", c.What, diff)
			}
		}
	}
}

// stateOf is a state in the words of the recording.
func stateOf(st *pfsync.State) probeState {
	raw := st.Append(pfsync.Format1301, nil)
	addr := func(a pfsync.Addr) string {
		if st.AF == pfsync.AFInet {
			return netip.AddrFrom4([4]byte(a[:4])).String()
		}
		return netip.AddrFrom16(a).String()
	}
	key := func(k *pfsync.Key) probeKey {
		return probeKey{[2]string{addr(k.Addr[0]), addr(k.Addr[1])}, k.Port}
	}
	peer := func(p *pfsync.Peer) probePeer {
		o := probePeer{
			SeqLo: p.SeqLo, SeqHi: p.SeqHi, SeqDiff: p.SeqDiff, MaxWin: p.MaxWin, MSS: p.MSS,
			State: uint8(p.State), WScale: p.WScale,
		}
		if p.Scrub != (pfsync.Scrub{}) {
			b, _ := json.Marshal(map[string]uint32{
				"pfss_flags": uint32(p.Scrub.Flags), "pfss_ttl": uint32(p.Scrub.TTL),
				"scrub_flag": uint32(p.Scrub.Valid), "pfss_ts_mod": p.Scrub.TSMod,
			})
			json.Unmarshal(b, &o.Scrub)
		}
		return o
	}
	return probeState{
		ID: fmt.Sprintf("%016x", binary.BigEndian.Uint64(raw)), CreatorID: fmt.Sprintf("%08x", st.CreatorID),
		IfName: st.IfName.String(), Wire: key(&st.Wire), Stack: key(&st.Stack), Src: peer(&st.Src), Dst: peer(&st.Dst),
		RtAddr: addr(st.RtAddr), Rule: st.Rule, Anchor: st.Anchor, NATRule: st.NATRule,
		Creation: st.Creation, Expire: st.Expire, Packets: st.Packets, Bytes: st.Bytes,
		AF: raw[232], Proto: st.Proto, Direction: uint8(st.Direction), Log: st.Log, StateFlags: uint16(st.Flags),
		Timeout: uint8(st.Timeout), SyncFlags: st.SyncFlags, Updates: st.Updates,
	}
}
