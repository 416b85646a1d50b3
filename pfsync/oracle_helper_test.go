package pfsync_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/pcap"
	"github.com/gocarp/gocarp/pfsync"
)

// The oracles are real kernels: what they did with each frame they were sent.
// testdata/oracle holds what is needed of the recordings. If GOCARP_CAPTURES names
// a directory with recordings of the same layout, they are run as well.

// eachOracle runs test with the decoded file testdata/oracle/NAME, and with
// ORIGINAL below GOCARP_CAPTURES if it is there.
func eachOracle[T any](t *testing.T, name, original string, test func(t *testing.T, dir string, data T)) {
	t.Helper()
	files := []string{filepath.Join("testdata", "oracle", name)}
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		file := filepath.Join(dir, original)
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var data T
			b, err := os.ReadFile(file)
			if err == nil {
				err = json.Unmarshal(b, &data)
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			test(t, filepath.Dir(file), data)
		})
	}
}

// hexBytes is a []byte that is written in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// counters are the counters that changed, by the kernels' names in JSON; those of
// histograms as "iacts.INS".
type counters map[string]uint64

// UnmarshalJSON reads both forms: the names of struct pfsyncstats, and the words of
// netstat -s.
func (c *counters) UnmarshalJSON(b []byte) error {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = counters{}
	for name, v := range m {
		switch v := v.(type) {
		case float64:
			(*c)[counterName(name)] = uint64(v)
		case map[string]any:
			for action, n := range v {
				(*c)[name+"."+action] = uint64(n.(float64))
			}
		}
	}
	return nil
}

// counterName is the short name of a counter.
func counterName(s string) string {
	for words, name := range map[string]string{
		"received (IPv4)": "ipackets", "sent (IPv4)": "opackets", "bad ttl": "badttl", "bad version": "badver",
		"bad action": "badact", "short packet": "badlen", "bad values": "badval", "bad interface": "badif",
		"stale": "stale", "failed state": "badstate", "than header": "hdrops",
	} {
		if strings.Contains(s, words) {
			return name
		}
	}
	return s
}

// changed are the counters in st, less those in was, if they differ.
func changed(t *testing.T, st, was pfsync.Stats) counters {
	t.Helper()
	read := func(st pfsync.Stats) counters {
		b, err := json.Marshal(st)
		c := counters{}
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, old := read(st), read(was)
	for name := range c {
		if c[name] -= old[name]; c[name] == 0 {
			delete(c, name)
		}
	}
	return c
}

// kernelCounters are those changed counters that the kernel of d has. OpenBSD does
// not count messages by their action.
func kernelCounters(t *testing.T, d pfsync.Dialect, st, was pfsync.Stats) counters {
	t.Helper()
	c := changed(t, st, was)
	for _, ours := range []string{"refused", "bulkstarted", "bulkdone", "bulkfailed", "bulksent"} {
		delete(c, ours)
	}
	for name := range c {
		if d == pfsync.OpenBSD && strings.Contains(name, "acts.") {
			delete(c, name)
		}
	}
	return c
}

// packetOf is what an Ethernet frame has for pfsync.
func packetOf(t *testing.T, frame []byte) pfsync.Packet {
	t.Helper()
	if len(frame) < 34 || frame[23] != pfsync.ProtocolNumber {
		t.Fatalf("not an IPv4 packet with pfsync in it: %x", frame)
	}
	ip := frame[14:]
	ip = ip[:binary.BigEndian.Uint16(ip[2:])]
	src, _ := netip.AddrFromSlice(ip[12:16])
	dst, _ := netip.AddrFromSlice(ip[16:20])
	return pfsync.Packet{Data: ip[int(ip[0]&15)*4:], Src: src, Dst: dst, TTL: ip[8]}
}

// A replayed is a session that stands in for a recorded kernel.
type replayed struct {
	*pfsync.Session
	t      *testing.T
	cfg    pfsync.Config
	store  *pfsync.Memory
	now    time.Time
	out    pfsync.Output // the last
	frames [][]byte      // sent and not looked at yet
}

func replay(t *testing.T, cfg pfsync.Config, mem pfsync.MemoryConfig) *replayed {
	t.Helper()
	mem.Dialect = cfg.Dialect
	store, err := pfsync.NewMemory(mem)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pfsync.NewSession(cfg, store)
	if err != nil {
		t.Fatal(err)
	}
	return &replayed{Session: s, t: t, cfg: cfg, store: store, now: time.Unix(1700000000, 0)}
}

// step tells the session what happens now.
func (r *replayed) step(ev pfsync.Event) {
	r.t.Helper()
	r.out = r.Step(r.now, ev)
	for _, f := range r.out.Frames {
		r.frames = append(r.frames, bytes.Clone(f))
	}
}

// until lets time pass, timers included.
func (r *replayed) until(at time.Time) {
	r.t.Helper()
	for d := r.out.Deadline; !d.IsZero() && !d.After(at); d = r.out.Deadline {
		r.now = d
		r.step(pfsync.Event{Kind: pfsync.EventTimer})
	}
	r.now = at
}

func (r *replayed) sleep(d time.Duration) { r.t.Helper(); r.until(r.now.Add(d)) }

// take returns what was sent since the last take.
func (r *replayed) take() [][]byte {
	f := r.frames
	r.frames = nil
	return f
}

// receive gives an Ethernet frame to the session.
func (r *replayed) receive(frame []byte) {
	r.t.Helper()
	r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: packetOf(r.t, frame)})
}

