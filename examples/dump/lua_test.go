package main

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/pcap"
)

// luaFields are fields of the dissector and what the JSON has for them: for each
// packet all values in order, since a filter names them regardless of the message.
var luaFields = map[string][]string{
	"pfsync.id":         {"id"},
	"pfsync.creatorid":  {"creatorid"},
	"pfsync.ifname":     {"ifname"},
	"pfsync.wire.port":  {"wire.port.0", "wire.port.1"},
	"pfsync.stack.port": {"stack.port.0", "stack.port.1"},
	"pfsync.wire.addr":  {"wire.addr.0", "wire.addr.1"},
	"pfsync.src.seqlo":  {"src.seqlo"},
	"pfsync.dst.state":  {"dst.state"},
	"pfsync.log":        {"log"},
	"pfsync.wire_proto": {"wire_proto"},
	"pfsync.packets1":   {"packets.1"},
	"pfsync.rtableid":   {"rtableid.0", "rtableid.1", "rtableid"},
	"pfsync.spi":        {"spi"},
	"pfsync.cur_bytes":  {"cur_bytes"},
}

// tshark shows fields of frames, dissected by pfsync.lua: a line for each frame,
// tabs between the fields, commas between the values of one.
func tshark(t *testing.T, frames [][]byte, fields ...string) []string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("GOCARP_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip("tshark of Wireshark is not installed")
	}
	args := []string{"-X", "lua_script:pfsync.lua", "-r", save(t, pcap.LinkEthernet, frames...), "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "lua") {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(frames) {
		t.Fatalf("tshark: %d lines for %d frames", len(lines), len(frames))
	}
	return lines
}

// TestLua compares tshark and pfsync.lua with this program, for all captures and
// for states of FreeBSD 14 and 15, of which there is none.
func TestLua(t *testing.T) {
	var all [][]byte
	forEachCapture(t, func(t *testing.T, path string, payloads [][]byte) {
		for _, b := range payloads {
			all = append(all, ethernet(ipv4(240, b)))
		}
	})
	table, rng := readLayout(t), rand.New(rand.NewPCG(3, 4))
	for _, number := range []byte{1, 13, 14, 15, 16} {
		a := table.action(5, number)
		b := append(pfsyncPacket(5), number, 0, 0, 4)
		for range 4 {
			b = append(b, randomMessage(rng, a.size, a.leaves)...)
		}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		all = append(all, ethernet(ipv4(240, b)), behind(groupMAC+virtualMAC+"86dd", ipv6(240, b)))
	}

	names := slices.Sorted(maps.Keys(luaFields))
	lines := tshark(t, all, append([]string{"pfsync.action.name", "pfsync.count"}, names...)...)
	for i, p := range packets(t, "-r", save(t, pcap.LinkEthernet, all...)) {
		if p.Error != "" { // of which tshark shows less
			continue
		}
		have := strings.Split(strings.ReplaceAll(lines[i], "0x", ""), "\t")
		if diff := cmp.Diff(luaWant(names, flatten(p.Sections)), have); diff != "" {
			t.Errorf("packet %d:\n%s", i+1, diff)
		}
	}
}

// TestLuaMalformed wants packets pointed out that kernels drop.
func TestLuaMalformed(t *testing.T) {
	want := []string{
		"", "shorter than a header", "version is neither", "length does not fit", "length does not fit",
		"length does not fit", "action is not known", "action is not known", "length does not fit",
	}
	var frames [][]byte
	for _, b := range [][]byte{
		pfsyncPacket(6, delC6), pfsyncPacket(6)[:19], pfsyncPacket(4), with(pfsyncPacket(6), 2, 0, 19), with(pfsyncPacket(6), 2, 0, 21),
		pfsyncPacket(6, "07 03 0002"+idOne), pfsyncPacket(6, "11 00 0001"), pfsyncPacket(5, "11 00 0001"), pfsyncPacket(5, endOf5, "00"),
	} {
		frames = append(frames, ethernet(ipv4(240, b)))
	}
	for i, line := range tshark(t, frames, "_ws.expert.message") {
		if !strings.Contains(line, want[i]) || want[i] == "" && strings.Contains(line, "length") {
			t.Errorf("packet %d: %q, want %q", i+1, line, want[i])
		}
	}
}

// luaWant is a line of tshark's.
func luaWant(names []string, sections []flatSection) []string {
	columns := make([][]string, len(names)+2)
	for _, s := range sections {
		columns[0], columns[1] = append(columns[0], s.Action), append(columns[1], strconv.Itoa(s.Count))
		for _, m := range s.Messages {
			for i, name := range names {
				for _, field := range luaFields[name] {
					if v, ok := m[field]; ok && !(name == "pfsync.wire.addr" && m["wire.af"] != "inet") {
						columns[i+2] = append(columns[i+2], v)
					}
				}
			}
		}
	}
	var line []string
	for _, c := range columns {
		line = append(line, strings.Join(c, ","))
	}
	return line
}
