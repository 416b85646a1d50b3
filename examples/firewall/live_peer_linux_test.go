package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/cli"
)

// peerFiles have both firewalls of the FAQ speak to each other.
func peerFiles(address, secret string) map[string]string {
	return map[string]string{
		settingsFile: "[peer]\naddress = \"" + address + "\"\nsecret-file = \"peer.key\"\n",
		"peer.key":   secret + "\n",
	}
}

const peerSecret = "correct horse battery staple"

// peers starts both with a channel, and waits until fw1 is master and each knows it of
// the other.
func (p *pair) peers() (fw1, fw2 *daemon) {
	p.t.Helper()
	p.write("fw1", peerFiles("10.10.10.2", peerSecret))
	p.write("fw2", peerFiles("10.10.10.1", peerSecret))
	_, fw1, fw2 = p.faq()
	p.awaitReport("fw1 knows fw2", "fw1", func(r report) bool { return r.Peer.State == peerUp && r.roles() == "MASTER BACKUP" })
	p.awaitReport("fw2 knows fw1", "fw2", func(r report) bool { return r.Peer.State == peerUp && r.roles() == "BACKUP MASTER" })
	return fw1, fw2
}

// A report is what the tests look at of "status -json".
type report struct {
	Peer  peerReport
	Nodes []seen
}

func (r report) roles() string {
	var all []string
	for _, n := range r.Nodes {
		all = append(all, n.Role)
	}
	return strings.Join(all, " ")
}

