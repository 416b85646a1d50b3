package pfsync_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// A truthState is a state as a kernel's own ioctl told it, read by another program.
// Names differ a little between the two systems.
type truthState struct {
	Raw       hexString
	ID        string
	CreatorID string
	IfName    string
	Wire      truthKey `json:"key_wire"`
	Stack     truthKey `json:"key_stack"`
	Src, Dst  truthPeer
	RtAddr    netip.Addr `json:"rt_addr"`

	Rule, Anchor     int64
	NATRule          int64 `json:"nat_rule"`
	Creation, Expire uint32
	Packets, Bytes   [2]uint64
	RTableID         *[2]int32
	AF               uint8
	Proto            uint8
	Direction        pfsync.Direction
	Log              uint8
	Rt               uint8
	Timeout          pfsync.Timeout
	TimeoutName      string `json:"timeout_name"`
	SyncFlags        uint8  `json:"sync_flags"`
	Updates          uint8
	StateFlags       pfsync.StateFlags `json:"state_flags"`
	MaxMSS           uint16            `json:"max_mss"`
	MinTTL           uint8             `json:"min_ttl"`
	SetTOS           uint8             `json:"set_tos"`
	SetPrio          [2]uint8          `json:"set_prio"`
}

type truthKey struct {
	Addr         []netip.Addr // FreeBSD
	Port         []uint16
	Addr0, Addr1 netip.Addr // OpenBSD
	Port0, Port1 uint16
	RDomain      uint16
	AF           uint8
}

type truthPeer struct {
	SeqLo, SeqHi, SeqDiff uint32
	MaxWin                uint16 `json:"max_win"`
	MSS                   uint16
	State                 pfsync.PeerState
	WScale                uint8
	Scrub                 *truthScrub
}

type truthScrub struct {
	Flags        uint16
	TTL          uint8
	Valid        uint8 `json:"scrub_flag"`
	TSMod        uint32
	PfssFlags    uint16 `json:"pfss_flags"`
	PfssTTL      uint8  `json:"pfss_ttl"`
	TSModOpenBSD uint32 `json:"ts_mod"`
	TSModFreeBSD uint32 `json:"pfss_ts_mod"`
}

// state is ts as one of ours, but for what the format of d has no room for.
func (ts *truthState) state(d pfsync.Dialect) pfsync.State {
	var inet6 uint8 = 28
	if d == pfsync.OpenBSD {
		inet6 = 24
	}
	af := func(n uint8) pfsync.AF {
		if n == inet6 {
			return pfsync.AFInet6
		}
		return pfsync.AF(n)
	}
	st := pfsync.State{
		Wire: ts.Wire.key(af(ts.Wire.AF), ts.Proto), Stack: ts.Stack.key(af(ts.Stack.AF), ts.Proto),
		Src: ts.Src.peer(), Dst: ts.Dst.peer(),
		Rule: uint32(ts.Rule), Anchor: uint32(ts.Anchor), NATRule: uint32(ts.NATRule),
		Creation: ts.Creation, Expire: ts.Expire, Packets: ts.Packets, Bytes: ts.Bytes,
		AF: af(ts.AF), Proto: ts.Proto, Direction: ts.Direction, Log: ts.Log, Timeout: ts.Timeout,
		SyncFlags: ts.SyncFlags, Updates: ts.Updates, Flags: ts.StateFlags,
		MaxMSS: ts.MaxMSS, MinTTL: ts.MinTTL, SetTOS: ts.SetTOS, SetPrio: ts.SetPrio,
	}
	fmt.Sscanf(ts.ID, "%x", &st.ID)
	fmt.Sscanf(ts.CreatorID, "%x", &st.CreatorID)
	copy(st.IfName[:], ts.IfName)
	copy(st.RtAddr[:], ts.RtAddr.AsSlice())
	if ts.Rt != 0 {
		st.Rt = pfsync.RouteType(ts.Rt + 1)
	}
	if d != pfsync.OpenBSD {
		st.OrigIfName, st.RTableID = st.IfName, [2]int32{-1, -1}
		st.Wire.AF, st.Stack.AF = st.AF, st.AF
	} else {
		st.RTableID = *ts.RTableID
		if st.Stack.AF != st.AF && st.Proto == 58 {
			st.Stack.Proto = 1 // af-to, ICMPv6 outside
		}
	}
	return st
}

func (tk *truthKey) key(af pfsync.AF, proto uint8) (k pfsync.Key) {
	if tk.Addr == nil {
		tk.Addr, tk.Port = []netip.Addr{tk.Addr0, tk.Addr1}, []uint16{tk.Port0, tk.Port1}
	}
	for i := range 2 {
		copy(k.Addr[i][:], tk.Addr[i].AsSlice())
		k.Port[i] = tk.Port[i]
	}
	k.AF, k.Proto, k.RDomain = af, proto, tk.RDomain
	return k
}

func (tp *truthPeer) peer() pfsync.Peer {
	p := pfsync.Peer{
		SeqLo: tp.SeqLo, SeqHi: tp.SeqHi, SeqDiff: tp.SeqDiff,
		MaxWin: tp.MaxWin, MSS: tp.MSS, State: tp.State, WScale: tp.WScale,
	}
	if s := tp.Scrub; s != nil {
		p.Scrub = pfsync.Scrub{
			Flags: s.Flags | s.PfssFlags, TTL: s.TTL | s.PfssTTL, Valid: s.Valid, TSMod: s.TSModOpenBSD | s.TSModFreeBSD,
		}
	}
	return p
}

