package pfsync_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/pcap"
	"github.com/gocarp/gocarp/pfsync"
)

// A recording is what kernels on one sync network were told, what they sent, and
// what they said of themselves. Its file is of one of two kinds, one for each system:
// see openBSDTruth and freeBSDTruth.
type recording struct {
	file    string // .json or .json.gz
	dialect pfsync.Dialect
	asks    bool // FreeBSD: requests are sent at once, as they are not by the stock kernel
	nodes   []*recordedNode
	frames  []wireFrame // by time
}

// A wireFrame is a frame of the sync network.
type wireFrame struct {
	at      time.Time
	from    *recordedNode // nil: somebody else
	unicast bool
	payload []byte
}

// A recordedNode is one of the kernels.
type recordedNode struct {
	name     string
	mac      string // of its sync interface: "52:54:00:0b:01:02"
	hostID   uint32
	maxUpd   uint8
	holds    bool             // defer
	demotes  bool             // while a bulk update is outstanding, as much as by default
	timeouts pfsync.Timeouts  // those that are not the default
	orders   []order          // by time
	tables   []table          // by time
	demotion []demotionChange // by time
	drops    counters         // at the end
}

// An order is what a node was told, or what became of it.
type order struct {
	at     time.Time
	kind   orderKind
	ifname string // orderClear
}

type orderKind uint8

const (
	orderUp    orderKind = iota // pfsync0 goes up, with a sync interface
	orderDown                   // and down
	orderSet                    // FreeBSD: pfsync0 is configured once more
	orderClear                  // states are cleared
	orderCut                    // the cable is cut, of which the node sees nothing
	orderUncut                  // and mended
	orderDie                    // the node is dead, until it goes up again with nothing
)

// A table is what a node had at a time.
type table struct {
	at     time.Time
	label  string
	states []pfsync.State
	stats  counters // FreeBSD
}

// A demotionChange is a number that the demotion counter had, or changed to.
type demotionChange struct {
	at    time.Time
	total int
	why   string // in the kernel's words, empty if somebody just looked
}

// node is the one of that name, nil if there is none.
func (r *recording) node(name string) *recordedNode {
	i := slices.IndexFunc(r.nodes, func(n *recordedNode) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return r.nodes[i]
}

// name is that of the scenario: "openbsd/pfsync-tcp".
func (r *recording) name() string {
	dir, file := filepath.Split(r.file)
	return filepath.Join(filepath.Base(dir), strings.TrimSuffix(strings.TrimSuffix(file, ".gz"), ".json"))
}

// readRecording reads a recording with its capture. It returns nil if the file is
// of another kind: the oracles have cases instead of nodes.
func readRecording(t *testing.T, file string) *recording {
	t.Helper()
	var kind struct {
		Timeline, States, Commands, Snapshots, Cases json.RawMessage
	}
	truth := readFile(t, file)
	if err := json.Unmarshal(truth, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	r := &recording{file: file}
	var capture string
	switch {
	case kind.Timeline != nil && kind.States != nil:
		capture = r.readOpenBSD(t, truth)
	case kind.Commands != nil && kind.Snapshots != nil && kind.Cases == nil:
		capture = r.readFreeBSD(t, truth)
	default:
		return nil
	}
	for _, n := range r.nodes {
		slices.SortStableFunc(n.orders, func(a, b order) int { return a.at.Compare(b.at) })
		slices.SortStableFunc(n.tables, func(a, b table) int { return a.at.Compare(b.at) })
	}
	readEthernet(t, captureFile(t, file, capture), func(at time.Time, src string, frame []byte) {
		payload, ok := ofEthernet(frame)
		if !ok {
			return
		}
		i := slices.IndexFunc(r.nodes, func(n *recordedNode) bool { return n.mac == src })
		f := wireFrame{at: at, unicast: frame[0]&1 == 0, payload: bytes.Clone(payload)}
		if i >= 0 {
			f.from = r.nodes[i]
		}
		r.frames = append(r.frames, f)
	})
	return r
}

// captureFile is where a capture of a recording is: beside it, or in testdata/capture,
// which has all but the long ones.
func captureFile(t *testing.T, recording, name string) string {
	t.Helper()
	dir := filepath.Dir(recording)
	for _, file := range []string{
		filepath.Join(dir, name), filepath.Join(dir, name+".gz"),
		filepath.Join("testdata", "capture", filepath.Base(dir), name),
	} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Fatalf("%s: no capture %s", recording, name)
	return ""
}

// readEthernet reads the frames of a capture of Ethernet.
func readEthernet(t *testing.T, file string, each func(at time.Time, src string, frame []byte)) {
	t.Helper()
	r, err := pcap.NewReader(bytes.NewReader(readFile(t, file)))
	for err == nil {
		var p pcap.Packet
		if p, err = r.Next(); err == nil && len(p.Data) >= 14 {
			each(p.Time, macString(p.Data[6:12]), p.Data)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", file, err)
	}
}

func macString(b []byte) string {
	const digits = "0123456789abcdef"
	s := make([]byte, 0, 17)
	for i, v := range b {
		if i > 0 {
			s = append(s, ':')
		}
		s = append(s, digits[v>>4], digits[v&15])
	}
	return string(s)
}

// readFile reads a file, which may be compressed.
func readFile(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil && strings.HasSuffix(file, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

// recordedStates are states as recordings have them: the octets that the kernel
// exports, or what another program has read in them.
func recordedStates(t *testing.T, d pfsync.Dialect, records []json.RawMessage) []pfsync.State {
	t.Helper()
	out := make([]pfsync.State, 0, len(records))
	for _, record := range records {
		var ts truthState
		err := json.Unmarshal(record, &ts.Raw)
		if err != nil {
			err = json.Unmarshal(record, &ts)
		}
		st := pfsync.State{}
		switch {
		case err != nil:
		case ts.Raw != nil:
			err = st.UnmarshalBinary(ts.Raw)
		default:
			st = ts.state(d)
		}
		if err != nil {
			t.Fatalf("%s: %v", record, err)
		}
		out = append(out, st)
	}
	return out
}
