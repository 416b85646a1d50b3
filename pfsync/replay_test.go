package pfsync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The recordings of two kernels on a sync network are played with a session in the
// place of either of them: it gets the other one's frames when that one sent them,
// and is told what its own states did, as far as its frames give that away (see
// part). Compared are
//
//   - the messages that are sent: action, identity and all their octets but ages,
//     counters and rule numbers, at the same time, those of a state in the same order,
//   - what is in which frame, and in which order,
//   - the table whenever the recording has the kernel's: states that came by the
//     network with all that is in them but rules and counters, and the time that is
//     left of them; the node's own with what never changes,
//   - what was received and dropped, by the kernels' counters: FreeBSD from table to
//     table, OpenBSD at the end,
//   - the demotion, from the start of a node on if that is recorded.
//
// What cannot be compared anywhere: the numbers of rules, which only a ruleset has;
// counters of packets; TDB, which is never sent; and what the node's own traffic did
// to its states when, which is inferred.
//
// A verdict is what a recording shows beside that, or what is not the same. In the
// zero verdict everything is.
type verdict struct {
	Start        bool   // the first bulk update of the node is recorded
	Unseen       int    // states that the node must have got, or announced, with nothing of that in the capture
	Kernel, Ours string // messages that only one of them sends
	Swapped      string // messages that ours sends later than another one of the same state that the kernel sends later
	Apart        bool   // frames are composed in another way
	States       int    // states that are not the same, in all tables
	Unwanted     int    // states, in all tables, that ours has not taken since they are not to be synchronised
	Counters     int    // tables with other counters
	Demotion     string // ours, if it is not the kernel's
}

