package main

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/vip"
)

// TestFiles starts the pair with the files of the FAQ, and stops it: each firewall
// hands over to the other, and leaves nothing behind.
func TestFiles(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	before := map[string]string{"fw1": p.setup("fw1"), "fw2": p.setup("fw2")}
	p, fw1, fw2 := p.faq()
	p.awaitHolders("both run", lanAddr, "fw1")
	p.awaitHolders("both run", wanAddr, "fw1")

	fw1.stop()
	p.awaitHolders("fw1 has left", lanAddr, "fw2")
	p.awaitHolders("fw1 has left", wanAddr, "fw2")
	why := p.do("fw2", "why")
	for _, name := range []string{"carp1 (1@em0)", "carp2 (2@em2)"} {
		if want := name + " BACKUP -> MASTER: master bowed out"; !strings.Contains(why, want) {
			t.Errorf("fw2 does not say %q:\n%s", want, why)
		}
	}
	fw2.stop()
	for host, want := range before {
		if diff := cmp.Diff(want, p.setup(host)); diff != "" {
			t.Errorf("%s is not what it was: %s", host, diff)
		}
	}
}

// since is when each carp interface last changed its state.
func (p *pair) since(host string) map[string]time.Time {
	p.t.Helper()
	s, err := p.status(host)
	if err != nil {
		p.t.Fatal(err)
	}
	all := make(map[string]time.Time)
	for _, i := range s.Interfaces {
		all[i.Name] = i.Since
	}
	return all
}

// TestReload: what the files say anew is done, what they say as before is left in
// peace, and files with a mistake change nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	p, fw1, _ := newPair(t).faq()
	begun := p.since("fw1")
	if got := p.do("fw1", "reload"); got != "nothing was different\n" {
		t.Errorf("the same files: %s", got)
	}

	p.write("fw1", map[string]string{
		"hostname.carp2": "vhid 2 carpdev em2 pass netpasswd advskew 10 192.0.2.100/24\ngroup external\n",
		"hostname.carp7": "vhid 7 carpdev em0 pass lanpasswd 172.16.0.107/24\n",
	})
	if got, want := p.do("fw1", "reload"), "carp2: advskew, group\ncarp7: added\n"; got != want {
		t.Errorf("changed files: %q, want %q", got, want)
	}
	p.awaitHolders("added", "172.16.0.107", "fw1")
	now := p.since("fw1")
	if now["carp1"] != begun["carp1"] || now["carp2"] != begun["carp2"] {
		t.Errorf("something flapped: %v, then %v", begun, now)
	}
	if got := p.do("fw1", "ifconfig external"); !strings.Contains(got, "vhid 2 advbase 1 advskew 10\n\tgroups: carp external") {
		t.Errorf("group external: %s", got)
	}

	// vhid 7 changes hands, which must not be refused.
	p.write("fw1", map[string]string{
		"hostname.carp7": "",
		"hostname.carp8": "vhid 7 carpdev em0 pass lanpasswd 172.16.0.108/24\n",
		"sysctl.conf":    "",
	})
	fw1.cmd.Process.Signal(syscall.SIGHUP)
	p.awaitHolders("renamed", "172.16.0.107")
	p.awaitHolders("renamed", "172.16.0.108", "fw1")
	p.await("preempt is off", func() bool { return p.do("fw1", "sysctl net.inet.carp.preempt") == "net.inet.carp.preempt=0\n" })

	p.write("fw1", map[string]string{"hostname.carp2": "vhid 3 carpdev em2 192.0.2.100/24\n", "hostname.carp9": "vhid 9 carpdev em9 10.0.0.1/24\n"})
	shown := p.do("fw1", "ifconfig")
	code, stdout, stderr := p.try("fw1", "reload")
	if code != cli.Usage || stdout != "" || !strings.Contains(stderr, `hostname.carp9:1: word "em9": there is no such interface`) {
		t.Errorf("a mistake: exit %d, %q, %q", code, stdout, stderr)
	}
	if diff := cmp.Diff(shown, p.do("fw1", "ifconfig")); diff != "" {
		t.Errorf("something has changed: %s", diff)
	}
	if now := p.since("fw1"); now["carp1"] != begun["carp1"] {
		t.Errorf("carp1 flapped: %v, then %v", begun["carp1"], now["carp1"])
	}
}

