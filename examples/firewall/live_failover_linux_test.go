package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
)

// TestKill: a firewall is killed, the other one takes over, and the next start puts
// right what was left.
func TestKill(t *testing.T) {
	t.Parallel()
	p, fw1, _ := newPair(t).faq()
	fw1.kill()
	p.awaitHolders("fw1 is dead", lanAddr, "fw2")
	p.awaitHolders("fw1 is dead", wanAddr, "fw2")
	if _, err := os.Lstat(p.socket("fw1")); err != nil {
		t.Errorf("the socket of the dead one, which is to be replaced: %v", err)
	}
	if code, _, stderr := p.try("fw1", "status"); code != cli.Failure || !strings.Contains(stderr, "nobody listens") {
		t.Errorf("asking the dead one: exit %d, %q", code, stderr)
	}
	p.start("fw1")
	p.settled("fw1")
	p.awaitHolders("fw1 is back", lanAddr, "fw1")
	p.awaitHolders("fw1 is back", wanAddr, "fw1")
}

// TestKilledAtOnce: nothing of a firewall that was killed while it was master keeps it
// from starting, although its addresses are still there.
func TestKilledAtOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, mac := range []string{"real", "virtual", "rewritten"} {
		p.write("fw1", faqFiles(t, ""))
		p.write("fw1", map[string]string{settingsFile: fmt.Sprintf("mac = %q\n", mac)})
		before := p.setup("fw1")
		for range 2 {
			d := p.start("fw1")
			p.awaitHolders(mac, lanAddr, "fw1")
			d.kill()
		}
		p.start("fw1").stop()
		if diff := cmp.Diff(before, p.setup("fw1")); diff != "" {
			t.Errorf("mac %s: left behind: %s", mac, diff)
		}
	}
}

// TestMaintenance: the other one takes over, and back; a flag lasts longer than the
// program; and leaving works after a crash, too.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	p, fw1, _ := newPair(t).faq()
	maintenanceIs := func(want string) {
		t.Helper()
		if s, err := p.status("fw1"); err != nil || s.Maintenance != want {
			t.Errorf("maintenance is %q, %v, want %q", s.Maintenance, err, want)
		}
	}
	maintenanceIs("off")
	p.do("fw1", "maintenance on")
	maintenanceIs("on")
	p.awaitHolders("maintenance", lanAddr, "fw2")
	p.awaitHolders("maintenance", wanAddr, "fw2")
	if got := p.do("fw1", "ifconfig -g carp"); got != "carp: carp demote count 240\n" {
		t.Errorf("group carp: %s", got)
	}
	if got := p.do("fw1", "status"); !strings.Contains(got, "demoted: group carp by 240: host, maintenance\n") {
		t.Errorf("status does not name it:\n%s", got)
	}
	p.do("fw1", "maintenance off")
	maintenanceIs("off")
	p.settled("fw1")

	p.do("fw1", "maintenance on -persistent")
	maintenanceIs("persistent")
	p.awaitHolders("persistent", lanAddr, "fw2")
	fw1.kill()
	fw1 = p.start("fw1")
	maintenanceIs("persistent")
	p.await("fw1 takes part again, demoted by nothing else", func() bool {
		s, err := p.status("fw1")
		return err == nil && s.Role == "BACKUP" &&
			slices.Equal(s.Demotions, []demotionStatus{{"carp", "host", "maintenance", 240}})
	})
	p.awaitHolders("after a crash", lanAddr, "fw2")
	p.do("fw1", "maintenance off")
	p.do("fw1", "maintenance off") // once more does no harm
	p.settled("fw1")
	fw1.kill()
	p.start("fw1")
	maintenanceIs("off")

	// A flag that cannot be stored has no effect.
	if err := os.MkdirAll(filepath.Join(maintenanceFlag(p.dirs["fw1"]), "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := p.try("fw1", "maintenance on -persistent"); code != cli.Failure || !strings.Contains(stderr, "cannot store the flag, nothing was changed") {
		t.Errorf("no place for the flag: exit %d, %q", code, stderr)
	}
	p.do("fw1", "maintenance on")
	if code, _, stderr := p.try("fw1", "maintenance off"); code != cli.Failure || !strings.Contains(stderr, "it is over, but comes back") {
		t.Errorf("a flag that stays: exit %d, %q", code, stderr)
	}
	if got := p.do("fw1", "ifconfig -g carp"); strings.Contains(got, "count 240") {
		t.Errorf("it is not over: %s", got)
	}
}

