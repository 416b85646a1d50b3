package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/cli"
)

// call runs the program in this process and returns what it printed.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// good is a right command line for the loopback, which exists everywhere.
func good(more ...string) []string {
	lo := "lo0"
	if runtime.GOOS == "linux" {
		lo = "lo"
	}
	return append([]string{"-i", lo, "-vhid", "7", "-pass", "hidden", "-addr", "192.0.2.1/24"}, more...)
}

func TestHelp(t *testing.T) {
	for _, flag := range []string{"-h", "-help", "--help"} {
		code, stdout, stderr := call(t, flag)
		if code != cli.OK || !strings.Contains(stdout, "usage: carpd -i IFACE") || stderr != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", flag, code, stdout, stderr)
		}
	}
	// What is not in the text cannot be found.
	for _, flag := range []string{"-i", "-vhid", "-pass", "-passfile", "-addr", "-advbase", "-advskew", "-deadratio", "-preempt",
		"-peer", "-dialect", "-mac", "-replay", "-up", "-down", "-rt", "-n", "-log", "-v", "-h"} {
		if !strings.Contains(usage, "\n  "+flag+" ") {
			t.Errorf("the usage does not explain %s", flag)
		}
	}
}

// TestWrongUsage has one mistake in each command line. The message names the
// flag, the word and what was expected.
func TestWrongUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	withFile := func(path string) []string {
		return []string{"-i", "lo", "-vhid", "7", "-addr", "192.0.2.1", "-passfile", path}
	}
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"nothing", nil, []string{"-i: want", "-vhid 0: want 1 to 255", "-addr: want", "-pass or -passfile"}},
		{"unknown flag", good("-vhids", "1"), []string{"-vhids"}},
		{"stray word before any list", []string{"lan", "-vhid", "7"}, []string{"want a flag"}},
		{"stray word after another flag", []string{"-addr", "10.0.0.1/24", "-pass", "my", "secret"}, []string{"want a flag"}},
		{"stray word is an address", good("lan"), []string{`-addr "lan"`, "want an address like"}},
		{"vhid word", good("-vhid", "seven"), []string{"-vhid", `"seven"`, "want a number"}},
		{"vhid range", good("-vhid", "256"), []string{"-vhid 256", "want 1 to 255"}},
		{"vhid negative", good("-vhid", "-1"), []string{"-vhid", `"-1"`, "want a number"}},
		{"vhid huge", good("-vhid", "99999999999999999999"), []string{"-vhid", "99999999999999999999", "want a number"}},
		{"advskew", good("-advskew", "255"), []string{"-advskew 255", "want 0 to 254"}},
		{"advbase", good("-advbase", "256"), []string{"-advbase 256", "want 0 to 255"}},
		{"deadratio", good("-deadratio", "0"), []string{"-deadratio 0", "want 1 to 255"}},
		{"deadratio of the dialect", good("-deadratio", "4"), []string{"deadratio 4", "only ucarp has one"}},
		{"advbase of the dialect", good("-advbase", "255"), []string{"advbase 255", "openbsd takes 0 to 254"}},
		{"advbase 0 elsewhere", good("-advbase", "0", "-dialect", "freebsd"), []string{"advbase 0", "freebsd takes 1 to 255"}},
		{"addr", good("-addr", "192.0.2.300/24"), []string{`-addr "192.0.2.300/24"`, "want an address like"}},
		{"addr length", good("-addr", "192.0.2.3/33"), []string{`-addr "192.0.2.3/33"`, "want an address like"}},
		{"addr zone", good("-addr", "fe80::1%lo"), []string{`-addr "fe80::1%lo"`, "want an address like"}},
		{"addr multicast", good("-addr", "224.0.0.1"), []string{"address 224.0.0.1", "not an address a host can have"}},
		{"addr twice", good("-addr", "192.0.2.1/32"), []string{"address 192.0.2.1", "given twice"}},
		{"addr of ucarp", good("-dialect", "ucarp", "-addr", "2001:db8::1"), []string{"2001:db8::1", "a single IPv4 address"}},
		{"no value", []string{"-addr"}, []string{"-addr", "needs an argument"}},
		{"peer", good("-peer", "em0"), []string{`-peer "em0"`, "want an IP address"}},
		{"peer unspecified", good("-peer", "0.0.0.0"), []string{"peer 0.0.0.0", "not an address"}},
		{"dialect", good("-dialect", "vrrp"), []string{`-dialect "vrrp"`, "want openbsd, freebsd or ucarp"}},
		{"mac", good("-mac", "00:00:5e:00:01:07"), []string{`-mac "00:00:5e:00:01:07"`, "want real, virtual or rewritten"}},
		{"replay", good("-replay", "yes"), []string{`-replay "yes"`, "want loop, off or strict"}},
		{"log", good("-log", "xml"), []string{`-log "xml"`, "want text or json"}},
		{"rt", good("-rt", "100"), []string{"-rt 100", "want a priority from 1 to 99"}},
		{"rt 0", good("-rt", "0"), []string{"-rt 0", "want a priority from 1 to 99"}},
		{"rt word", good("-rt", "high"), []string{"-rt", `"high"`, "want a number"}},
		{"preempt word", good("-preempt=maybe"), []string{"-preempt", `"maybe"`, "boolean"}},
		{"up", good("-up", "/nonexistent/up"), []string{"-up", "/nonexistent/up", "no such file"}},
		{"down", good("-down", dir), []string{"-down", dir}},
		{"both secrets", good("-passfile", file("one", "x\n")), []string{"want either -pass or -passfile"}},
		{"passfile missing", withFile(dir + "/none"), []string{"-passfile", "/none", "no such file"}},
		{"passfile is a directory", withFile(dir), []string{"-passfile", dir, "is a directory"}},
		{"passfile empty", withFile(file("empty", "")), []string{"-passfile", "/empty", "want a passphrase"}},
		{"passfile with an empty line", withFile(file("blank", "\nhidden\n")), []string{"-passfile", "/blank", "want a passphrase"}},
		{"passfile with two lines", withFile(file("two", "hidden\nmore\n")), []string{"-passfile", "/two", "want a passphrase and nothing else"}},
		{"passfile too large", withFile(file("large", strings.Repeat("x", 5000))), []string{"-passfile", "/large", "not a passphrase"}},
		{"ucarp and a long passphrase", good("-dialect", "ucarp", "-pass", "hidden678901234567890"),
			[]string{"-pass", "longer than 19 octets", "ucarp refuses"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// -n, so that no mistake that goes unnoticed changes anything.
			code, stdout, stderr := call(t, append([]string{"-n"}, tt.args...)...)
			if code != cli.Usage || stdout != "" {
				t.Errorf("exit %d, stdout %q, want %d and nothing", code, stdout, cli.Usage)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in the message:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "hidden") {
				t.Errorf("the message has the passphrase:\n%s", stderr)
			}
		})
	}
}