// TestCommands is what commands refuse, and that nothing has changed then.
func TestCommands(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	alone := faqFiles(t, "")
	delete(alone, "hostname.pfsync0") // would wait for an answer to its bulk request
	p.write("fw1", alone)
	p.start("fw1")
	p.awaitRole("alone", "fw1", "MASTER")
	shown, setup := p.do("fw1", "ifconfig"), p.setup("fw1")
	for line, want := range map[string]string{
		"":                           `2 firewall: want a command, or run`,
		"ifconfg":                    `2 firewall: "ifconfg" is no command`,
		"ifconfig carp1 create":      `2 firewall: ifconfig carp1: word "create": carp1 exists already`,
		"ifconfig carp11 down":       `2 firewall: ifconfig carp11: word 2: there is no carp11`,
		"ifconfig carp1 wibble":      `2 firewall: ifconfig carp1: word "wibble": expected an address or one of`,
		"ifconfig carp1 vhid 256":    `2 firewall: ifconfig carp1: word "256": expected a vhid, 1 to 255`,
		"ifconfig carp1 carpdev em9": `2 firewall: ifconfig carp1: word "em9": there is no such interface`,
		"ifconfig carp3 vhid 1 carpdev em0 10.0.0.1/24":   `2 firewall: ifconfig carp3: vhid 1 on em0 is that of carp1`,
		"ifconfig carp3 vhid 3 carpdev em0 172.16.0.1/24": `2 firewall: ifconfig carp3: word "172.16.0.1": this is an address of em0 itself`,
		"ifconfig carp1 carppeer 224.0.0.99":              `2 firewall: ifconfig carp1: word "224.0.0.99": expected a group that em0 listened to from the start`,
		"ifconfig em0 10.0.0.1 netmask 255.0.0.0":         `2 firewall: ifconfig em0: word "10.0.0.1": em0 has 172.16.0.1/24 already`,
		"ifconfig em0 vhid 1":                             `2 firewall: ifconfig em0: word "vhid": expected only with a carp interface`,
		"ifconfig em0 group egress":                       `2 firewall: ifconfig em0: word "group": expected only addresses, up and down`,
		"ifconfig em0 172.16.0.100 delete":                `2 firewall: ifconfig em0: word "delete": expected an own address of em0`,
		"ifconfig em9":                                    `1 firewall: ifconfig: em9: there is no such interface or group`,
		"ifconfig -g nobody":                              `1 firewall: demote: group "nobody": no such group`,
		"ifconfig -g carp -carpdemote 100":                `1 firewall: demote: group "carp"`,
		"ifconfig pfsync0 version 1301":                   `2 firewall: ifconfig pfsync0: word "version": expected it only with dialect = "freebsd"`,
		"sysctl net.inet.carp.prempt":                     `2 firewall: sysctl: word "net.inet.carp.prempt": expected one of`,
		"sysctl net.inet.carp.arpbalance=1":               `2 firewall: sysctl: word "net.inet.carp.arpbalance": expected 0`,
		"sysctl net.inet.carp.demotion=-300":              `1 firewall: net.inet.carp.demotion`,
		"netstat":                                         `2 firewall: netstat: want -s`,
		"netstat -s -p tcp":                               `2 firewall: netstat: -p "tcp": want carp or pfsync`,
		"pfctl -sr":                                       `2 firewall: pfctl: want -ss`,
		"status -xml":                                     `2 firewall: status: want -json, -watch, or nothing`,
		"why not":                                         `2 firewall: why: want a number`,
		"maintenance":                                     `2 firewall: maintenance: want on, on -persistent, or off`,
		"maintenance on now":                              `2 firewall: maintenance: want on, on -persistent, or off`,
		"reload now":                                      `2 firewall: reload: "now": want no words`,
	} {
		code, stdout, stderr := p.try("fw1", line)
		if got := string(rune('0'+code)) + " " + stderr; !strings.HasPrefix(got, want) || stdout != "" {
			t.Errorf("%s: stdout %q, exit and stderr\n%swant\n%s", line, stdout, got, want)
		}
	}
	if diff := cmp.Diff(shown, p.do("fw1", "ifconfig")); diff != "" {
		t.Errorf("something has changed: %s", diff)
	}
	if diff := cmp.Diff(setup, p.setup("fw1")); diff != "" {
		t.Errorf("the host has changed: %s", diff)
	}

	// FreeBSD's sysctl adds.
	for _, c := range [][2]string{
		{"sysctl net.inet.carp.demotion=200", "net.inet.carp.demotion: 0 -> 200\n"},
		{"sysctl net.inet.carp.demotion=-200", "net.inet.carp.demotion: 200 -> 0\n"},
	} {
		if got := p.do("fw1", c[0]); got != c[1] {
			t.Errorf("%s: %q", c[0], got)
		}
	}
}