// replays are the verdicts on nodes with KernelExact. The recordings ending in
// -reqpush are of kernels that send their requests at once, as the stock kernel of
// FreeBSD does not; those run without KernelExact.
var replays = map[string]verdict{
	"freebsd/pfsync-both-directions/fw1": {},
	"freebsd/pfsync-both-directions/fw2": {},

	// The capture has 32 of 124 states in the answer of fw1, and not its end; the
	// tables and counters of fw2 show that all of it arrived.
	"freebsd/pfsync-bulk-120-reqpush/fw1": {Start: true, Ours: "1 BUS, 92 UPD", Apart: true},
	"freebsd/pfsync-bulk-120-reqpush/fw2": {
		Start: true, Unseen: 92, Ours: "1 UPD_REQ", Apart: true, Counters: 1, Demotion: "0 pfsync bulk start",
	},
	// Here it lacks 7 of them. While a request waits in the first slice, that has no
	// timer in the stock kernel: 16 UPD_C stay for 3.5 s, until the bulk answer. It is
	// inferred that those were made a second before, but the one that did not fit a
	// frame.
	"freebsd/pfsync-bulk-120/fw1": {Start: true, Kernel: "1 UPD_C", Ours: "7 UPD, 1 UPD_C", Apart: true},
	"freebsd/pfsync-bulk-120/fw2": {Start: true, Unseen: 7, Counters: 1},

	"freebsd/pfsync-bulk-timeout-reqpush/fw1": {Start: true},
	"freebsd/pfsync-bulk-timeout-reqpush/fw2": {}, // is never up
	"freebsd/pfsync-burst-mixed/fw1":          {},
	"freebsd/pfsync-burst-mixed/fw2":          {},
	"freebsd/pfsync-defer/fw1":                {}, // has the option and does not do it
	"freebsd/pfsync-defer/fw2":                {},
	"freebsd/pfsync-defer-fixed/fw1":          {},
	"freebsd/pfsync-defer-fixed/fw2":          {},
	"freebsd/pfsync-delete-clear/fw1":         {},
	"freebsd/pfsync-delete-clear/fw2":         {},
	"freebsd/pfsync-failover-tcp/fw1":         {},
	"freebsd/pfsync-failover-tcp/fw2":         {},
	"freebsd/pfsync-ipv4-flows/fw1":           {},
	"freebsd/pfsync-ipv4-flows/fw2":           {},
	"freebsd/pfsync-ipv6-flows/fw1":           {},
	"freebsd/pfsync-ipv6-flows/fw2":           {},
	"freebsd/pfsync-many-updates/fw1":         {},
	"freebsd/pfsync-many-updates/fw2":         {},
	"freebsd/pfsync-more-states/fw1":          {},
	"freebsd/pfsync-more-states/fw2":          {},
	"freebsd/pfsync-nat/fw1":                  {},
	"freebsd/pfsync-nat/fw2":                  {},
	"freebsd/pfsync-ruleset-mismatch/fw1":     {},
	"freebsd/pfsync-ruleset-mismatch/fw2":     {},
	"freebsd/pfsync-startup/fw1":              {Start: true},
	"freebsd/pfsync-startup/fw2":              {Start: true},

	// A kernel that is configured once more demotes itself until the bulk update is
	// done. EventResync does so with KernelExact only.
	"freebsd/pfsync-startup-reqpush/fw1": {Start: true, Demotion: "240 pfsync bulk start, 0 pfsync bulk done"},
	"freebsd/pfsync-startup-reqpush/fw2": {Start: true, Demotion: "240 pfsync bulk start, 0 pfsync bulk done"},

	"freebsd/pfsync-state-options/fw1":          {},
	"freebsd/pfsync-state-options/fw2":          {},
	"freebsd/pfsync-unicast-peer/fw1":           {Start: true},
	"freebsd/pfsync-unicast-peer/fw2":           {Start: true},
	"freebsd/pfsync-update-request/fw1":         {},
	"freebsd/pfsync-update-request/fw2":         {},
	"freebsd/pfsync-update-request-reqpush/fw1": {},
	"freebsd/pfsync-update-request-reqpush/fw2": {Apart: true}, // asks once for what two frames in the same ms were about

	"openbsd/pfsync-af-to/fw1":         {},
	"openbsd/pfsync-af-to/fw2":         {},
	"openbsd/pfsync-bulk-few/fw1":      {Start: true},
	"openbsd/pfsync-bulk-few/fw2":      {Start: true},
	"openbsd/pfsync-clear/fw1":         {},
	"openbsd/pfsync-clear/fw2":         {},
	"openbsd/pfsync-clear-ifbound/fw1": {},
	"openbsd/pfsync-clear-ifbound/fw2": {},
	"openbsd/pfsync-defer/fw1":         {},
	"openbsd/pfsync-defer/fw2":         {},
	"openbsd/pfsync-failover/fw1":      {},
	"openbsd/pfsync-failover/fw2":      {},

	// In a burst the kernel drops frames for want of room in its queue, so states are
	// first seen in an UPD_C that is asked about. It sends the answers to three
	// frames of requests together.
	"openbsd/pfsync-many/fw1": {Unseen: 105, Apart: true},
	"openbsd/pfsync-many/fw2": {},

	"openbsd/pfsync-maxupd-1/fw1":       {},
	"openbsd/pfsync-maxupd-1/fw2":       {},
	"openbsd/pfsync-maxupd-255/fw1":     {},
	"openbsd/pfsync-maxupd-255/fw2":     {},
	"openbsd/pfsync-nat/fw1":            {},
	"openbsd/pfsync-nat/fw2":            {},
	"openbsd/pfsync-options/fw1":        {},
	"openbsd/pfsync-options/fw2":        {},
	"openbsd/pfsync-startup-alone/fw1":  {Start: true},
	"openbsd/pfsync-startup-alone/fw2":  {Start: true},
	"openbsd/pfsync-tcp/fw1":            {},
	"openbsd/pfsync-tdb/fw1":            {},
	"openbsd/pfsync-tdb/fw2":            {},
	"openbsd/pfsync-tcp/fw2":            {},
	"openbsd/pfsync-tcp-rst/fw1":        {},
	"openbsd/pfsync-tcp-rst/fw2":        {},
	"openbsd/pfsync-udp-icmp/fw1":       {},
	"openbsd/pfsync-udp-icmp/fw2":       {},
	"openbsd/pfsync-unicast/fw1":        {Start: true},
	"openbsd/pfsync-unicast/fw2":        {Start: true},
	"openbsd/pfsync-update-request/fw1": {},
	"openbsd/pfsync-update-request/fw2": {},
}