// bus gives a BUS to the session.
func (r *replayed) bus(status uint8) {
	r.t.Helper()
	w := pfsync.NewWriter(r.cfg.Dialect, r.cfg.Format, 1500)
	w.Bus(&pfsync.Bus{CreatorID: 0xfeedface, Status: status})
	r.step(pfsync.Event{Kind: pfsync.EventPacket, Packet: pfsync.Packet{Data: w.Bytes(), TTL: 255}})
}

// describe is a frame of a kernel or a session with what does not depend on the
// protocol blanked: ages, and FreeBSD's ruleset checksum. Sections of actions in
// without are left out.
func describe(t *testing.T, d pfsync.Dialect, payload []byte, without ...pfsync.Action) []string {
	t.Helper()
	f, err := pfsync.Parse(d, payload)
	if err != nil {
		t.Fatalf("%x: %v", payload, err)
	}
	var out []string
sections:
	for sec := range f.Sections() {
		for _, a := range without {
			if sec.Action == a {
				continue sections
			}
		}
		out = append(out, fmt.Sprint(sec.Action, " ", sec.Count))
		for msg := range sec.Messages() {
			out = append(out, fmt.Sprintf("%x", blankAges(sec.Format, msg)))
		}
	}
	return out
}

// A sentFrame is what a kernel has sent.
type sentFrame struct {
	at      time.Time
	payload []byte
}

// sentBy reads from a capture what those Ethernet addresses have sent that begin
// with prefix.
func sentBy(t *testing.T, file, prefix string) []sentFrame {
	t.Helper()
	packets, err := pcap.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sent []sentFrame
	for _, p := range packets {
		if len(p.Data) > 34 && strings.HasPrefix(hex.EncodeToString(p.Data[6:12]), prefix) && p.Data[23] == pfsync.ProtocolNumber {
			sent = append(sent, sentFrame{p.Time, packetOf(t, p.Data).Data})
		}
	}
	return sent
}

// recorded is a time in a recording.
func recorded(t float64) time.Time {
	sec, frac := math.Modf(t)
	return time.Unix(int64(sec), int64(frac*1e9))
}

// describeAll describes frames in their order. The states of a bulk update are in
// the order of the table, so they come last, sorted.
func describeAll(t *testing.T, d pfsync.Dialect, frames [][]byte) []string {
	t.Helper()
	var out, states []string
	bulk := false
	for _, b := range frames {
		lines := describe(t, d, b)
		bulk = bulk || slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "BUS") })
		upd := false
		for _, line := range lines {
			if strings.Contains(line, " ") {
				upd = strings.HasPrefix(line, "UPD ")
			}
			if bulk && upd && !strings.Contains(line, " ") {
				states = append(states, line)
			} else {
				out = append(out, line)
			}
		}
		out = append(out, "")
	}
	slices.Sort(states)
	return append(out, states...)
}

// blankAges is a whole state without its age and what is left of it, and with no
// rule: a kernel takes the sender's if their rulesets are the same, and we have
// none. Other messages, whose format is 0, are returned as they are.
func blankAges(f pfsync.Format, msg []byte) []byte {
	ages, rule := 188, 176 // FreeBSD
	switch {
	case f == 0 || len(msg) == 0:
		return msg
	case f == pfsync.FormatOpenBSD:
		ages, rule = 196, 184
	}
	msg = bytes.Clone(msg)
	clear(msg[ages : ages+8])
	copy(msg[rule:], "\xff\xff\xff\xff")
	return msg
}

// formatOf is the format of states that a dialect exports.
func formatOf(d pfsync.Dialect) pfsync.Format {
	return map[pfsync.Dialect]pfsync.Format{
		pfsync.OpenBSD: pfsync.FormatOpenBSD, pfsync.FreeBSD12: pfsync.Format1301,
		pfsync.FreeBSD14: pfsync.Format1400, pfsync.FreeBSD15: pfsync.Format1500,
	}[d]
}