// TestRetry: a virtual host that cannot begin says so, and begins when it is told
// something again.
func TestRetry(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.start("fw1")
	var other *vip.Applier
	var err error
	p.lab.NS("fw1").Do(func() {
		other, err = vip.Open(vip.Config{Interface: "em0", Addresses: []netip.Prefix{netip.MustParsePrefix(lanAddr + "/24")}})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	code, _, stderr := p.try("fw1", "ifconfig carp1 vhid 1 carpdev em0 172.16.0.100/24")
	if code != cli.Failure || !strings.Contains(stderr, "firewall: carp1: vip: open em0: 172.16.0.100: another process is in charge of it already") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for line, want := range map[string]string{
		"status":         "error: vip: open em0: 172.16.0.100: another process",
		"ifconfig carp1": "carp: INIT carpdev em0 vhid 1 ",
		"why":            "note: carp1: vip: open em0",
	} {
		if got := p.do("fw1", line); !strings.Contains(got, want) {
			t.Errorf("%s has no %q:\n%s", line, want, got)
		}
	}
	p.do("fw1", "ifconfig carp2 vhid 2 carpdev em2 192.0.2.100/24") // no concern of this one
	other.Close()
	p.do("fw1", "ifconfig carp1 up")
	p.awaitRole("again", "fw1", "MASTER")
	if got := p.do("fw1", "status"); strings.Contains(got, "error: ") {
		t.Errorf("the error is still shown:\n%s", got)
	}
}

// TestStart is what a start refuses, and that nothing has changed then.
func TestStart(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	setup := p.setup("fw1")
	args := []string{"run", "-C", p.dirs["fw1"], "-s", p.socket("fw1")}

	code, stdout, stderr := p.exec("fw1", nil, append(args, "-n")...)
	for _, want := range []string{
		"carp1: vhid 1 on em0, groups [carp]\n\tadverts every 1s, takes over 3s after the last one of a master\n\tas master: [172.16.0.100/24]\n",
		"pfsync0: em1 to 224.0.0.240, up to 100000 states", "preempt on\n", "nothing was changed\n",
	} {
		if code != cli.OK || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("-n: exit %d, stderr %q, stdout\n%swant %s", code, stderr, stdout, want)
		}
	}

	if code, _, stderr := p.exec("fw1", nil, append(args, "-metrics", "192.0.2.77:1")...); code != cli.Usage || !strings.Contains(stderr, "-metrics: ") {
		t.Errorf("no such address: exit %d, %q", code, stderr)
	}
	if diff := cmp.Diff(setup, p.setup("fw1")); diff != "" {
		t.Errorf("the host has changed: %s", diff)
	}

	p.start("fw1")
	args[2], args[4] = files(t, faqFiles(t, "")), p.socket("fw1")+"2"
	if code, _, stderr := p.exec("fw1", nil, args...); code != cli.Failure || !strings.Contains(stderr, "another process is in charge of it already") {
		t.Errorf("addresses in use: exit %d, %q", code, stderr)
	}
	p.awaitHolders("the first one goes on", lanAddr, "fw1")
}
