package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

// unit is firewall.service with the program that is tested in the place of the
// installed one.
func unit(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("firewall.service")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "/usr/local/sbin/firewall", program)
}

// TestUnit: systemd understands the unit, and finds it well confined.
func TestUnit(t *testing.T) {
	t.Parallel()
	netns.Require(t, "systemd-analyze")
	path := filepath.Join(t.TempDir(), "firewall.service")
	if err := os.WriteFile(path, []byte(unit(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), path) { // a line that it ignores is no failure to it
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// 100 is no confinement at all.
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=35", "--no-pager", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestNotRoot: another user than root will do, with two capabilities and files of its
// own.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	netns.Require(t, "setpriv")
	p := newPair(t)
	p.by = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_admin,+net_raw",
		"--ambient-caps=-all,+net_admin,+net_raw", "--no-new-privs", "--"}
	for host, more := range map[string]string{"fw1": "", "fw2": "advskew 128\n"} {
		all := faqFiles(t, more)
		all[settingsFile] = "mac = \"virtual\"\n"
		p.write(host, all)
		p.lab.NS(host).Run("chown", "-R", "65534:65534", p.dirs[host])
		if err := os.Chmod(filepath.Dir(p.dirs[host]), 0o755); err != nil {
			t.Fatal(err)
		}
		p.start(host)
	}
	p.settled("fw1")
	p.awaitHolders("both run", wanAddr, "fw1")
	p.do("fw1", "maintenance on -persistent")
	p.awaitHolders("handed over", lanAddr, "fw2")
}

// TestUnitCapabilities: the capabilities of the unit are enough for all that the pair
// does, with any address mode.
func TestUnitCapabilities(t *testing.T) {
	t.Parallel()
	netns.Require(t, "setpriv")
	found := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(unit(t))
	if found == nil {
		t.Fatal("the unit has no CapabilityBoundingSet")
	}
	set := "-all"
	for _, c := range strings.Fields(strings.ToLower(found[1])) {
		set += ",+" + strings.TrimPrefix(c, "cap_")
	}
	p := newPair(t)
	const virtual = "mac = \"virtual\"\n[check.server]\nping = \"192.0.2.9\"\ninterval = 1\nrise = 1\n"
	for host, more := range map[string]string{"fw1": "", "fw2": "advskew 128\n"} {
		all := faqFiles(t, more)
		all[settingsFile] = virtual
		p.write(host, all)
		p.by = []string{"setpriv", "--bounding-set=" + set, "--inh-caps=-all", "--no-new-privs", "--"}
		p.start(host)
	}
	p.settled("fw1")
	p.awaitHolders("both run", wanAddr, "fw1")
	p.do("fw1", "maintenance on -persistent")
	p.awaitHolders("handed over", lanAddr, "fw2")
	p.do("fw1", "maintenance off")
	p.settled("fw1")
}