func (p *pair) report(host string) (r report) {
	p.t.Helper()
	out := p.do(host, "status -json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	return r
}

func (p *pair) awaitReport(what, host string, ok func(report) bool) {
	p.t.Helper()
	p.await(what, func() bool { return ok(p.report(host)) })
}

// TestPeerStatus: both show both; a host that dies is shown as it was last; and the
// log has a line for each change, however long it lasts.
func TestPeerStatus(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	fw1, fw2 := p.peers()
	if r := p.report("fw1"); len(r.Peer.Differences)+len(r.Peer.Conflicts) > 0 {
		t.Errorf("%+v", r.Peer)
	}
	out := p.do("fw2", "status")
	for _, want := range []string{"peer 10.10.10.1: up since ", " (this host) ", " (10.10.10.1)\n", "BACKUP, preempt, maintenance off", " MASTER, preempt, maintenance off\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if _, out, _ := p.try("fw1", "doctor"); !strings.Contains(out, "ok    peer 10.10.10.2 answered ") {
		t.Errorf("doctor:\n%s", out)
	}

	p.do("fw1", "maintenance on")
	p.awaitReport("fw2 knows of it", "fw2", func(r report) bool { return r.roles() == "MASTER BACKUP" && r.Nodes[1].Maintenance == "on" })
	p.do("fw1", "maintenance off")
	p.awaitReport("and of its end", "fw2", func(r report) bool { return r.roles() == "BACKUP MASTER" })

	fw1.kill()
	p.awaitReport("fw2 misses fw1", "fw2", func(r report) bool {
		return r.Peer.State == peerDown && r.Nodes[0].Role == "MASTER" && r.Nodes[1].Role == "MASTER" && len(r.Peer.Conflicts) == 0
	})
	if out := p.do("fw2", "status"); !strings.Contains(out, "!!! peer 10.10.10.1: it does not answer: ") || !strings.Contains(out, "AS IT WAS") {
		t.Errorf("status:\n%s", out)
	}
	if code, out, _ := p.try("fw2", "doctor"); code != cli.Failure || !strings.Contains(out, "bad   peer 10.10.10.1: it does not answer: ") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
	before := strings.Count(fw2.said(), "\"firewall: the other host\"")
	fw1 = p.start("fw1")
	p.awaitReport("fw1 is back", "fw2", func(r report) bool { return r.Peer.State == peerUp })
	p.settled("fw1")
	if after := strings.Count(fw2.said(), "\"firewall: the other host\""); after != before+1 {
		t.Errorf("%d lines of the log are about one return", after-before)
	}
	fw1.stop()
	fw2.stop()
}

// TestPeerSecret: hosts with different secrets say so, both of them.
func TestPeerSecret(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", peerFiles("10.10.10.2", peerSecret))
	p.write("fw2", peerFiles("10.10.10.1", "another "+peerSecret))
	p.faq()
	for host, other := range map[string]string{"fw1": "10.10.10.2", "fw2": "10.10.10.1"} {
		p.awaitReport(host+" knows", host, func(r report) bool { return r.Peer.State == peerWrong && len(r.Nodes) == 1 })
		if out := p.do(host, "status"); !strings.Contains(out, "!!! peer "+other+": it has another secret (since ") {
			t.Errorf("%s:\n%s", host, out)
		}
	}
	code, _, stderr := p.try("fw1", "drain")
	if code != cli.Failure || !strings.Contains(stderr, "refused, nothing was changed: peer 10.10.10.2: it has another secret") {
		t.Errorf("drain: exit %d, %q", code, stderr)
	}
	for _, host := range []string{"fw1", "fw2"} {
		if out := p.do(host, "why 1000") + p.do(host, "status") + p.do(host, "status -json"); strings.Contains(out, "horse") {
			t.Errorf("%s tells the secret:\n%s", host, out)
		}
	}
}

// TestPeerDiffers: a passphrase that is not the same makes two masters, and both say so
// and why.
func TestPeerDiffers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", peerFiles("10.10.10.2", peerSecret))
	p.write("fw2", peerFiles("10.10.10.1", peerSecret))
	p.write("fw1", faqFiles(t, ""))
	p.write("fw2", faqFiles(t, "advskew 128\n"))
	p.write("fw2", map[string]string{"hostname.carp1": faqFile(t, "hostname.carp1") + "pass somethingelse\nadvskew 128\n"})
	p.start("fw1")
	p.start("fw2")
	for host, other := range map[string]string{"fw1": "10.10.10.2", "fw2": "10.10.10.1"} {
		p.await(host+" says it", func() bool {
			out := p.do(host, "status")
			return strings.Contains(out, "!!! carp1: BOTH HOSTS ARE MASTER of vhid 1\n") &&
				strings.Contains(out, "!!! carp1: the passphrase differs at "+other+"\n") && !strings.Contains(out, "carp2: ")
		})
		if code, out, _ := p.try(host, "doctor"); code != cli.Failure || !strings.Contains(out, "bad   carp1: the passphrase differs at "+other+"\n") {
			t.Errorf("doctor: exit %d\n%s", code, out)
		}
	}
}

// TestPeerDrain: the other host confirms before and after; where it cannot take over,
// nothing is changed, unless that is forced.
func TestPeerDrain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, fw2 := p.peers()
	refused := func(why string) {
		t.Helper()
		code, _, stderr := p.try("fw1", "drain")
		if code != cli.Failure || !strings.Contains(stderr, "refused, nothing was changed: ") || !strings.Contains(stderr, why) {
			t.Errorf("exit %d, %q, want %q", code, stderr, why)
		}
		if s, err := p.status("fw1"); err != nil || s.Role != "MASTER" || s.Maintenance != "off" {
			t.Errorf("%s: something was changed: %+v, %v", why, s, err)
		}
	}
	p.do("fw2", "maintenance on")
	refused("it cannot take over: it is in maintenance")
	p.do("fw2", "maintenance off")
	p.do("fw2", "ifconfig -g carp carpdemote 20")
	refused("carp1 is demoted by 20, and by 0 at the host that asks")
	p.do("fw2", "ifconfig -g carp -carpdemote 20")
	p.do("fw2", "ifconfig carp2 down")
	refused("carp2 is down, or has no link")
	p.do("fw2", "ifconfig carp2 up")
	p.do("fw2", "ifconfig pfsync0 down")
	refused("pfsync0 is not up")
	p.do("fw2", "ifconfig pfsync0 up")
	p.settled("fw1")

	out := p.do("fw1", "drain")
	if !strings.Contains(out, "10.10.10.2 has confirmed that it is master of carp1, carp2\n") {
		t.Errorf("drain: %s", out)
	}
	if got := strings.Join(p.holders(lanAddr), " "); got != "fw2" {
		t.Errorf("%s is on %s", lanAddr, got)
	}
	p.do("fw1", "maintenance off")
	p.settled("fw1")

	fw2.kill()
	refused("peer 10.10.10.2: it does not answer")
	code, out, stderr := p.try("fw1", "drain -force")
	if code != cli.Failure || !strings.Contains(out, "going on regardless: peer 10.10.10.2: it does not answer") || !strings.Contains(stderr, "nobody has taken over from carp1, carp2") {
		t.Errorf("forced: exit %d, %s%s", code, out, stderr)
	}
}