// TestAllMistakes has the message name all mistakes at once.
func TestAllMistakes(t *testing.T) {
	_, _, stderr := call(t, "-i", "lo", "-vhid", "0", "-pass", "x", "-addr", "here", "-mac", "any", "-dialect", "none")
	for _, want := range []string{"-vhid 0", `-addr "here"`, `-mac "any"`, `-dialect "none"`} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in the message:\n%s", want, stderr)
		}
	}
}

func TestUnknownInterface(t *testing.T) {
	code, stdout, stderr := call(t, "-n", "-i", "nonesuch0", "-vhid", "7", "-pass", "x", "-addr", "192.0.2.1")
	if code != cli.Failure || stdout != "" || !strings.Contains(stderr, "no such interface") || !strings.Contains(stderr, "nonesuch0") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestPlan(t *testing.T) {
	code, stdout, stderr := call(t, good("-n", "-addr", "2001:db8::1/64,198.51.100.1", "203.0.113.1", "-advbase", "0", "-advskew", "13",
		"-peer", "192.0.2.12", "2001:db8::12", "-preempt", "-mac", "virtual", "-up", "true", "-rt", "50")...)
	if code != cli.OK || stderr != "" {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	for _, want := range []string{
		"vhid 7, dialect openbsd",
		"every 50.78125ms (advbase 0 advskew 13) to [192.0.2.12 2001:db8::12]",
		"152.34375ms after the last advert of a master, at once from a slower one",
		"[192.0.2.1/24 2001:db8::1/64 198.51.100.1/32 203.0.113.1/32] with the virtual MAC 00:00:5e:00:01:07",
		"on MASTER: true 7@lo", "SCHED_FIFO 50", "nothing was changed",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in the plan:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "hidden") {
		t.Errorf("the plan has the passphrase:\n%s", stdout)
	}
}

// TestLongPassphrase: the BSDs cut it in silence, which we do not.
func TestLongPassphrase(t *testing.T) {
	const long = "hidden6789012345678"
	code, _, stderr := call(t, good("-n", "-pass", long)...)
	if code != cli.OK || stderr != "" {
		t.Errorf("19 octets: exit %d, stderr %q", code, stderr)
	}
	code, _, stderr = call(t, good("-n", "-pass", long+"0")...)
	if code != cli.OK || !strings.Contains(stderr, "WARN") || !strings.Contains(stderr, "longer than 19 octets") || strings.Contains(stderr, long) {
		t.Errorf("20 octets: exit %d, stderr %q", code, stderr)
	}
}

func TestPassfile(t *testing.T) {
	want, _ := carp.Passphrase("a b")
	for _, text := range []string{"a b", "a b\n", "a b\r\n", "a b\n\n"} {
		path := filepath.Join(t.TempDir(), "pass")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := parseOptions([]string{"-i", "lo", "-vhid", "7", "-passfile", path, "-addr", "192.0.2.1"})
		if err != nil || o.group.Secret != want {
			t.Errorf("%q: error %v, or another passphrase", text, err)
		}
	}
}