// betterReplays are those in which a session without KernelExact differs, and does so
// on purpose.
var betterReplays = map[string]verdict{
	// Requests leave at once, so that the peer answers, and no slice is without its
	// timer; what waits for that is also in a bulk answer that comes before.
	"freebsd/pfsync-bulk-120/fw1": {
		Start: true, Kernel: "15 UPD_C", Ours: "7 UPD, 15 UPD_C", Swapped: "1 UPD", Apart: true,
	},
	"freebsd/pfsync-bulk-120/fw2":       {Start: true, Unseen: 7, Ours: "14 UPD_REQ", Apart: true, Counters: 1},
	"freebsd/pfsync-startup/fw1":        {Start: true, Kernel: "1 UPD_REQ", Ours: "4 UPD_REQ", Apart: true},
	"freebsd/pfsync-update-request/fw2": {Ours: "6 UPD_REQ", Apart: true},

	// The same, and being configured once more is no reason to fail over. Of two
	// requests within a second the other is answered later.
	"freebsd/pfsync-startup/fw2": {
		Start: true, Kernel: "1 BUS, 1 UPD_REQ", Ours: "1 BUS, 4 UPD_REQ", Apart: true,
		Demotion: "240 pfsync bulk start, 0 pfsync bulk done",
	},
	"freebsd/pfsync-unicast-peer/fw1": {Start: true, Kernel: "1 BUS, 1 UPD_REQ", Ours: "1 BUS, 1 UPD_REQ", Apart: true},
	"freebsd/pfsync-unicast-peer/fw2": {Start: true, Apart: true},

	// A CLR for one interface leaves states that are not bound to one.
	"freebsd/pfsync-delete-clear/fw2": {States: 6},

	// States that are not to be synchronised are neither sent nor taken.
	"openbsd/pfsync-bulk-few/fw1": {Start: true, Kernel: "10 UPD", Apart: true, Unwanted: 10},
	"openbsd/pfsync-bulk-few/fw2": {Start: true, Kernel: "20 UPD", Apart: true, Unwanted: 10},

	// An answer from an empty table begins before it ends, and one that just ends is
	// believed, by a node that has nothing to wait for.
	"openbsd/pfsync-startup-alone/fw1": {Start: true, Ours: "2 BUS", Apart: true},
	"openbsd/pfsync-startup-alone/fw2": {Start: true, Kernel: "1 UPD_REQ", Apart: true, Demotion: "0"},
}

// notReplayed are the captures in testdata/capture that are not of two kernels, and
// what they are used for.
var notReplayed = map[string]string{
	"freebsd/mixed-pfsync-version": "TestCapturesRoundTrip", // they do not read each other
	"freebsd/pfsync-probe":         "TestProbeFreeBSD",
	"openbsd/pfsync-receive":       "TestReceiveOpenBSD",
	"openbsd/pfsync-receive-bulk":  "TestReceiveBulkOpenBSD",
}

// TestReplayHasAll finds each capture among the recordings that are played, or
// those that are not, with a test that there is.
func TestReplayHasAll(t *testing.T) {
	tests := testNames(t)
	files, err := filepath.Glob("testdata/capture/*/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", err)
	}
	for _, file := range files {
		dir, base := filepath.Split(file)
		base, _, _ = strings.Cut(base, ".")
		name := filepath.Base(dir) + "/" + base
		_, played := replays[name+"/fw1"]
		if other, ok := notReplayed[name]; !played && (!ok || !tests[other]) {
			t.Errorf("%s is not played, and not in another test %q", name, other)
		}
	}
}

