package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/pcap"
)

const (
	basic   = "testdata/captures/openbsd/carp-v4-basic.pcap"
	lladdr  = "testdata/captures/openbsd/carp-lladdr.pcap"
	receive = "testdata/captures/openbsd/carp-receive.pcap"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestText holds the output of captures with everything that can be wrong, and of
// states of all kinds.
func TestText(t *testing.T) {
	key := []string{"-carp", "vhid 201 pass inject 10.1.0.201/24 10.1.0.21/24", "-r", receive}
	for _, tt := range []struct {
		golden string
		args   []string
		code   int // 1 for malformed packets
	}{
		{"testdata/golden/carp-receive.txt", key, 1},
		{"testdata/golden/carp-receive-v.txt", append([]string{"-v"}, key...), 1},
		{"testdata/golden/carp-receive.json", append([]string{"-json"}, key...), 1},
		{"testdata/golden/pfsync-receive.txt", []string{"-dialect", "openbsd", "-r", "testdata/captures/openbsd/pfsync-receive.pcap"}, 1},
		{"testdata/golden/pfsync-options-v.txt", []string{"-v", "-r", "testdata/captures/openbsd/pfsync-options.pcap"}, 0},
		{"testdata/golden/pfsync-af-to.json", []string{"-json", "-r", "testdata/captures/openbsd/pfsync-af-to.pcap"}, 0},
		{"testdata/golden/pfsync-tdb-v.txt", []string{"-v", "-r", "testdata/captures/openbsd/pfsync-tdb.pcap"}, 0},
		{"testdata/golden/pfsync-state-options-v.txt", []string{"-v", "-r", "testdata/captures/freebsd/pfsync-state-options.syn.pcap"}, 0},
		{"testdata/golden/pfsync-state-options.json", []string{"-json", "-r", "testdata/captures/freebsd/pfsync-state-options.syn.pcap"}, 0},
	} {
		res := runDump(t, tt.args...)
		if res.code != tt.code {
			t.Errorf("%s: exit code %d, want %d", tt.golden, res.code, tt.code)
		}
		if *update {
			if err := os.WriteFile(tt.golden, []byte(res.stdout), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(tt.golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), res.stdout); diff != "" {
			t.Errorf("%s:\n%s", tt.golden, diff)
		}
	}
}

// TestFormats wants the same output from files that editcap and mergecap of
// Wireshark made of the same captures.
func TestFormats(t *testing.T) {
	want := runDump(t, "-json", "-r", basic).stdout
	for _, name := range []string{"pcapng.pcapng", "nanosecond.pcap"} {
		if diff := cmp.Diff(want, runDump(t, "-json", "-r", "testdata/formats/"+name).stdout); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}

	merged := runDump(t, "-json", "-r", "testdata/formats/two-interfaces.pcapng").stdout
	both := want + runDump(t, "-json", "-r", lladdr).stdout
	if diff := cmp.Diff(both, merged); diff != "" {
		t.Errorf("two-interfaces.pcapng:\n%s", diff)
	}

	const cut = "only 26 of 36 octets are there"
	for i, p := range packets(t, "-r", "testdata/formats/snaplen-60.pcapng") {
		if p.Error != cut || p.VHID != 1 || p.Len != 26 || p.Checksum != "" || p.HMAC != "unchecked" {
			t.Errorf("packet %d, captured with a snap length of 60: %+v", i+1, p)
		}
	}
}

// TestStdin reads from a pipe.
func TestStdin(t *testing.T) {
	b, err := os.ReadFile(basic)
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	if code := run([]string{"-r", "-"}, bytes.NewReader(b), &stdout, io.Discard); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if diff := cmp.Diff(runDump(t, "-r", basic).stdout, stdout.String()); diff != "" {
		t.Error(diff)
	}
}

// TestSave wants the printed packets and no others, octet for octet.
func TestSave(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "saved.pcap")
	first := runDump(t, "-json", "-r", receive, "-w", saved)
	again := runDump(t, "-json", "-r", saved)
	if diff := cmp.Diff(first.stdout, again.stdout); diff != "" {
		t.Error(diff)
	}
	all, kept := frames(t, receive), frames(t, saved)
	if len(kept) != strings.Count(first.stdout, "\n") || len(kept) >= len(all) {
		t.Errorf("%d frames saved of %d, %d printed", len(kept), len(all), strings.Count(first.stdout, "\n"))
	}

	none := save(t, pcap.LinkEthernet, ethernet(ipv4(17, nil)))
	if res := runDump(t, "-r", none, "-w", saved); res.code != 0 || len(frames(t, saved)) != 0 {
		t.Errorf("nothing to save: exit code %d, %d frames; want 0 and an empty capture", res.code, len(frames(t, saved)))
	}
	if res := runDump(t, "-r", basic, "-w", filepath.Join(saved, "below-a-file")); res.code != 1 {
		t.Errorf("a file that cannot be created: exit code %d, want 1", res.code)
	}
}

// TestTruncated wants the packets before the end of a damaged file.
func TestTruncated(t *testing.T) {
	b, err := os.ReadFile(basic)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(cut, b[:len(b)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	whole, res := runDump(t, "-r", basic), runDump(t, "-r", cut)
	if res.code != 1 || !strings.Contains(res.stderr, "file ends inside a packet") || !strings.Contains(res.stderr, cut) {
		t.Errorf("exit code %d, %q", res.code, res.stderr)
	}
	lines := strings.SplitAfter(whole.stdout, "\n")
	if want := strings.Join(lines[:len(lines)-2], ""); res.stdout != want {
		t.Errorf("%q, want %q", res.stdout, want)
	}
}

func TestExitCodes(t *testing.T) {
	text := filepath.Join(t.TempDir(), "no.pcap")
	if err := os.WriteFile(text, []byte("this is no capture\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.pcap")
	if err := os.Symlink(text, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string // on standard error
	}{
		{"", 2, "one of -r FILE and -i IFACE was expected"},
		{"-r a -i b", 2, "one of -r FILE and -i IFACE was expected"},
		{"-x", 2, "-x"},
		{"-r a b", 2, `unexpected argument "b"`},
		{"-r a -dialect linux", 2, `"linux": auto, openbsd or freebsd was expected`},
		{"-r a -log xml", 2, `"xml": text or json was expected`},
		{"-r a -carp vhid", 2, `-carp: "vhid" is the last word`},
		{"-r " + text + " -w " + text, 2, "another file than that of -r"},
		{"-r " + text + " -w " + link, 2, "another file than that of -r"},
		{"-r /none/such.pcap", 1, "/none/such.pcap"},
		{"-r " + text, 1, "neither a pcap nor a pcapng file"},
		{"-r " + text + " -log json", 1, `"level":"ERROR"`},
		{"-i none0", 1, "none0"},
		{"-r " + basic, 0, ""},
	} {
		res := runDump(t, strings.Fields(tt.args)...)
		if res.code != tt.code || !strings.Contains(res.stderr, tt.want) {
			t.Errorf("dump %s: exit code %d, %q; want %d and %q", tt.args, res.code, res.stderr, tt.code, tt.want)
		}
	}
	for _, flag := range []string{"-h", "-help"} {
		if res := runDump(t, flag); res.code != 0 || res.stdout != usage || res.stderr != "" {
			t.Errorf("%s: exit code %d, %q", flag, res.code, res.stderr)
		}
	}
}

// TestNoSecret looks for the passphrase in everything that is printed, also when
// the words around it are wrong.
func TestNoSecret(t *testing.T) {
	const secret = "hunter2"
	for _, args := range [][]string{
		{"-carp", "vhid 1 pass hunter2 10.1.0.1"},
		{"-carp", "vhid 1 pass two hunter2 10.1.0.1"},
		{"-carp", "vhid 1 pass hunter2 advskew 100 10.1.0.1"},
		{"-carp", "pass hunter2 10.1.0.1"},
		{"-carp", "vhid 1 pass hunter2 pass hunter2"},
		{"-carp", "vhid 1 pass hunter2hunter2hunter2 10.1.0.1"},
		{"-carp", "vhid", "1", "pass", "hunter2", "10.1.0.1"},
		{"-carp", "vhid 1", "hunter2"},
	} {
		for _, form := range []string{"-v", "-json"} {
			res := runDump(t, append([]string{form, "-r", basic}, args...)...)
			if strings.Contains(res.stdout+res.stderr, secret) {
				t.Errorf("%q prints the passphrase: %s%s", args, res.stdout, res.stderr)
			}
		}
	}
}
