package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/pcap"
)

// A truth is what the makers of a capture know: the state tables of the kernels,
// and what they did with frames made by hand.
type truth struct {
	Captures json.RawMessage
	States   []struct { // OpenBSD
		Pfctl  string `json:"pfctl -ss -vv"`
		States json.RawMessage
	}
	Snapshots []struct { // FreeBSD
		Guests []struct{ States []map[string]any }
	}
	MessageCounts map[string]int `json:"pfsync_message_counts"`
	Frames        int            `json:"pfsync_frames"`
	Injected      []injected
	Cases         []struct {
		Case, Frame string
		StatsDelta  map[string]any `json:"stats_delta"`
		Answers     []struct {
			T        float64
			Sections []struct {
				Name  string
				Count int
				Items []map[string]any
			}
		}
		// Of the merge matrix:
		N           int
		Message     string
		Received    map[string]any
		InsertFrame string `json:"insert_frame"`
		Replies     []struct {
			Messages []map[string]any
			Packet   string
		}
	}
}

// states are those of all tables, with their octets if the kernel's are given.
func (tt *truth) states(t *testing.T) (all []map[string]any) {
	for _, s := range tt.States {
		var list []any
		decode(t, s.States, &list)
		for _, st := range list {
			if hex, ok := st.(string); ok {
				st = map[string]any{"raw": hex, "id": hex[:16]}
			}
			all = append(all, st.(map[string]any))
		}
	}
	for _, s := range tt.Snapshots {
		for _, g := range s.Guests {
			all = append(all, g.States...)
		}
	}
	return all
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// forEachPfsync runs a test for every truth file about pfsync of a kind of peer.
func forEachPfsync(t *testing.T, kind string, test func(t *testing.T, dir string, tt *truth)) {
	forEach(t, kind, func(t *testing.T, dir string, b []byte) {
		if strings.Contains(t.Name(), "pfsync") {
			var tt truth
			decode(t, b, &tt)
			test(t, dir, &tt)
		}
	})
}

// capture is the file of a sync network, or empty.
func (tt *truth) capture(t *testing.T, dir string) string {
	var files []struct{ File string }
	var bySegment map[string]string
	switch {
	case json.Unmarshal(tt.Captures, &files) == nil && len(files) > 0:
		return filepath.Join(dir, files[0].File)
	case json.Unmarshal(tt.Captures, &bySegment) == nil && bySegment["syn"] != "":
		return filepath.Join(dir, bySegment["syn"])
	}
	return ""
}

// truthNames are the names of fields in the JSON, by those in the truth.
var truthNames = strings.NewReplacer(
	"key_wire.addr0", "wire.addr.0", "key_wire.addr1", "wire.addr.1", "key_wire.port0", "wire.port.0", "key_wire.port1", "wire.port.1",
	"key_stack.addr0", "stack.addr.0", "key_stack.addr1", "stack.addr.1", "key_stack.port0", "stack.port.0", "key_stack.port1", "stack.port.1",
	"key_wire", "wire", "key_stack", "stack", "pfss_", "")

// expect is a message of the truth in the form of the JSON.
func (l layout) expect(m map[string]any) map[string]string {
	flat, out := map[string]string{}, map[string]string{}
	flattenValue(flat, "", m)
	for name, v := range flat {
		n, _ := strconv.ParseInt(v, 10, 64)
		name = truthNames.Replace(name)
		switch {
		case name == "raw", name == "spare", name == "timeout_name", name == "action", // not a field
			strings.HasSuffix(name, "scrub_flag"), v == "<nil>":
			continue
		case strings.Contains(name, ".scrub.") && flat[name[:3]+".scrub.scrub_flag"] != "1":
			continue
		case name == "rt_addr" && strings.Trim(v, "0.:") == "":
			continue
		case name == "rule", name == "anchor", name == "nat_rule":
			v = strconv.Itoa(int(int32(n)))
		case l.Enums[name] != nil:
			for word, number := range l.Enums[name] {
				if number == int(n) {
					v = word
				}
			}
		case strings.HasSuffix(name, "af"):
			v = map[int64]string{2: "inet", 24: "inet6", 28: "inet6"}[n]
		}
		out[name] = v
	}
	return out
}

// within is the part of have whose names are in want.
func within(want, have map[string]string) map[string]string {
	have = maps.Clone(have)
	maps.DeleteFunc(have, func(name, _ string) bool { _, ok := want[name]; return !ok })
	return have
}

// insert is a capture that inserts states, given in hex as the kernel exports them.
func insert(t *testing.T, states []string) string {
	var packets [][]byte
	for _, st := range states {
		b := append(make([]byte, 20), 13, 264/4, 0, 1)
		b[0] = 6
		if len(st) == 2*242 {
			b[0], b[20], b[21] = 5, 1, 0
		}
		b = append(b, unhex(t, st)...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		packets = append(packets, ipv4(240, b))
	}
	return save(t, pcap.LinkRaw, packets...)
}

// TestPfsyncStates compares with the state tables of the kernels: their export
// format is that of the wire. What a state is does not change on its way.
func TestPfsyncStates(t *testing.T) {
	table := readLayout(t)
	lasting := regexp.MustCompile(`^(wire|stack|rtableid|set_prio)\.|^(creatorid|ifname|direction|proto|af|max_mss|min_ttl|set_tos)$`)
	test := func(t *testing.T, dir string, tt *truth) {
		known := map[string]map[string]string{}
		var raw []string
		var wants []map[string]string
		for _, st := range tt.states(t) {
			want := table.expect(st)
			known[want["id"]] = want
			if octets, ok := st["raw"].(string); ok {
				raw, wants = append(raw, octets), append(wants, want)
			}
		}
		for i, p := range packets(t, "-r", insert(t, raw)) {
			have := flatten(p.Sections)[0].Messages[0]
			if diff := cmp.Diff(wants[i], within(wants[i], have)); diff != "" {
				t.Errorf("state %s:\n%s", have["id"], diff)
			}
			known[have["id"]] = have
		}
		file := tt.capture(t, dir)
		if file == "" {
			return
		}
		seen := 0
		for i, p := range only("pfsync", packets(t, "-r", file)) {
			for _, s := range flatten(p.Sections) {
				for _, m := range s.Messages {
					want, ok := known[m["id"]]
					if !ok || m["ifname"] == "" {
						continue
					}
					seen++
					want = maps.Clone(want)
					maps.DeleteFunc(want, func(name, _ string) bool { return !lasting.MatchString(name) })
					if diff := cmp.Diff(want, within(want, m)); diff != "" {
						t.Errorf("packet %d, %s %s:\n%s", i+1, s.Action, m["id"], diff)
					}
				}
			}
		}
		if len(known) > 0 && seen == 0 {
			t.Errorf("none of %d states on the wire", len(known))
		}
	}
	forEachPfsync(t, "openbsd", test)
	forEachPfsync(t, "freebsd", test)
}

// TestPfsyncPfctl compares the text with that of OpenBSD's pfctl -ss -vv, but for
// times and counters that went on between two looks.
func TestPfsyncPfctl(t *testing.T) {
	clock := regexp.MustCompile(`age .* bytes`)
	compared := 0
	forEachPfsync(t, "openbsd", func(t *testing.T, dir string, tt *truth) {
		for _, s := range tt.States {
			if s.Pfctl == "" {
				continue
			}
			var states []struct{ Raw, ID string }
			decode(t, s.States, &states)
			var raw []string
			for _, st := range states {
				raw = append(raw, st.Raw)
			}
			text := strings.ReplaceAll(runDump(t, "-v", "-r", insert(t, raw)).stdout, "\n\t", "\n")
			for _, st := range states {
				want, have := pfctlBlock(s.Pfctl, st.ID), pfctlBlock(text, st.ID)
				if want == "" {
					continue // gone between two looks
				}
				if diff := cmp.Diff(clock.ReplaceAllString(want, ""), clock.ReplaceAllString(have, "")); diff != "" {
					t.Errorf("state %s:\n%s", st.ID, diff)
				}
				compared++
			}
		}
	})
	if compared < 50 {
		t.Errorf("only %d states compared", compared)
	}
}

// pfctlBlock is the part of the output of pfctl that is about a state.
func pfctlBlock(text, id string) string {
	lines := strings.Split(text, "\n")
	last := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "   id: "+id) })
	if last < 0 {
		return ""
	}
	first := last
	for strings.HasPrefix(lines[first], " ") {
		first--
	}
	return strings.Join(lines[first:last+1], "\n")
}
