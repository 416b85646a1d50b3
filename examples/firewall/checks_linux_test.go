package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gocarp/gocarp/internal/netns"
)

func TestCheckSettings(t *testing.T) {
	have, err := readSettings(files(t, map[string]string{settingsFile: `
[check.gateway]
ping = "192.0.2.1"
interval = 2
timeout = 1
rise = 5
fall = 4
demote = 100
group = "internal"
[check.dns]
tcp = "[2001:db8::1]:53"
interface = "carp1"
[check.drain]
file = "/run/drain"
[check.cable]
link = "em3"
check.late.command = ["/bin/sh", "-c", "true"]
`}))
	if err == nil || !strings.Contains(err.Error(), `word "check.cable.check.late.command"`) {
		t.Errorf("a key with too many parts: %v", err)
	}
	def := checkSettings{interval: time.Second, rise: 3, fall: 3, demote: 240}
	want := []checkSettings{
		{name: "gateway", kind: "ping", words: []string{"192.0.2.1"}, interval: 2 * time.Second, timeout: time.Second,
			rise: 5, fall: 4, demote: 100, group: "internal"},
		def, def, def,
	}
	want[1].name, want[1].kind, want[1].words, want[1].iface = "dns", "tcp", []string{"[2001:db8::1]:53"}, "carp1"
	want[2].name, want[2].kind, want[2].words = "drain", "file", []string{"/run/drain"}
	want[3].name, want[3].kind, want[3].words = "cable", "link", []string{"em3"}
	if diff := cmp.Diff(want, have.checks, cmp.AllowUnexported(checkSettings{}), cmpopts.IgnoreFields(checkSettings{}, "pos")); diff != "" {
		t.Error(diff)
	}
}

// Each mistake is named, with its place and what was expected.
func TestCheckSettingsErrors(t *testing.T) {
	dir := t.TempDir()
	for lines, want := range map[string]string{
		"[check]\nping = \"192.0.2.1\"":                                     `firewall.toml:2: word "check.ping": expected one of check.NAME.command, file`,
		"[check.a]\npong = \"192.0.2.1\"":                                   `firewall.toml:2: word "check.a.pong": expected one of check.NAME.command, file`,
		"[check.a]\ninterval = 3":                                           `firewall.toml:2: word "check.a": expected something to look at: one of command, file, ping, tcp, link`,
		"[check.a]\nping = \"192.0.2\"":                                     `firewall.toml:2: word "check.a.ping": expected the address of a host`,
		"[check.a]\nping = 3":                                               `firewall.toml:2: word "check.a.ping": expected the address of a host`,
		"[check.a]\nping = \"224.0.0.1\"":                                   `firewall.toml:2: word "check.a.ping": expected the address of a host`,
		"[check.a]\ntcp = \"192.0.2.1\"":                                    `firewall.toml:2: word "check.a.tcp": expected a host and a port`,
		"[check.a]\ntcp = \"192.0.2.1:0\"":                                  `firewall.toml:2: word "check.a.tcp": expected a host and a port`,
		"[check.a]\nfile = \"drain\"":                                       `firewall.toml:2: word "check.a.file": expected a file with its path`,
		"[check.a]\nlink = \"\"":                                            `firewall.toml:2: word "check.a.link": expected the name of an interface`,
		"[check.a]\ncommand = \"true\"":                                     `firewall.toml:2: word "check.a.command": expected a program with its path`,
		"[check.a]\ncommand = [\"true\"]":                                   `firewall.toml:2: word "check.a.command": expected a program with its path`,
		fmt.Sprintf("[check.a]\ncommand = [%q]", dir+"/x"):                  `firewall.toml:2: word "check.a.command": expected a program that can be run`,
		"[check.a]\nfile = \"/x\"\nping = \"192.0.2.1\"":                    `firewall.toml:3: word "check.a.ping": expected only one of command, file, ping, tcp, link: there is file already`,
		"[check.a]\nfile = \"/x\"\ninterval = 0":                            `firewall.toml:3: word "check.a.interval": expected seconds, 1 to 3600`,
		"[check.a]\nfile = \"/x\"\ntimeout = \"3s\"":                        `firewall.toml:3: word "check.a.timeout": expected seconds`,
		"[check.a]\nfile = \"/x\"\nrise = 0":                                `firewall.toml:3: word "check.a.rise": expected a number, 1 to 1000`,
		"[check.a]\nfile = \"/x\"\nfall = 1001":                             `firewall.toml:3: word "check.a.fall": expected a number, 1 to 1000`,
		"[check.a]\nfile = \"/x\"\ndemote = 256":                            `firewall.toml:3: word "check.a.demote": expected a number, 1 to 255`,
		"[check.a]\nfile = \"/x\"\ndemote = 0":                              `firewall.toml:3: word "check.a.demote": expected a number, 1 to 255`,
		"[check.a]\nfile = \"/x\"\ngroup = \"x1\"":                          `firewall.toml:3: word "check.a.group": expected the name of a group`,
		"[check.a]\nfile = \"/x\"\ngroup = \"dmz\"":                         `firewall.toml:2: word "check.a.group": no carp interface is in group dmz`,
		"[check.a]\nfile = \"/x\"\ninterface = \"em0\"":                     `firewall.toml:3: word "check.a.interface": expected a carp interface`,
		"[check.a]\nfile = \"/x\"\ninterface = \"carp7\"":                   `firewall.toml:2: word "check.a.interface": there is no carp7`,
		"[check.a]\nfile = \"/x\"\ninterface = \"carp7\"\ngroup = \"carp\"": `firewall.toml:4: word "check.a.group": expected group or interface, and not both`,
		"[check.a]\nfile = \"/x\"\nfile = \"/y\"":                           `firewall.toml:3: word "check.a.file": expected it once`,
		"[check.a.b]\nfile = \"/x\"":                                        `firewall.toml:2: word "check.a.b.file": expected one of check.NAME.command`,
	} {
		_, err := readSetup(files(t, map[string]string{settingsFile: lines}))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\nhave %v\nwant %s", lines, err, want)
		}
	}
}

