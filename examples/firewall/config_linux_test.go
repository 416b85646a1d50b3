package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
)

// firewall runs the program, which must not get as far as to run for long.
func firewall(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, errs strings.Builder
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

// Each mistake is named with file, line and word, says what was expected, and ends
// the program before it has done anything.
func TestWrongFiles(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // a line of standard error
	}{
		{"unknown word", map[string]string{"hostname.carp1": "inet 10.0.0.1 255.255.255.0\nvhid 1 carpdve em0\n"},
			`hostname.carp1:2: word "carpdve": expected an address or one of`},
		{"vhid 0", map[string]string{"hostname.carp1": "vhid 0 carpdev em0 10.0.0.1/24"}, `hostname.carp1:1: word "0": expected a vhid, 1 to 255`},
		{"vhid 256", map[string]string{"hostname.carp1": "vhid 256 carpdev em0 10.0.0.1/24"}, `hostname.carp1:1: word "256": expected a vhid, 1 to 255`},
		{"vhid twice", map[string]string{"hostname.carp1": "vhid 1 carpdev em0 10.0.0.1/24", "hostname.carp2": "# LAN\nvhid 1 carpdev em0 10.0.0.2/24"},
			"hostname.carp2:2: vhid 1 on em0 is that of carp1"},
		{"address twice", map[string]string{"hostname.carp1": "vhid 1 carpdev em0 10.0.0.1/24", "hostname.carp2": "vhid 2 carpdev em0 10.0.0.1/24"},
			`hostname.carp2:1: word "10.0.0.1": this address is that of carp1`},
		{"own address", map[string]string{"hostname.carp1": "vhid 1 carpdev lo 127.0.0.1/8"}, `hostname.carp1:1: word "127.0.0.1": this is an address of lo itself, and cannot be shared`},
		{"no interface", map[string]string{"hostname.carp1": "vhid 1 carpdev em9 10.0.0.1/24"}, `hostname.carp1:1: word "em9": there is no such interface`},
		{"no Ethernet", map[string]string{"hostname.carp1": "vhid 1 carpdev lo 10.0.0.1/24"}, `hostname.carp1:1: word "lo": expected an Ethernet interface`},
		{"nowhere", map[string]string{"hostname.carp1": "vhid 1 203.0.113.77/24"}, "hostname.carp1: expected carpdev: no interface has an address of its own in the network of 203.0.113.77/24"},
		{"no vhid", map[string]string{"hostname.carp1": "carpdev em0 10.0.0.1/24"}, `hostname.carp1: expected "vhid N", a number from 1 to 255`},
		{"no address", map[string]string{"hostname.carp1": "vhid 1 carpdev em0"}, "hostname.carp1: expected an address to share"},
		{"balancing", map[string]string{"hostname.carp1": "carpnodes 1:0,2:100 balancing ip carpdev em0 10.0.0.1/24"}, `hostname.carp1:1: word "carpnodes": expected vhid: load is not balanced`},
		{"command", map[string]string{"hostname.carp1": "vhid 1 carpdev em0 10.0.0.1/24\n!route add default 10.0.0.9"}, `hostname.carp1:2: word "!": expected no command`},
		{"advbase", map[string]string{"hostname.carp1": "vhid 1 carpdev lo advbase 0 10.0.0.1/24", "firewall.toml": `dialect = "freebsd"`},
			"hostname.carp1: carp: vhid 1: advbase 0: freebsd takes 1 to 255"},
		{"passphrase", map[string]string{"hostname.carp1": "vhid 1 carpdev em0 pass 'dont tell 10.0.0.1/24"}, "hostname.carp1:1: word 6: expected a closing ' on the same line"},
		{"directory", map[string]string{"hostname.carp1/x": ""}, "hostname.carp1: is a directory"},
		{"sync without interface", map[string]string{"hostname.pfsync0": "up"}, `hostname.pfsync0:1: expected "syncdev IF" with it`},
		{"sync interface", map[string]string{"hostname.pfsync0": "up syncdev em9"}, `hostname.pfsync0:1: word "em9": there is no such interface`},
		{"sync with ourselves", map[string]string{"hostname.pfsync0": "up syncdev lo syncpeer 127.0.0.1"}, `hostname.pfsync0:1: word "127.0.0.1": expected the address of the other host: this is ours`},
		{"sync version", map[string]string{"hostname.pfsync0": "up syncdev lo version 1301"}, `hostname.pfsync0:1: word "version": expected it only with dialect = "freebsd"`},
		{"second sync", map[string]string{"hostname.pfsync1": "up syncdev em1"}, `hostname.pfsync1: word "pfsync1": expected pfsync0`},
		{"sysctl value", map[string]string{"sysctl.conf": "\nnet.inet.carp.preempt=2"}, `sysctl.conf:2: word "net.inet.carp.preempt": expected a number, 0 to 1, and not "2"`},
		{"sysctl name", map[string]string{"sysctl.conf": "net.inet.carp.prempt=1"}, `sysctl.conf:1: word "net.inet.carp.prempt": expected one of`},
		{"sysctl demotion", map[string]string{"sysctl.conf": "net.inet.carp.demotion=240"}, `sysctl.conf:1: word "net.inet.carp.demotion": expected it on a command line only`},
		{"sysctl arpbalance", map[string]string{"sysctl.conf": "net.inet.carp.arpbalance=1"}, `sysctl.conf:1: word "net.inet.carp.arpbalance": expected 0`},
		{"sysctl factor", map[string]string{"sysctl.conf": "net.inet.carp.ifdown_demotion_factor=1"}, `sysctl.conf:1: word "net.inet.carp.ifdown_demotion_factor": expected no value`},
		{"toml key", map[string]string{"firewall.toml": "\n[hooks]\ntimeoot = 3"}, `firewall.toml:3: word "hooks.timeoot": expected one of mac, dialect`},
		{"toml value", map[string]string{"firewall.toml": `mac = "reel"`}, `firewall.toml:1: word "mac": expected "real", "virtual" or "rewritten"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := files(t, tt.files)
			socket := filepath.Join(t.TempDir(), "s")
			for _, dry := range [][]string{nil, {"-n"}} {
				code, stdout, stderr := firewall(t, append([]string{"run", "-C", dir, "-s", socket}, dry...)...)
				found := false
				for line := range strings.Lines(stderr) {
					found = found || strings.HasPrefix(strings.TrimPrefix(line, "firewall: "), tt.want) || tt.name == "directory" && strings.Contains(line, tt.want)
				}
				if code != cli.Usage || !found || stdout != "" {
					t.Errorf("%v: exit %d, stdout %q, stderr:\n%swant %s", dry, code, stdout, stderr, tt.want)
				}
				if strings.Contains(stderr, "dont") {
					t.Errorf("part of the passphrase is shown: %s", stderr)
				}
			}
			if _, err := os.Lstat(socket); err == nil {
				t.Error("there is a socket")
			}
		})
	}
}

func TestWrongHooks(t *testing.T) {
	dir := files(t, map[string]string{"carp.d/10-everybody": "", "carp.d/20-nobody": "", "carp.d/README": ""})
	os.Chmod(filepath.Join(dir, "carp.d/10-everybody"), 0o777)
	os.Chmod(filepath.Join(dir, "carp.d/20-nobody"), 0o644)
	code, _, stderr := firewall(t, "run", "-C", dir, "-n")
	want := "firewall: carp.d/10-everybody: everybody may write to it\nfirewall: carp.d/20-nobody: it cannot be executed\n"
	if code != cli.Usage || stderr != want {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestWrongUse(t *testing.T) {
	dir := files(t, map[string]string{"hostname.carp1": "vhid 1 carpdev lo 10.0.0.1/24"})
	for want, args := range map[string][]string{
		"want a command, or run":        nil,
		"not defined: -x":               {"-x"},
		"run: want -C DIR":              {"run"},
		`run: "now": want no words`:     {"run", "-C", dir, "now"},
		"no such file or directory":     {"run", "-C", filepath.Join(dir, "nonesuch")},
		"not defined: -y":               {"run", "-C", dir, "-y"},
		`-log "xml": want text or json`: {"run", "-C", files(t, nil), "-log", "xml"},
	} {
		code, _, stderr := firewall(t, args...)
		if code != cli.Usage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d, stderr %q, want %q", args, code, stderr, want)
		}
	}
	if code, stdout, _ := firewall(t, "-h"); code != cli.OK || stdout != usage {
		t.Errorf("-h: exit %d", code)
	}
	code, _, stderr := firewall(t, "-s", filepath.Join(dir, "nobody"), "status")
	if code != cli.Failure || !strings.Contains(stderr, "nobody listens on it: is the program running?") {
		t.Errorf("no daemon: exit %d, stderr %q", code, stderr)
	}
}

func TestWarnings(t *testing.T) {
	dir := files(t, map[string]string{
		"hostname.em1":     "inet 10.10.10.1 255.255.255.0",
		"hostname.carp1~":  "vhid 0",
		"sysctl.conf":      "net.ipv4.ip_forward=1 # ours as well\nnet.inet.carp.preempt=1\n",
		"hostname.pfsync0": "syncdev lo defer",
	})
	s, err := readSetup(dir)
	if err == nil {
		err = s.prepare()
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"hostname.carp1~ is left alone: it is not the name of an interface and a number",
		"hostname.em1 is left alone: configure em1 with the tools of this system",
		"sysctl.conf: net.ipv4.ip_forward is left alone: set it with the tools of this system",
		"pfsync0: defer has no effect: first packets are not held back here",
	}
	if diff := cmp.Diff(want, s.warnings); diff != "" {
		t.Error(diff)
	}
	if !s.sysctls.preempt {
		t.Error("preempt is not set")
	}
}
