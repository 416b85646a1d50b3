package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/pcap"
)

// TestMain fixes the zone that text output is in, and lets tests start this
// binary as the program itself.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	if os.Getenv("GOCARP_TEST_DUMP") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// A result is what a run of the program did.
type result struct {
	code           int
	stdout, stderr string
}

func runDump(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// A jsonPacket is a line of JSON output, with the keys that the contract fixes and
// those we added. Other keys fail the test.
type jsonPacket struct {
	Time     time.Time `json:"time"`
	Proto    string    `json:"proto"`
	Src      string    `json:"src"`
	Dst      string    `json:"dst"`
	SrcMAC   string    `json:"src_mac"`
	DstMAC   string    `json:"dst_mac"`
	VLAN     []uint16  `json:"vlan"`
	TTL      uint8     `json:"ttl"`
	Len      int       `json:"len"`
	Version  uint8     `json:"version"`
	Type     uint8     `json:"type"`
	VHID     uint8     `json:"vhid"`
	AdvBase  uint8     `json:"advbase"`
	AdvSkew  uint8     `json:"advskew"`
	Demote   uint8     `json:"demote"`
	AuthLen  uint8     `json:"authlen"`
	Counter  string    `json:"counter"`
	Checksum string    `json:"checksum"`
	HMAC     string    `json:"hmac"`
	Error    string    `json:"error"`

	Dialect  string        `json:"dialect"`
	PFCksum  string        `json:"pfcksum"`
	Sections []jsonSection `json:"sections"`
}

type jsonSection struct {
	Action   string           `json:"action"`
	Count    int              `json:"count"`
	Messages []map[string]any `json:"messages"` // numbers are json.Number
}

// packets runs the program with -json and checks its exit code.
func packets(t *testing.T, args ...string) []jsonPacket {
	t.Helper()
	res := runDump(t, append([]string{"-json"}, args...)...)
	dec := json.NewDecoder(strings.NewReader(res.stdout))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	var all []jsonPacket
	want := 0
	for {
		var p jsonPacket
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("packet %d: %v", len(all)+1, err)
		}
		if p.Error != "" {
			want = 1
		}
		all = append(all, p)
	}
	if res.code != want {
		t.Fatalf("exit code %d, want %d; standard error: %s", res.code, want, res.stderr)
	}
	return all
}

// only keeps the packets of a protocol.
func only(proto string, all []jsonPacket) []jsonPacket {
	return slices.DeleteFunc(all, func(p jsonPacket) bool { return p.Proto != proto })
}

// save writes frames to a capture file.
func save(t *testing.T, link pcap.LinkType, frames ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, link)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		at := time.Unix(1795290753, 595370000).Add(time.Duration(i) * time.Second)
		if err := w.Write(pcap.Packet{Time: at, LinkType: link, Data: f, Length: uint32(len(f))}); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
