package pfsync_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
)

// TestKernelVerdicts is V2: Parse fails as real kernels did, on frames that were
// made to provoke them, after the same sections.
func TestKernelVerdicts(t *testing.T) {
	for _, file := range captures(t, "freebsd/pfsync-probe.json") {
		var truth struct {
			Cases []struct {
				Case  string
				Frame hexString
				Delta struct {
					IPackets, HdrOps, BadVer, BadLen, BadAct, BadTTL, BadIf int
					IActs                                                   map[string]int
				} `json:"stats_delta"`
			}
		}
		readTruth(t, file, &truth)
		for _, c := range truth.Cases {
			d := c.Delta
			if d.BadTTL != 0 || d.BadIf != 0 || d.IPackets == 0 {
				continue // the kernel did not get as far as the payload
			}
			acts := d.IActs
			if acts == nil {
				acts = map[string]int{}
			}
			checkVerdict(t, pfsync.FreeBSD12, c.Case, c.Frame, d.HdrOps, d.BadVer, d.BadLen, d.BadAct, acts)
		}
	}
	for _, file := range captures(t, "openbsd/pfsync-receive*.json") {
		var truth struct {
			Injected []struct {
				What    string
				Frame   hexString
				Changed map[string]int `json:"counters_changed"`
			}
		}
		readTruth(t, file, &truth)
		for _, c := range truth.Injected {
			count := func(what string) (n int) {
				for name, by := range c.Changed {
					if strings.Contains(name, what) {
						n += by
					}
				}
				return n
			}
			if count("bad ttl") == 0 {
				checkVerdict(t, pfsync.OpenBSD, c.What, c.Frame, count("shorter than header"), count("bad version"),
					count("short packet"), count("bad action"), nil)
			}
		}
	}
}

// checkVerdict parses the payload of a frame and compares the result with the
// counters that went up in a kernel, those of actions too unless acts is nil.
func checkVerdict(t *testing.T, d pfsync.Dialect, what string, frame []byte, hdrops, badver, badlen, badact int, acts map[string]int) {
	t.Helper()
	var want error
	switch {
	case hdrops > 0:
		want = pfsync.ErrShort
	case badver > 0:
		want = pfsync.ErrVersion
	case badlen > 0:
		want = pfsync.ErrLen
	case badact > 0:
		want = pfsync.ErrAction
	}
	payload, ok := ofEthernet(frame)
	if !ok {
		t.Errorf("%s: not a frame with pfsync", what)
		return
	}
	f, err := pfsync.Parse(d, payload)
	if err != want {
		t.Errorf("%s: %v, but the kernel counted %v", what, err, want)
	}
	if acts == nil {
		return
	}
	got := make(map[string]int)
	for s := range f.Sections() {
		got[s.Name()] += s.Count
		for msg := range s.Messages() {
			if len(msg) != s.Size || cap(msg) != s.Size {
				t.Errorf("%s: a message of %d octets, capacity %d", what, len(msg), cap(msg))
			}
		}
	}
	if err == pfsync.ErrLen && f.Bad.Count > 0 {
		got[f.Bad.Name()] += f.Bad.Count // the kernel counts before it looks
	}
	for name, n := range got {
		if n == 0 {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(acts, got); diff != "" {
		t.Errorf("%s: other sections than the kernel saw:\n%s", what, diff)
	}
}