// truthStates are the states in a file that come with their octets, wherever in
// it they are.
func truthStates(t *testing.T, file string) (out []truthState) {
	t.Helper()
	var data any
	readTruth(t, file, &data)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if raw, ok := v["raw"].(string); ok && raw != "" {
				b, _ := json.Marshal(v)
				var ts truthState
				if err := json.Unmarshal(b, &ts); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				out = append(out, ts)
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(data)
	return out
}

// TestKernelStates decodes the states that kernels exported, compares them with
// what another program read in them, and encodes them again.
func TestKernelStates(t *testing.T) {
	for _, pattern := range []string{"openbsd/pfsync-*.json", "freebsd/pfsync-*.json"} {
		n := 0
		for _, file := range captures(t, pattern) {
			d := dialectOf(file)
			for _, ts := range truthStates(t, file) {
				n++
				var got pfsync.State
				if err := got.UnmarshalBinary(ts.Raw); err != nil {
					t.Fatalf("%s: %s: %v", file, ts.ID, err)
				}
				if want := ts.state(d); got != want {
					t.Errorf("%s: %s:\n%s", file, ts.ID, cmp.Diff(want, got))
				}
				format := pfsync.FormatOpenBSD
				if d != pfsync.OpenBSD {
					format = pfsync.Format1301
				}
				if back := got.Append(format, nil); !bytes.Equal(back, ts.Raw) {
					t.Errorf("%s: %s came back as\n%x, was\n%x", file, ts.ID, back, ts.Raw)
				}
				if err := got.Check(d); err != nil {
					t.Errorf("%s: %s: %v", file, ts.ID, err)
				}
			}
		}
		if n < 100 {
			t.Errorf("%s: only %d states", pattern, n)
		}
	}
}

// TestCapturesStates finds the states of the captures in what the kernel that sent
// or received them said it had: what does not change in the life of a state is the
// same there.
func TestCapturesStates(t *testing.T) {
	found := 0
	for _, file := range captures(t, "*/pfsync-*.json") {
		known := make(map[pfsync.StateID]pfsync.State)
		for _, ts := range truthStates(t, file) {
			st := ts.state(dialectOf(file))
			known[st.StateID] = st
		}
		pcaps, _ := filepath.Glob(strings.TrimSuffix(file, ".json") + "*.pcap")
		for _, pcap := range pcaps {
			for _, p := range readCapture(t, pcap) {
				if !p.kernel {
					continue
				}
				f, _ := pfsync.Parse(dialectOf(file), p.payload)
				for s := range f.Sections() {
					if s.Action != pfsync.ActIns && s.Action != pfsync.ActUpd {
						continue
					}
					for msg := range s.Messages() {
						var st pfsync.State
						if err := st.Unmarshal(s.Format, msg); err != nil {
							t.Fatal(err)
						}
						want, ok := known[st.StateID]
						if !ok {
							continue
						}
						found++
						if diff := cmp.Diff(lasting(want), lasting(st)); diff != "" {
							t.Errorf("%s: %v is not what the kernel has:\n%s", pcap, st.StateID, diff)
						}
					}
				}
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d states were found", found)
	}
}

// lasting is what does not change in the life of a state, wherever it goes.
func lasting(st pfsync.State) pfsync.State {
	return pfsync.State{
		StateID: st.StateID, IfName: st.IfName, Wire: st.Wire, Stack: st.Stack, RtAddr: st.RtAddr, Rt: st.Rt,
		AF: st.AF, Proto: st.Proto, Direction: st.Direction, MinTTL: st.MinTTL, SetTOS: st.SetTOS, MaxMSS: st.MaxMSS,
		SetPrio: st.SetPrio, Flags: st.Flags &^ pfsync.FlagAck,
	}
}

// TestPfctl holds the output of a kernel's own pfctl against ours. It was run a
// moment before the states were read, so times and counters may differ.
func TestPfctl(t *testing.T) {
	same, close := 0, 0
	for _, file := range captures(t, "openbsd/pfsync-*.json") {
		var truth struct {
			States []struct {
				On, Label string
				Pfctl     string `json:"pfctl -ss -vv"`
				States    []json.RawMessage
			}
		}
		readTruth(t, file, &truth)
		for _, snapshot := range truth.States {
			if snapshot.Pfctl == "" {
				continue
			}
			printed := make(map[string]string) // by the last line
			for _, block := range regexp.MustCompile(`(?m)^\S.*\n(   .*\n?)*`).FindAllString(snapshot.Pfctl, -1) {
				block = strings.TrimRight(block, "\n")
				printed[block[strings.LastIndex(block, "\n")+1:]] = block
			}
			for _, record := range snapshot.States {
				var ts struct{ Raw string }
				if json.Unmarshal(record, &ts) != nil {
					continue // in a file of many, only the octets are there
				}
				raw, err := hex.DecodeString(ts.Raw)
				var st pfsync.State
				if err == nil {
					err = st.UnmarshalBinary(raw)
				}
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				got := string(st.AppendPfctl(nil, pfsync.OpenBSD, 2))
				want, ok := printed[got[strings.LastIndex(got, "\n")+1:]]
				switch {
				case !ok: // it came or went between the two readings
				case got == want:
					same++
				case passing.ReplaceAllString(got, "N") == passing.ReplaceAllString(want, "N"):
					close++
				default:
					t.Errorf("%s: %s %s: printed\n%s\npfctl:\n%s", file, snapshot.On, snapshot.Label, got, want)
				}
			}
		}
	}
	if same < 60 || close > same {
		t.Errorf("%d states were printed alike, %d but for times and counters", same, close)
	}
}

// passing is what changes while one looks.
var passing = regexp.MustCompile(`\d\d:\d\d:\d\d|\d+:\d+ (pkts|bytes)`)