// eachReplay plays the recordings that match a pattern.
func eachReplay(t *testing.T, pattern string, test func(t *testing.T, r *recording, n *recordedNode, name string)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %s: %v", pattern, err)
	}
	for _, file := range files {
		r := readRecording(t, file)
		if r == nil {
			continue // of one kernel and an experimenter: see the oracles
		}
		for _, n := range r.nodes {
			name := r.name() + "/" + n.name
			t.Run(name, func(t *testing.T) {
				if len(r.frames) == 0 {
					if pattern == replayFiles {
						t.Fatal("a recording of ours has no pfsync in it")
					}
					t.Skip("this capture of GOCARP_CAPTURES has no pfsync in it")
				}
				test(t, r, n, name)
			})
		}
	}
}

var replayFiles = filepath.Join("testdata", "replay", "*", "*.json.gz")

func TestReplay(t *testing.T) {
	seen := make(map[string]bool)
	eachReplay(t, replayFiles, func(t *testing.T, r *recording, n *recordedNode, name string) {
		seen[name] = true
		want, ok := replays[name]
		if !ok {
			t.Fatal("there is no verdict on it")
		}
		newPart(t, r, n, nil).play(t, !r.asks).hold(want)
	})
	for name := range replays {
		if !seen[name] {
			t.Errorf("%s: no such recording", name)
		}
	}
}

func TestBetterReplay(t *testing.T) {
	eachReplay(t, replayFiles, func(t *testing.T, r *recording, n *recordedNode, name string) {
		if r.asks {
			return // TestReplay is this already
		}
		want, ok := betterReplays[name]
		if !ok {
			want = replays[name]
		}
		newPart(t, r, n, nil).play(t, false).hold(want)
	})
}

// TestReplayMore plays the recordings below GOCARP_CAPTURES, or again those in
// testdata, as if nobody had looked at them: what the frames of the peers make of the
// table has to be the same; how the rest compares is shown with -v.
func TestReplayMore(t *testing.T) {
	pattern := replayFiles
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" {
		pattern = filepath.Join(dir, "*", "pfsync-*.json")
	}
	eachReplay(t, pattern, func(t *testing.T, r *recording, n *recordedNode, _ string) {
		pl := newPart(t, r, n, nil).play(t, !r.asks)
		for _, d := range pl.differing {
			t.Error(d)
		}
		if got, details := pl.verdict(); got != (verdict{}) {
			t.Logf("%+v\n%s", got, details)
		}
	})
}

// verdict is what was found, and the details.
func (pl *player) verdict() (verdict, string) {
	pl.t.Helper()
	kernel, ours, swapped := pl.compareFrames()
	theirs, demotion := pl.demotions()
	v := verdict{
		Start: pl.part.start, Unseen: pl.part.unseen, Kernel: tally(kernel), Ours: tally(ours), Swapped: tally(swapped),
		Apart: pl.compareComposition() != "", States: len(pl.differing), Unwanted: pl.unwanted, Counters: len(pl.miscounted),
	}
	if theirs != demotion {
		v.Demotion = demotion
	}
	return v, fmt.Sprintf("only the kernel sends:\n%sonly ours sends:\n%s%s%s\ndemotion: %s\nours:     %s",
		pl.list(kernel), pl.list(ours), strings.Join(pl.differing, "\n"), strings.Join(pl.miscounted, "\n"), theirs, demotion)
}

// hold compares what was found with a verdict.
func (pl *player) hold(want verdict) {
	pl.t.Helper()
	got, details := pl.verdict()
	if diff := cmp.Diff(want, got); diff != "" {
		pl.t.Errorf("verdict (-want +got):\n%s\n%s", diff, details)
	}
	if got.Apart && !want.Apart {
		pl.t.Errorf("frames (-kernel +ours):\n%s", pl.compareComposition())
	}
	if pl.exact {
		pl.comparePace()
	}
	for _, f := range pl.faults {
		pl.t.Error(f)
	}
}