// TestDrain waits until the other one has taken over, and says so if there is none.
func TestDrain(t *testing.T) {
	t.Parallel()
	p, _, fw2 := newPair(t).faq()
	out := p.do("fw1", "drain")
	if !strings.Contains(out, "nothing is master here any more") || len(p.holders(lanAddr)) != 1 || p.holders(lanAddr)[0] != "fw2" {
		t.Errorf("%q, %s is on %v", out, lanAddr, p.holders(lanAddr))
	}
	fw2.kill()
	p.awaitHolders("the last choice", lanAddr, "fw1")
	code, _, stderr := p.try("fw1", "drain")
	if code != cli.Failure || !strings.Contains(stderr, "nobody has taken over from carp1, carp2") {
		t.Errorf("alone: exit %d, %q", code, stderr)
	}
	p.awaitHolders("it goes on", lanAddr, "fw1")
}

// TestLink: when one link of a firewall is lost, all of its carp interfaces move; and
// come back if net.inet.carp.preempt says so.
func TestLink(t *testing.T) {
	t.Parallel()
	p, _, _ := newPair(t).faq()
	p.do("fw1", "sysctl net.inet.carp.preempt=0")
	p.lab.Carrier("em0", "fw1", false)
	p.awaitHolders("cable out", lanAddr, "fw2")
	p.awaitHolders("cable out", wanAddr, "fw2")
	if why := p.do("fw1", "why"); !strings.Contains(why, "demotion: carp1 demoted group carp by 1 to 1 (link 1@em0)") {
		t.Errorf("it does not say why:\n%s", why)
	}
	p.lab.Carrier("em0", "fw1", true)
	p.settled("fw2")
	time.Sleep(3 * time.Second) // in which it would take over
	p.settled("fw2")
	p.do("fw1", "sysctl net.inet.carp.preempt=1")
	p.settled("fw1")
}

// TestWrongPassphrase: a peer with another passphrase is a line of the status.
func TestWrongPassphrase(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	p.write("fw2", faqFiles(t, "pass somethingelse\n"))
	p.start("fw1")
	p.start("fw2")
	want := "packets, the last of 172.16.0.2"
	p.await("fw1 says whom it refuses", func() bool {
		out := p.do("fw1", "status")
		return strings.Contains(out, want) && strings.Contains(out, "wrong digest: check passphrase, vhid and addresses")
	})
	if out := p.do("fw1", "netstat -s -p carp"); strings.Contains(out, "\t\t0 discarded for bad authentication\n") {
		t.Errorf("it is not counted:\n%s", out)
	}
}

// calls are the lines of the file that a hook writes.
func (p *pair) calls(host string) []string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dirs[host], "calls"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(data)))
}

// TestHooks: scripts are told of every state, the last one among them; and one that
// fails demotes, and gives the other firewall the work for good.
func TestHooks(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	script := func(host, then string) map[string]string {
		return map[string]string{
			"carp.d/10-wan": "#!/bin/sh\necho \"$1 $2 $CARP_PREV\" >>" + filepath.Join(p.dirs[host], "calls") + "\n" + then,
			settingsFile:    "[hooks]\ndemote = 20\n",
		}
	}
	p.write("fw1", script("fw1", "[ $1 != 1@em0 ] || [ $2 != MASTER ] || { echo no lease; exit 3; }\n"))
	p.write("fw2", script("fw2", ""))
	p.write("fw1", faqFiles(t, ""))
	p.write("fw2", faqFiles(t, "advskew 128\n"))
	fw1, fw2 := p.start("fw1"), p.start("fw2")
	p.await("the hook of fw1 has failed", func() bool {
		return strings.Contains(p.do("fw1", "why"), "hook: 10-wan for 1@em0 MASTER failed: exit status 3")
	})
	p.awaitHolders("fw1 cannot do it", lanAddr, "fw2")
	p.awaitHolders("fw1 cannot do it", wanAddr, "fw2")
	p.await("the hook of fw1 was called again", func() bool { return slices.Contains(p.calls("fw1"), "1@em0 BACKUP MASTER\n") })
	time.Sleep(3 * time.Second) // in which it would take over again
	if got := p.holders(lanAddr); !slices.Equal(got, []string{"fw2"}) {
		t.Errorf("%s is on %v", lanAddr, got)
	}
	if got := p.do("fw1", "status"); !strings.Contains(got, "demoted: group carp by 20: carp1, hook 10-wan\n") {
		t.Errorf("the status does not say why:\n%s", got)
	}
	if !strings.Contains(fw1.said(), "no lease") {
		t.Error("the log has not what the script said")
	}

	p.write("fw1", script("fw1", ""))
	p.do("fw1", "reload")
	p.settled("fw1")
	fw2.stop()
	calls := p.calls("fw2")
	for _, subject := range []string{"1@em0", "2@em2"} {
		last := ""
		for _, c := range calls {
			if strings.HasPrefix(c, subject) {
				last = c
			}
		}
		if !strings.HasPrefix(last, subject+" INIT ") {
			t.Errorf("the last that fw2's hook was told is %q, of %q", last, calls)
		}
	}
}