// TestPeerFiles is what a start says of [peer].
func TestPeerFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no such file": {map[string]string{settingsFile: "\n[peer]\nsecret-file = \"peer.key\"\n"},
			`firewall: firewall.toml:3: word "peer.secret-file": expected a file with the secret: stat DIR/peer.key: no such file or directory` + "\n"},
		"a directory": {map[string]string{settingsFile: "[peer]\nsecret-file = \"/\"\n"},
			`firewall: firewall.toml:2: word "peer.secret-file": expected a file with the secret: /: others than its owner may read or write it: chmod 600` + "\n"},
		"short": {map[string]string{settingsFile: "[peer]\nsecret-file = \"peer.key\"\n", "peer.key": "0123456789abcde\n"},
			`firewall: firewall.toml:2: word "peer.secret-file": expected 16 octets or more in peer.key: it has 15` + "\n"},
		"no link": {map[string]string{settingsFile: "[peer]\nsecret-file = \"peer.key\"\n", "peer.key": peerSecret},
			`firewall: firewall.toml:2: word "peer.secret-file": expected a syncdev in hostname.pfsync0 as well: that is the link to the other host` + "\n"},
		"no address": {map[string]string{settingsFile: "[peer]\nsecret-file = \"peer.key\"\n", "peer.key": peerSecret, "hostname.pfsync0": "up syncdev lo\n"},
			`firewall: firewall.toml:2: word "peer.secret-file": expected peer.address as well, or a syncpeer in hostname.pfsync0` + "\n"},
		"address": {map[string]string{settingsFile: "[peer]\naddress = \"224.0.0.1\"\n"},
			`firewall: firewall.toml:2: word "peer.address": expected the address of the other host on the sync link, as "10.0.0.2"` + "\n"},
		"port": {map[string]string{settingsFile: "[peer]\nport = 0\n"},
			`firewall: firewall.toml:2: word "peer.port": expected a TCP port, 1 to 65535` + "\n"},
	} {
		dir := files(t, c.files)
		code, _, stderr := firewall(t, "run", "-n", "-C", dir)
		if code != cli.Usage || stderr != strings.ReplaceAll(c.want, "DIR", dir) {
			t.Errorf("%s: exit %d\n%s", name, code, stderr)
		}
	}
	dir := files(t, peerFiles("10.0.0.2", peerSecret))
	if err := os.Chmod(filepath.Join(dir, "peer.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := firewall(t, "run", "-n", "-C", dir)
	if code != cli.Usage || !strings.Contains(stderr, "peer.key: others than its owner may read or write it: chmod 600\n") {
		t.Errorf("a secret that all may read: exit %d\n%s", code, stderr)
	}
	code, _, stderr = firewall(t, "run", "-n", "-C", files(t, map[string]string{settingsFile: "[peer]\naddress = \"10.0.0.2\"\n"}))
	if code != cli.OK || !strings.Contains(stderr, "[peer] in firewall.toml has no secret-file") {
		t.Errorf("no secret: exit %d, %s", code, stderr)
	}
}