// A firewall gives way for as long as a check fails, says why, and a reload that
// changes other checks does not touch it.
func TestLiveChecks(t *testing.T) {
	t.Parallel()
	p, fw1, _ := newPair(t).faq()
	dir := t.TempDir()
	drain, other, script := filepath.Join(dir, "drain"), filepath.Join(dir, "other"), filepath.Join(dir, "sick")
	const quick = "interval = 1\nrise = 1\nfall = 1\n"
	checks := func(more string) {
		p.write("fw1", map[string]string{settingsFile: fmt.Sprintf("[check.drain]\nfile = %q\n%s%s", drain, quick, more)})
	}
	demoted := func(want string) func() bool {
		return func() bool {
			s, err := p.status("fw1")
			var have []string
			for _, d := range s.Demotions {
				have = append(have, fmt.Sprintf("%s %s %s %d", d.Group, d.Interface, d.Cause, d.By))
			}
			return err == nil && strings.Join(have, ", ") == want
		}
	}
	reload := func(want string) {
		t.Helper()
		if have := p.do("fw1", "reload"); have != want {
			t.Fatalf("reload: %q, want %q", have, want)
		}
	}

	checks("")
	reload("check drain: added\n")
	p.settled("fw1") // it does not demote before it has failed
	if err := os.WriteFile(drain, []byte("100 kernel update"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.settledDemoted("fw2")
	p.await("the demotion has a name and the file's own number", demoted("carp host check drain 100"))
	why := p.do("fw1", "why 50")
	for _, want := range []string{"drain failed: " + drain + " exists: 100 kernel update", "host demoted group carp by 100 to 100 (check drain)"} {
		if !strings.Contains(why, want) {
			t.Errorf("why does not say %q:\n%s", want, why)
		}
	}

	// Others come, change and go. One of them hangs, and one demotes a group.
	os.WriteFile(script, []byte("#!/bin/sh\nif [ -e "+other+" ]; then exec sleep 1000; fi\n"), 0o755)
	checks(fmt.Sprintf("[check.sick]\ncommand = [%q]\n%sgroup = \"carp\"\n", script, quick))
	reload("check sick: added\n")
	before := len(strings.Split(p.do("fw1", "why 1000"), "check drain"))
	os.WriteFile(other, nil, 0o600)
	p.await("the doctor names it", func() bool {
		_, stdout, _ := p.try("fw1", "doctor")
		return strings.Contains(stdout, "bad   check drain, file "+drain+": "+drain+" exists: 100 kernel update\n") &&
			strings.Contains(stdout, "check sick, command "+script)
	})
	p.await("the one that hangs demotes", demoted("carp host check drain 100, carp host/sick check sick 240"))
	checks(fmt.Sprintf("[check.sick]\ncommand = [%q]\n%sgroup = \"carp\"\ndemote = 7\n", script, quick))
	reload("check sick: changed\n")
	p.await("with its new number", demoted("carp host check drain 100, carp host/sick check sick 7"))
	if why := p.do("fw1", "why 50"); !strings.Contains(why, "host/sick demoted group carp by -233 to 107 (check sick)") {
		t.Errorf("a change made it look well for a moment:\n%s", why)
	}
	os.Remove(other)
	p.await("it is well again", demoted("carp host check drain 100"))
	checks("")
	reload("check sick: removed\n")
	reload("nothing was different\n")
	if after := len(strings.Split(p.do("fw1", "why 1000"), "check drain")); after != before {
		t.Errorf("the check that stayed was touched:\n%s", p.do("fw1", "why 50"))
	}

	os.Remove(drain)
	p.settled("fw1")
	fw1.stop()
}

// settledDemoted waits until a firewall has taken over from the other one.
func (p *pair) settledDemoted(master string) {
	p.t.Helper()
	other := map[string]string{"fw1": "fw2", "fw2": "fw1"}[master]
	p.awaitRole("takes over", master, "MASTER")
	p.awaitRole("gives way", other, "BACKUP")
}

// A host does not take over on trust; and links and services are looked at.
func TestLiveChecksAtStart(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ping")
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	p.write("fw2", faqFiles(t, "advskew 128\n"))
	const quick = "interval = 1\nrise = 1\nfall = 1\n"
	p.write("fw1", map[string]string{settingsFile: "[check.server]\nping = \"192.0.2.9\"\n" + quick +
		"[check.cable]\nlink = \"em1\"\n" + quick + "demote = 3\n[check.web]\ntcp = \"192.0.2.9:80\"\ninterface = \"carp1\"\n" + quick})
	p.start("fw2")
	p.awaitRole("alone", "fw2", "MASTER")
	p.start("fw1")
	causes := func() string {
		s, err := p.status("fw1")
		var have []string
		for _, d := range s.Demotions {
			have = append(have, fmt.Sprintf("%s %s %d", d.Interface, d.Cause, d.By))
		}
		return fmt.Sprint(strings.Join(have, ", "), err)
	}
	p.await("nobody listens", func() bool { return causes() == "carp1 check web 240<nil>" })
	p.awaitRole("not before all is well", "fw2", "MASTER")

	var l net.Listener
	var err error
	p.lab.NS("server").Do(func() { l, err = net.Listen("tcp", "192.0.2.9:80") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.settled("fw1")
	p.lab.NS("fw2").IP("link set em1 down")
	p.await("the cable", func() bool { return strings.Contains(causes(), "host check cable 3") })
	p.lab.NS("server").IP("link set em2 down")
	p.await("the server", func() bool {
		return strings.Contains(causes(), "host check server 240") && strings.Contains(causes(), "carp1 check web 240")
	})
	p.lab.NS("server").IP("link set em2 up")
	p.lab.NS("fw2").IP("link set em1 up")
	p.settled("fw1")
}
