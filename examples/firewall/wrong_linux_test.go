package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/cli"
)

// nobody is a user without privileges.
var nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

// everything is all that a firewall could change on a host: links, addresses and
// routes, each sysctl of each interface, and the files it was given.
func (p *pair) everything(host, dir string) string {
	p.t.Helper()
	var b strings.Builder
	b.WriteString(p.setup(host) + p.lab.NS(host).Run("nft", "list", "ruleset"))
	p.lab.NS(host).Do(func() {
		tree(p.t, &b, "/proc/sys/net/ipv4/conf")
		tree(p.t, &b, "/proc/sys/net/ipv6/conf")
	})
	tree(p.t, &b, dir)
	return b.String()
}

// tree writes what is in a directory.
func tree(t *testing.T, b *strings.Builder, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%s %v", path, info.Mode())
		if d.Type().IsRegular() {
			data, _ := os.ReadFile(path) // some cannot be read
			fmt.Fprintf(b, " %s", data)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWrong: whatever is wrong with a configuration is said with its place and what
// was expected, before anything is changed.
func TestWrong(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw2", map[string]string{"hostname.carp1": "vhid 1 carpdev em0 pass otherword 172.16.0.200/24\n"})
	p.start("fw2") // is in charge of its files and its socket
	odd := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	good := faqFiles(t, "")
	const carp1 = "vhid 1 carpdev em0 172.16.0.100/24"
	for _, tt := range []struct {
		name  string
		files map[string]string // in place of the good ones; empty: none
		modes map[string]os.FileMode
		attr  *syscall.SysProcAttr
		args  []string // more of them
		want  string   // at the beginning of a line of standard error
	}{
		{name: "unknown word", files: map[string]string{"hostname.carp1": "# LAN\nvhid 1 carpdve em0 172.16.0.100/24"},
			want: `hostname.carp1:2: word "carpdve": expected an address or one of`},
		{name: "unknown sysctl", files: map[string]string{"sysctl.conf": "net.inet.carp.prempt=1"},
			want: `sysctl.conf:1: word "net.inet.carp.prempt": expected one of net.inet.carp.allow`},
		{name: "unknown setting", files: map[string]string{"firewall.toml": "[hooks]\ntimeoot = 3"},
			want: `firewall.toml:2: word "hooks.timeoot": expected one of mac, dialect`},
		{name: "wrong value of a setting", files: map[string]string{"firewall.toml": "[pfsync]\nstates = \"many\""},
			want: `firewall.toml:2: word "pfsync.states": expected a number, 1 to 16777214`},
		{name: "check that cannot be run", files: map[string]string{"firewall.toml": "[check.dns]\ncommand = [\"/nonesuch\"]"},
			want: `firewall.toml:2: word "check.dns.command": expected a program that can be run`},
		{name: "check of nothing", files: map[string]string{"firewall.toml": "[check.dns]\nfall = 3"},
			want: `firewall.toml:2: word "check.dns": expected something to look at`},
		{name: "no secret of the peer", files: map[string]string{"firewall.toml": "[peer]\nsecret-file = \"peer.key\""},
			want: `firewall.toml:2: word "peer.secret-file": expected a file with the secret: `},
		{name: "short secret of the peer", files: map[string]string{"firewall.toml": "[peer]\nsecret-file = \"peer.key\"", "peer.key": "dontTell"},
			want: `firewall.toml:2: word "peer.secret-file": expected 16 octets or more in peer.key: it has 8`},
		{name: "no WAN", files: map[string]string{"firewall.toml": "[wan]\ninterface = \"em9\""},
			want: `firewall.toml:2: word "wan.interface": there is no interface em9`},
		{name: "nothing to exclude", files: map[string]string{"firewall.toml": "[sync]\nexclude = [\"lan\"]"},
			want: `firewall.toml:2: word "sync.exclude": "lan": want a section`},
		{name: "vhid 0", files: map[string]string{"hostname.carp1": "vhid 0 carpdev em0 172.16.0.100/24"},
			want: `hostname.carp1:1: word "0": expected a vhid, 1 to 255`},
		{name: "vhid 256", files: map[string]string{"hostname.carp1": "vhid 256 carpdev em0 172.16.0.100/24"},
			want: `hostname.carp1:1: word "256": expected a vhid, 1 to 255`},
		{name: "no vhid", files: map[string]string{"hostname.carp1": "carpdev em0 172.16.0.100/24"},
			want: `hostname.carp1: expected "vhid N", a number from 1 to 255`},
		{name: "vhid twice on an interface", files: map[string]string{"hostname.carp3": "vhid 1 carpdev em0 172.16.0.101/24"},
			want: "hostname.carp3:1: vhid 1 on em0 is that of carp1"},
		{name: "vhid twice, found by the network", files: map[string]string{"hostname.carp3": "vhid 1 172.16.0.101/24"},
			want: "hostname.carp3:1: vhid 1 on em0 is that of carp1"},
		{name: "address of another", files: map[string]string{"hostname.carp3": "vhid 3 carpdev em0 172.16.0.100/24"},
			want: `hostname.carp3:1: word "172.16.0.100": this address is that of carp1`},
		{name: "address of the host", files: map[string]string{"hostname.carp1": "vhid 1 carpdev em0 172.16.0.1/24"},
			want: `hostname.carp1:1: word "172.16.0.1": this is an address of em0 itself, and cannot be shared`},
		{name: "address of a network", files: map[string]string{"hostname.carp1": "vhid 1 carpdev em0 172.16.0.0/24"},
			want: `hostname.carp1:1: word "172.16.0.0/24": expected the address of a host, not of the network`},
		{name: "no such interface", files: map[string]string{"hostname.carp1": "vhid 1 carpdev em9 172.16.0.100/24"},
			want: `hostname.carp1:1: word "em9": there is no such interface`},
		{name: "no such sync interface", files: map[string]string{"hostname.pfsync0": "up syncdev em9"},
			want: `hostname.pfsync0:1: word "em9": there is no such interface`},
		{name: "no Ethernet", files: map[string]string{"hostname.carp1": "vhid 1 carpdev lo 172.16.0.100/24"},
			want: `hostname.carp1:1: word "lo": expected an Ethernet interface`},
		{name: "sync with itself", files: map[string]string{"hostname.pfsync0": "up syncdev em1 syncpeer 10.10.10.1"},
			want: `hostname.pfsync0:1: word "10.10.10.1": expected the address of the other host: this is ours`},
		{name: "missing password file", files: map[string]string{"hostname.carp1": carp1 + "\npassfile lan.pass"},
			want: `hostname.carp1:2: word "lan.pass": expected a file with the passphrase: `},
		{name: "password file that others may read", files: map[string]string{"hostname.carp1": carp1 + " passfile lan.pass", "lan.pass": "dontTell\n"},
			modes: map[string]os.FileMode{"lan.pass": 0o640},
			want:  `hostname.carp1:1: word "lan.pass": expected a file with the passphrase: DIR/lan.pass: others than its owner may read or write it: chmod 600`},
		{name: "empty password file", files: map[string]string{"hostname.carp1": carp1 + " passfile lan.pass", "lan.pass": "\n"},
			want: `hostname.carp1:1: word "lan.pass": expected a file with the passphrase: DIR/lan.pass: the first line is empty`},
		{name: "password file with more than that", files: map[string]string{"hostname.carp1": carp1 + " passfile lan.pass", "lan.pass": "dontTell\ndontTell\n"},
			want: `hostname.carp1:1: word "lan.pass": expected a file with the passphrase: DIR/lan.pass: more than one line`},
		{name: "unreadable password file", files: map[string]string{"hostname.carp1": carp1 + " passfile lan.pass", "lan.pass": "dontTell\n"},
			modes: map[string]os.FileMode{"hostname.carp1": 0o644, "hostname.carp2": 0o644, "hostname.pfsync0": 0o644, "sysctl.conf": 0o644}, attr: nobody,
			want: `hostname.carp1:1: word "lan.pass": expected a file with the passphrase: open DIR/lan.pass: permission denied`},
		{name: "unreadable file", modes: map[string]os.FileMode{"sysctl.conf": 0o644}, attr: nobody,
			want: "open DIR/hostname.carp1: permission denied"},
		{name: "no privileges", files: map[string]string{"hostname.carp1": carp1, "hostname.carp2": ""}, attr: nobody,
			modes: map[string]os.FileMode{"hostname.carp1": 0o644, "hostname.pfsync0": 0o644, "sysctl.conf": 0o644},
			want:  "the capability CAP_NET_ADMIN is needed, to put addresses on and to send adverts: operation not permitted"},
		{name: "half of the privileges", files: map[string]string{"hostname.carp1": carp1, "hostname.carp2": ""},
			attr:  &syscall.SysProcAttr{Credential: nobody.Credential, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}},
			modes: map[string]os.FileMode{"hostname.carp1": 0o644, "hostname.pfsync0": 0o644, "sysctl.conf": 0o644},
			want:  "the capability CAP_NET_RAW is needed, to put addresses on and to send adverts: operation not permitted"},
		{name: "hook that everybody may write", files: map[string]string{"carp.d/10-wan": "#!/bin/sh\n"},
			modes: map[string]os.FileMode{"carp.d/10-wan": 0o777},
			want:  "carp.d/10-wan: everybody may write to it"},
		{name: "no such directory", args: []string{"-C", filepath.Join(odd, "x")}, want: "open " + odd + "/x: not a directory"},
		{name: "socket in use", args: []string{"-s", p.socket("fw2")}, want: "control: socket " + p.socket("fw2") + ": another program listens on it"},
		{name: "no socket", args: []string{"-s", odd}, want: "control: socket " + odd + ": there is something else of that name, which is no socket"},
		{name: "no place for a socket", args: []string{"-s", odd + "/s"}, want: "control: socket " + odd + "/s: lstat"},
		{name: "files in use", args: []string{"-C", p.dirs["fw2"]}, want: "-C " + p.dirs["fw2"] + ": another firewall runs with these files"},
		{name: "no address for the counters", args: []string{"-metrics", "192.0.2.77:1"}, want: "-metrics: listen tcp 192.0.2.77:1: bind: "},
	} {
		all := make(map[string]string)
		for name, text := range good {
			all[name] = text
		}
		for name, text := range tt.files {
			if all[name] = text; text == "" {
				delete(all, name)
			}
		}
		dir := files(t, all)
		for _, up := range []string{dir, filepath.Dir(dir)} { // for nobody
			if err := os.Chmod(up, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, mode := range tt.modes {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
		before := p.everything("fw1", dir)
		code, stdout, stderr := p.exec("fw1", tt.attr, append([]string{"run", "-C", dir, "-s", filepath.Join(dir, "s")}, tt.args...)...)
		if diff := cmp.Diff(before, p.everything("fw1", dir)); diff != "" {
			t.Errorf("%s: something has changed: %s", tt.name, diff)
		}
		want := regexp.MustCompile(`(?m)^firewall: ` + regexp.QuoteMeta(strings.ReplaceAll(tt.want, "DIR", dir)))
		if code != cli.Usage || stdout != "" || !want.MatchString(stderr) {
			t.Errorf("%s: exit %d, stdout %q, stderr\n%swant %s", tt.name, code, stdout, stderr, tt.want)
		}
		if strings.Contains(stderr, "dontTell") || strings.Contains(stderr, "passwd") {
			t.Errorf("%s: a passphrase is shown: %s", tt.name, stderr)
		}
	}
	p.awaitRole("the other firewall does not mind", "fw2", "MASTER")
}

// TestPassFile: a passphrase may be in a file of its own, which is not shown by
// anything, and is read again by a reload.
func TestPassFile(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const carp1 = "vhid 1 carpdev em0 172.16.0.100/24"
	p.write("fw1", map[string]string{"hostname.carp1": carp1 + " passfile lan.pass", "lan.pass": "lanpasswd\n", "sysctl.conf": "net.inet.carp.preempt=1"})
	p.write("fw2", map[string]string{"hostname.carp1": carp1 + " advskew 128 passfile 'two words'", "two words": "lanpasswd", "sysctl.conf": "net.inet.carp.preempt=1"})
	p.start("fw1", "-v")
	p.start("fw2", "-v")
	p.settled("fw1")

	p.write("fw1", map[string]string{"lan.pass": "newpasswd\n"})
	if got := p.do("fw1", "reload"); got != "carp1: pass\n" {
		t.Errorf("reload: %q", got)
	}
	// Both are master now, and each says why it does not hear the other one.
	p.await("it refuses the other one's adverts, and says so", func() bool {
		s := p.do("fw2", "status")
		return strings.Contains(s, "MASTER") && strings.Contains(s, "refused ") && strings.Contains(s, "wrong digest: check passphrase")
	})
	p.write("fw2", map[string]string{"new.pass": "newpasswd"})
	p.do("fw2", "ifconfig carp1 passfile new.pass")
	p.settled("fw1")

	shown := p.setup("fw1")
	for _, line := range []string{"ifconfig carp1 passfile nonesuch", "ifconfig carp1 passfile"} {
		if code, _, stderr := p.try("fw1", line); code != cli.Usage || !strings.Contains(stderr, "ifconfig carp1: word \"") {
			t.Errorf("%s: exit %d, %s", line, code, stderr)
		}
	}
	if diff := cmp.Diff(shown, p.setup("fw1")); diff != "" {
		t.Error(diff)
	}
	for _, host := range []string{"fw1", "fw2"} {
		for _, line := range []string{"ifconfig", "status -json", "why 1000", "doctor"} {
			if _, stdout, stderr := p.try(host, line); strings.Contains(stdout+stderr, "passwd") {
				t.Errorf("%s shows it:\n%s%s", line, stdout, stderr)
			}
		}
	}
}
