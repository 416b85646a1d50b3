package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

func TestClassic(t *testing.T) {
	second := time.Unix(1700000000, 0).UTC()
	for _, tt := range []struct {
		name  string
		bo    byteOrder
		magic uint32
		time  time.Time
	}{
		{"little-endian, microseconds", le, magicMicro, second.Add(time.Microsecond)},
		{"big-endian, microseconds", be, magicMicro, second.Add(time.Microsecond)},
		{"little-endian, nanoseconds", le, magicNano, second.Add(1)},
		{"big-endian, nanoseconds", be, magicNano, second.Add(1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := classicFile(tt.bo, tt.magic, LinkEthernet, "one", "", "three")
			have, err := readAll(t, iotest.OneByteReader(bytes.NewReader(file)))
			if err != nil {
				t.Fatal(err)
			}
			want := []got{
				{tt.time, LinkEthernet, "one", 7},
				{tt.time, LinkEthernet, "", 4},
				{tt.time, LinkEthernet, "three", 9},
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ngFile has what pcapng allows: two sections of different byte order, several
// interfaces with clocks of their own, blocks to skip, and packets of both kinds.
func ngFile() []byte {
	var b []byte
	for _, part := range [][]byte{
		sectionBlock(le),
		block(le, 0x0bad, []byte("a block of another kind")),
		interfaceBlock(le, LinkEthernet, 0),
		enhancedBlock(le, 0, 1700000000000001, "micro"),
		interfaceBlock(le, LinkRaw, 3, option(le, 2, "em0"), option(le, optResol, "\x09"), option(le, 0, "")),
		enhancedBlock(le, 1, 1700000000000000001, "nano"),
		block(le, 5, make([]byte, 40)), // interface statistics
		simpleBlock(le, 6, "simple"),
		sectionBlock(be),
		interfaceBlock(be, LinkLinuxSLL2, 4, option(be, optResol, "\x8a"), option(be, optOffset, "\x00\x00\x00\x00\x00\x00\x00\x0a")),
		enhancedBlock(be, 0, 1700000000<<10|512, "binary"),
		simpleBlock(be, 100, "snap"),
	} {
		b = append(b, part...)
	}
	return b
}

func TestPcapng(t *testing.T) {
	have, err := readAll(t, iotest.HalfReader(bytes.NewReader(ngFile())))
	if err != nil {
		t.Fatal(err)
	}
	second := time.Unix(1700000000, 0).UTC()
	want := []got{
		{second.Add(time.Microsecond), LinkEthernet, "micro", 9},
		{second.Add(1), LinkRaw, "nano", 8},
		{time.Time{}, LinkEthernet, "simple", 6},
		{second.Add(10*time.Second + 500*time.Millisecond), LinkLinuxSLL2, "binary", 10},
		{time.Time{}, LinkLinuxSLL2, "snap", 100},
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// TestCutShort cuts each kind of file at every octet: the packets before the cut
// arrive, and then an error says that it was cut, unless the cut is between two.
func TestCutShort(t *testing.T) {
	for name, file := range map[string]struct {
		octets     []byte
		boundaries int // between records, the end of the file left out
	}{
		"pcap":   {classicFile(le, magicMicro, LinkEthernet, "one", "two", "three"), 3},
		"pcapng": {ngFile(), 11},
	} {
		whole, err := readAll(t, bytes.NewReader(file.octets))
		if err != nil {
			t.Fatal(name, err)
		}
		clean := 0
		for n := range file.octets {
			have, err := readAll(t, bytes.NewReader(file.octets[:n]))
			switch {
			case err == nil:
				clean++
			case n < 4:
				if n > 0 && !errors.Is(err, ErrFormat) {
					t.Errorf("%s of %d octets: %v, want ErrFormat", name, n, err)
				}
			case !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("%s cut after %d octets: %v, want io.ErrUnexpectedEOF", name, n, err)
			}
			if !slices.Equal(whole[:len(have)], have) {
				t.Errorf("%s cut after %d octets: packets %+v", name, n, have)
			}
		}
		if clean != file.boundaries {
			t.Errorf("%s can end in %d places without an error, want %d", name, clean, file.boundaries)
		}
	}
}

func TestDamaged(t *testing.T) {
	patch := func(file []byte, at int, v uint32) []byte {
		file = bytes.Clone(file)
		le.PutUint32(file[at:], v)
		return file
	}
	pcap := classicFile(le, magicMicro, LinkEthernet, "one")
	head := append(sectionBlock(le), interfaceBlock(le, LinkEthernet, 0)...)
	ng := func(blocks ...[]byte) []byte { return append(head[:len(head):len(head)], bytes.Join(blocks, nil)...) }
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "empty file"},
		{"text", []byte("#!/bin/sh\necho this is no capture\n"), ErrFormat.Error()},
		{"pcap of another version", patch(pcap, 4, 3), "version 3"},
		{"pcap with a huge packet", patch(pcap, fileHeaderLen+8, MaxPacket+1), "more than 262144"},
		{"section without byte order", patch(head, 8, 1), "without byte order"},
		{"section of another version", patch(head, 12, 2), "version 2"},
		{"section length", patch(head, 4, 24), "length of 24"},
		{"block length below the least", ng(patch(block(le, 99, nil), 4, 8)), "length of 8"},
		{"block length not aligned", ng(patch(block(le, 99, nil), 4, 13)), "length of 13"},
		{"block lengths differ", ng(patch(block(le, 99, nil), 8, 16)), "lengths of 12 and 16"},
		{"held block lengths differ", ng(patch(simpleBlock(le, 4, "four"), 16, 16)), "lengths of 20 and 16"},
		{"huge block", ng(patch(block(le, blockEnhanced, nil), 4, 1<<30)), "more than"},
		{"short interface", ng(block(le, blockInterface, []byte("four"))), "shorter than its fields"},
		{"interface option beyond its block", ng(interfaceBlock(le, 1, 0, patch(option(le, 9, ""), 0, 9|99<<16))), "shorter than its fields"},
		{"clock too fine, decimal", ng(interfaceBlock(le, 1, 0, option(le, optResol, "\x14"))), "if_tsresol 0x14"},
		{"clock too fine, binary", ng(interfaceBlock(le, 1, 0, option(le, optResol, "\xc0"))), "if_tsresol 0xc0"},
		{"short enhanced packet", ng(block(le, blockEnhanced, make([]byte, 16))), "shorter than its fields"},
		{"enhanced packet beyond its block", ng(patch(enhancedBlock(le, 0, 0, "four"), 20, 99)), "shorter than its fields"},
		{"enhanced packet of no interface", ng(enhancedBlock(le, 1, 0, "four")), "interface 1"},
		{"short simple packet", ng(block(le, blockSimple, nil)), "shorter than its fields"},
		{"simple packet beyond its block", ng(simpleBlock(le, 99, "four")), "shorter than its fields"},
		{"simple packet of no interface", append(sectionBlock(le), simpleBlock(le, 4, "four")...), "interface 0"},
		{"too many interfaces", ng(bytes.Repeat(interfaceBlock(le, 1, 0), maxInterfaces)), "more than 4096 interfaces"},
	} {
		have, err := readAll(t, bytes.NewReader(tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(have) != 0 {
			t.Errorf("%s: %d packets and error %v, want one with %q", tt.name, len(have), err, tt.want)
		}
	}
}

func TestClock(t *testing.T) {
	for _, tt := range []struct {
		clock clock
		ticks uint64
		want  time.Time
	}{
		{clock{perSecond: 1e9}, 1700000000_123456789, time.Unix(1700000000, 123456789)},
		{clock{perSecond: 1}, 1700000000, time.Unix(1700000000, 0)},
		{clock{perSecond: 1e19}, 15e18, time.Unix(1, 500000000)},
		{clock{perSecond: 1 << 63}, 3 << 62, time.Unix(1, 500000000)},
		{clock{1000, -5}, 1500, time.Unix(-4, 500000000)},
		{clock{perSecond: 1}, math.MaxUint64, time.Time{}},
		{clock{1, math.MaxInt64}, 1, time.Time{}},
		{clock{1, math.MinInt64}, 1, time.Time{}},
	} {
		if have := tt.clock.time(tt.ticks); !have.Equal(tt.want) {
			t.Errorf("%+v.time(%d) = %v, want %v", tt.clock, tt.ticks, have, tt.want)
		}
	}
}

func TestWriter(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, LinkEthernet)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 19, 52, 33, 595370123, time.UTC)
	for _, p := range []Packet{
		{Time: at, LinkType: LinkEthernet, Data: []byte("first"), Length: 5},
		{LinkType: LinkEthernet, Data: []byte("second, cut"), Length: 100},
	} {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	for name, p := range map[string]Packet{
		"another link type": {LinkType: LinkRaw},
		"too long":          {LinkType: LinkEthernet, Data: make([]byte, MaxPacket+1)},
		"too early":         {LinkType: LinkEthernet, Time: time.Unix(-1, 0)},
		"too late":          {LinkType: LinkEthernet, Time: time.Unix(1<<32, 0)},
	} {
		if err := w.Write(p); err == nil {
			t.Errorf("a packet that is %s was written", name)
		}
	}
	have, err := readAll(t, &file)
	if err != nil {
		t.Fatal(err)
	}
	want := []got{{at, LinkEthernet, "first", 5}, {time.Unix(0, 0).UTC(), LinkEthernet, "second, cut", 100}}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// TestReadFile wants all packets, or those before an error.
func TestReadFile(t *testing.T) {
	whole := classicFile(le, magicMicro, LinkEthernet, "one", "two")
	for what, tt := range map[string]struct {
		file []byte
		want []string
		err  error
	}{
		"whole":     {whole, []string{"one", "two"}, nil},
		"cut short": {whole[:len(whole)-1], []string{"one"}, io.ErrUnexpectedEOF},
		"no head":   {whole[:5], nil, io.ErrUnexpectedEOF},
	} {
		name := filepath.Join(t.TempDir(), "file.pcap")
		if err := os.WriteFile(name, tt.file, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := ReadFile(name)
		var have []string
		for _, p := range list {
			have = append(have, string(p.Data))
		}
		if !slices.Equal(have, tt.want) || !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %q, %v", what, have, err)
		}
	}
	if _, err := ReadFile("no such file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// TestReadError wants errors of the file itself to come through.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	file := classicFile(le, magicMicro, LinkEthernet, "one")
	for _, n := range []int{0, 10, len(file), len(file) + 5} {
		whole := append(bytes.Clone(file), file[fileHeaderLen:]...)
		_, err := readAll(t, io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("after %d octets: %v, want %v", n, err, broken)
		}
	}
}
