package pfsync_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A freeBSDTruth is a recording of FreeBSD: words to an agent in each guest, the
// messages of its kernel, and what it said of itself.
type freeBSDTruth struct {
	Kernel   string
	Captures map[string]string
	Guests   map[string]struct{ Macs map[string]string }
	Commands []struct {
		T          float64
		Guest, Cmd string
	}
	Steps []struct {
		T    float64
		What string
	}
	Log []struct {
		T          float64
		Guest, Msg string
	} `json:"kernel_log"`
	Snapshots []struct {
		T      float64
		Label  string
		Guests []struct {
			Guest  string
			T      float64
			Stats  counters `json:"pfsync_stats"`
			States []json.RawMessage
		}
	}
}

var freeBSDDemoted = regexp.MustCompile(`^carp: demoted by -?\d+ to (-?\d+) \((.*)\)$`)

// readFreeBSD returns the name of the capture of the sync network.
func (r *recording) readFreeBSD(t *testing.T, b []byte) string {
	t.Helper()
	var truth freeBSDTruth
	if err := json.Unmarshal(b, &truth); err != nil {
		t.Fatalf("%s: %v", r.file, err)
	}
	r.dialect = pfsync.FreeBSD12
	for _, name := range slices.Sorted(maps.Keys(truth.Guests)) {
		n := &recordedNode{name: name, maxUpd: 128, demotes: true, timeouts: pfsync.Timeouts{}, drops: counters{}}
		for nic, mac := range truth.Guests[name].Macs {
			if strings.Contains(nic, "sync") {
				n.mac = mac
			}
		}
		r.nodes = append(r.nodes, n)
	}
	for _, c := range truth.Commands {
		if n := r.node(c.Guest); n != nil {
			n.told(recorded(c.T), strings.Fields(c.Cmd))
		}
	}
	for _, s := range truth.Steps {
		if name, ok := strings.CutSuffix(s.What, " powered off"); ok {
			n := r.node(name)
			n.orders = append(n.orders, order{at: recorded(s.T), kind: orderDie})
		}
	}
	for _, l := range truth.Log {
		if m := freeBSDDemoted.FindStringSubmatch(l.Msg); m != nil && strings.HasPrefix(m[2], "pfsync") {
			total, _ := strconv.Atoi(m[1])
			n := r.node(l.Guest)
			n.demotion = append(n.demotion, demotionChange{recorded(l.T), total, m[2]})
		}
	}
	for _, s := range truth.Snapshots {
		for _, g := range s.Guests {
			n := r.node(g.Guest)
			if n == nil || g.Stats == nil {
				continue
			}
			n.tables = append(n.tables, table{recorded(g.T), s.Label, recordedStates(t, r.dialect, g.States), g.Stats})
		}
	}
	for _, n := range r.nodes {
		// The stock kernel looks for the option in the wrong place, and never defers.
		n.holds = n.holds && strings.Contains(truth.Kernel, "change: the defer code")
	}
	r.asks = strings.Contains(truth.Kernel, "change: queued update requests are flushed at once")
	return truth.Captures["syn"]
}

// told takes note of a command.
func (n *recordedNode) told(at time.Time, words []string) {
	after := func(word string) int {
		if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
			v, _ := strconv.ParseInt(words[i+1], 0, 64)
			return int(v)
		}
		return 0
	}
	up := slices.ContainsFunc(n.orders, func(o order) bool { return o.kind == orderUp })
	switch {
	case words[0] == "hostid":
		n.hostID = uint32(after("hostid"))
	case slices.Contains(words, "net.pfsync.carp_demotion_factor"):
		n.demotes = after("net.pfsync.carp_demotion_factor") != 0
	case words[0] == "timeout" && !up: // later ones are for the node's own states
		sec, _ := strconv.Atoi(words[2])
		n.timeouts[pfsync.Timeout(after("timeout"))] = time.Duration(sec) * time.Second
	case words[0] == "pfsync":
		if slices.Contains(words, "max") {
			n.maxUpd = uint8(after("max"))
		}
		n.holds = n.holds || after("defer") == 1
		kind := orderUp
		if up {
			kind = orderSet
		}
		n.orders = append(n.orders, order{at: at, kind: kind})
	case words[0] == "clrstates":
		n.orders = append(n.orders, order{at, orderClear, strings.Join(words[1:], "")})
	case slices.Equal(words, []string{"if", "pfsync0", "down"}):
		n.orders = append(n.orders, order{at: at, kind: orderDown})
	}
}
