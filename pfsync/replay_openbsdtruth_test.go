package pfsync_test

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// An openBSDTruth is a recording of OpenBSD: commands of a shell and their output.
type openBSDTruth struct {
	Captures []struct{ File string }
	Macs     map[string]string
	Pfsync   []struct {
		On, SyncDev string
		MaxUpd      uint8
		Defer       bool
	}
	Timeline []struct {
		T                  float64
		On, Cmd, Note, Out string
	}
	States []struct {
		T         float64
		On, Label string
		States    []json.RawMessage
	}
	Rules string                       `json:"pf.conf"`
	Final map[string]map[string]string // by node and command
}

var (
	openBSDHostID  = regexp.MustCompile(`Hostid:\s*0x([0-9a-f]{8})`)
	openBSDTimeout = regexp.MustCompile(`\b([a-z]+\.[a-z]+) (\d+)`)
	openBSDDemoted = regexp.MustCompile(`carp demote count (\d+)`)
	openBSDCleared = regexp.MustCompile(`pfctl (?:-i (\S+) )?-Fs`)
	openBSDUp      = regexp.MustCompile(`pfsync0 (.* )?up$`)
	openBSDDown    = regexp.MustCompile(`pfsync0 (down|destroy)$`)
	openBSDCounter = regexp.MustCompile(`(?m)^\s*(\d+) (.*)$`)
)

// readOpenBSD returns the name of the capture of the sync network.
func (r *recording) readOpenBSD(t *testing.T, b []byte) string {
	t.Helper()
	var truth openBSDTruth
	var more map[string]json.RawMessage // "fw1 pf"
	for _, v := range []any{&truth, &more} {
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", r.file, err)
		}
	}
	r.dialect = pfsync.OpenBSD
	for _, p := range truth.Pfsync {
		if r.node(p.On) != nil {
			continue // configured once more, alike
		}
		n := &recordedNode{
			name: p.On, mac: truth.Macs[p.On+" "+p.SyncDev], maxUpd: p.MaxUpd, holds: p.Defer, demotes: true,
			timeouts: openBSDTimeouts(truth.Rules), drops: counters{},
		}
		if m := openBSDHostID.FindSubmatch(more[p.On+" pf"]); m != nil {
			v, _ := strconv.ParseUint(string(m[1]), 16, 32)
			n.hostID = uint32(v)
		}
		for _, m := range openBSDCounter.FindAllStringSubmatch(truth.Final[p.On]["netstat -s -p pfsync"], -1) {
			v, _ := strconv.ParseUint(m[1], 10, 64)
			if name := counterName(m[2]); v != 0 && !strings.HasSuffix(name, "packets") {
				n.drops[name] = v
			}
		}
		r.nodes = append(r.nodes, n)
	}
	for _, c := range truth.Timeline {
		at := recorded(c.T)
		if c.On == "rig" {
			r.accident(at, c.Note)
		}
		n := r.node(c.On)
		if n == nil {
			continue
		}
		for cmd := range strings.SplitSeq(c.Cmd, "; ") {
			if m := openBSDCleared.FindStringSubmatch(cmd); m != nil {
				n.orders = append(n.orders, order{at, orderClear, m[1]})
			}
			if openBSDUp.MatchString(cmd) {
				n.orders = append(n.orders, order{at: at, kind: orderUp})
			}
			if openBSDDown.MatchString(cmd) {
				n.orders = append(n.orders, order{at: at, kind: orderDown})
			}
		}
		if m := openBSDDemoted.FindStringSubmatch(c.Out); m != nil {
			total, _ := strconv.Atoi(m[1])
			n.demotion = append(n.demotion, demotionChange{at: at, total: total})
		}
	}
	for _, s := range truth.States {
		n := r.node(s.On)
		n.tables = append(n.tables, table{at: recorded(s.T), label: s.Label, states: recordedStates(t, r.dialect, s.States)})
	}
	return truth.Captures[0].File
}

// accident is what became of a node by the hand of those who recorded it.
func (r *recording) accident(at time.Time, note string) {
	for words, kind := range map[string]orderKind{" killed": orderDie, "is cut": orderCut, " back": orderUncut} {
		for _, n := range r.nodes {
			if strings.Contains(note, words) && strings.Contains(note, n.name) {
				n.orders = append(n.orders, order{at: at, kind: kind})
			}
		}
	}
}

// openBSDTimeouts are the timeouts that a pf.conf sets.
func openBSDTimeouts(rules string) pfsync.Timeouts {
	t := pfsync.Timeouts{}
	for line := range strings.Lines(rules) {
		if !strings.HasPrefix(line, "set timeout") {
			continue
		}
		for _, m := range openBSDTimeout.FindAllStringSubmatch(line, -1) {
			for class := range pfsync.OpenBSD.Timeouts() {
				if class.String() == m[1] {
					sec, _ := strconv.Atoi(m[2])
					t[class] = time.Duration(sec) * time.Second
				}
			}
		}
	}
	return t
}
