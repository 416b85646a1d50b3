package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/confsync"
)

// tree are the files of a firewall that are synchronised.
func (p *pair) tree(host string) map[string]string {
	p.t.Helper()
	out := make(map[string]string)
	err := fs.WalkDir(os.DirFS(p.dirs[host]), ".", func(name string, d fs.DirEntry, err error) error {
		if _, ok := confsync.SectionOf(name); !ok || err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(p.dirs[host], name))
		out[name] = info.Mode().String() + " " + string(data)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// refused has a firewall do what must not be done, and compares the files of both.
func (p *pair) refused(host, line, want string) {
	p.t.Helper()
	before := []map[string]string{p.tree("fw1"), p.tree("fw2")}
	code, stdout, stderr := p.try(host, line)
	if code == 0 || !strings.Contains(stderr, want) {
		p.t.Errorf("%s# %s: exit %d, %q, %q, want %q", host, line, code, stdout, stderr, want)
	}
	if diff := cmp.Diff(before, []map[string]string{p.tree("fw1"), p.tree("fw2")}); diff != "" {
		p.t.Errorf("%s# %s: something has changed: %s", host, line, diff)
	}
}

func (p *pair) syncStatus(host string) (s syncStatus) {
	p.t.Helper()
	out := p.do(host, "sync status -json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	return s
}

// TestSync: the master's configuration becomes the backup's, but for what is the
// backup's own, and untouched groups do not notice.
func TestSync(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.peers()
	if s := p.syncStatus("fw1"); s.Last != nil || s.Generation != 1 || len(s.Differs) > 0 || s.Error != "" {
		t.Errorf("before: %+v", s)
	}
	begun := p.since("fw2")

	// The master changes: advbase of carp2, and a script. Nothing is different for carp1.
	p.write("fw1", map[string]string{
		"hostname.carp2": "# WAN\ninet 192.0.2.100 255.255.255.0 192.0.2.255 vhid 2 carpdev em2 \\\n\tpass netpasswd advbase 2\n",
		"carp.d/10-wan":  "#!/bin/sh\nexit 0\n",
	})
	p.do("fw1", "reload")
	before := p.tree("fw2")
	out := p.do("fw1", "sync -n")
	for _, want := range []string{
		"hostname.carp2: changed\n", "+# WAN\n", "pass [secret] advbase 2\n", "carp.d/10-wan: added\n", "nothing was changed\n",
		"carp:advskew stays that of ", "pfsync:syncpeer stays that of ", "settings:peer stays that of ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "passwd") || strings.Contains(out, "hostname.carp1") {
		t.Errorf("a secret, or what is the same:\n%s", out)
	}
	if diff := cmp.Diff(before, p.tree("fw2")); diff != "" {
		t.Errorf("-n has changed something: %s", diff)
	}

	// Nothing flows from a backup to a master.
	p.refused("fw2", "sync", "only the master of all carp interfaces pushes its configuration, and this host is BACKUP: carp1 is BACKUP, carp2 is BACKUP")
	p.refused("fw2", "sync -n -reconfigure", "only the master of all carp interfaces")
	p.refused("fw1", "sync nat", `"nat" is no section`)

	// Stored, and not loaded.
	if out := p.do("fw1", "sync"); !strings.Contains(out, "not loaded yet") {
		t.Errorf("sync: %s", out)
	}
	want := p.tree("fw1")
	want["hostname.carp1"] = before["hostname.carp1"] // the same, with its own advskew
	want["hostname.carp2"] += "advskew 128\n"
	want["firewall.toml"] = before["firewall.toml"] // has [peer] only
	if diff := cmp.Diff(want, p.tree("fw2")); diff != "" {
		t.Errorf("stored: %s", diff)
	}
	if out := p.do("fw2", "status"); !strings.Contains(out, notLoaded) {
		t.Errorf("status:\n%s", out)
	}
	if out := p.do("fw2", "ifconfig carp2"); !strings.Contains(out, "advbase 1 advskew 128") {
		t.Errorf("it is loaded: %s", out)
	}
	for _, host := range []string{"fw1", "fw2"} {
		if s := p.syncStatus(host); s.Generation != 1 || s.Loaded != (host == "fw1") || s.Last == nil || s.Last.Result != "ok" || len(s.Differs) > 0 {
			t.Errorf("%s: %+v", host, s)
		}
	}

	// Synchronise and reconfigure all: there is nothing more to store, but to load.
	if out := p.do("fw1", "sync -reconfigure"); !strings.Contains(out, "carp2: advbase") || !strings.Contains(out, "nothing is different") {
		t.Errorf("-reconfigure: %s", out)
	}
	if out := p.do("fw2", "ifconfig carp2"); !strings.Contains(out, "advbase 2 advskew 128") {
		t.Errorf("it is not loaded: %s", out)
	}
	if out := p.do("fw2", "status"); strings.Contains(out, notLoaded) {
		t.Errorf("status:\n%s", out)
	}
	if now := p.since("fw2"); now["carp1"] != begun["carp1"] || now["carp2"] != begun["carp2"] {
		t.Errorf("something flapped: %v, then %v", begun, now)
	}

	// And back, on the backup alone.
	p.do("fw2", "sync -undo -reconfigure")
	if diff := cmp.Diff(before, p.tree("fw2")); diff != "" {
		t.Errorf("-undo: %s", diff)
	}
	if out := p.do("fw2", "ifconfig carp2"); !strings.Contains(out, "advbase 1 advskew 128") {
		t.Errorf("-undo is not loaded: %s", out)
	}
	if s := p.syncStatus("fw1"); !cmp.Equal(s.Differs, []confsync.Section{confsync.Carp, confsync.Hooks}) {
		t.Errorf("after -undo: %+v", s)
	}
}

// TestSyncRefused: what the receiver cannot do or must not take is refused as a whole.
func TestSyncRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.peers()

	// A configuration that is good here, and not there: it names a file that only fw1 has.
	good := p.tree("fw1")["hostname.carp2"]
	p.write("fw1", map[string]string{
		"hostname.carp2": "vhid 2 carpdev em2 passfile wan.pass 192.0.2.100/24\n", "wan.pass": "netpasswd\n", "sysctl.conf": "net.inet.carp.preempt=1\nnet.inet.carp.log=3\n",
	})
	p.do("fw1", "reload")
	p.refused("fw1", "sync", `hostname.carp2:1: word "wan.pass": expected a file with the passphrase`)
	p.refused("fw1", "sync -n -reconfigure", "it would be refused: hostname.carp2:1")
	if s := p.syncStatus("fw2"); !strings.Contains(s.Last.Result, "wan.pass") || !s.Loaded {
		t.Errorf("fw2 does not know: %+v", s)
	}
	// One section of it is good.
	p.do("fw1", "sync -reconfigure sysctl")
	if got := p.do("fw2", "sysctl net.inet.carp.log"); got != "net.inet.carp.log=3\n" {
		t.Error(got)
	}

	// Scripts that everybody may write to.
	p.write("fw1", map[string]string{"hostname.carp2": strings.TrimPrefix(good, "-rw------- "), "carp.d/10-x": "#!/bin/sh\n"})
	script := filepath.Join(p.dirs["fw1"], "carp.d/10-x")
	os.Chmod(script, 0o777)
	p.refused("fw1", "sync", "everybody may write to it")
	os.Remove(script)

	// A command that fails: the files and what runs are as before.
	elsewhere := filepath.Join(t.TempDir(), "dns.conf")
	if err := os.WriteFile(elsewhere, []byte("here\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "dns.conf")
	ran := filepath.Join(t.TempDir(), "ran")
	peer1, peer2 := peerFiles("10.10.10.2", peerSecret)[settingsFile], peerFiles("10.10.10.1", peerSecret)[settingsFile]
	p.write("fw1", map[string]string{settingsFile: peer1 + "[sync.extra]\ndns = [\"" + elsewhere + "\"]\n", "sysctl.conf": "net.inet.carp.preempt=1\nnet.inet.carp.log=4\n"})
	p.write("fw2", map[string]string{settingsFile: peer2 + "[sync.extra]\ndns = [\"" + there + "\", \"false\"]\n"})
	p.refused("fw1", "sync -reconfigure", "extra/dns: false: exit status 1")
	if got := p.do("fw2", "sysctl net.inet.carp.log"); got != "net.inet.carp.log=3\n" {
		t.Errorf("it is loaded: %s", got)
	}
	if _, err := os.Stat(there); err == nil {
		t.Error("the file elsewhere is there")
	}
	p.refused("fw2", "sync -undo", "there is nothing to go back to") // not to what was refused
	p.write("fw2", map[string]string{settingsFile: peer2 + "[sync.extra]\ndns = [\"" + there + "\", \"touch\", \"" + ran + "\"]\n"})
	p.do("fw1", "sync")
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command ran without -reconfigure")
	}
	p.do("fw1", "sync -reconfigure")
	text, err := os.ReadFile(there)
	_, ranErr := os.Stat(ran)
	if string(text) != "here\n" || err != nil || ranErr != nil {
		t.Errorf("the file elsewhere: %q, %v, %v", text, err, ranErr)
	}

	// The receiver is master of something.
	p.do("fw1", "ifconfig carp2 down")
	p.awaitHolders("carp2 is down", wanAddr, "fw2")
	p.refused("fw1", "sync", " is master of carp2: nothing goes to a master")
	p.do("fw1", "ifconfig carp2 up")
	p.awaitHolders("carp2 is up", wanAddr, "fw1")

	// A master that was away while the other one was changed.
	p.do("fw1", "maintenance on")
	p.awaitRole("maintenance", "fw2", "MASTER")
	p.awaitRole("maintenance", "fw1", "BACKUP")
	p.refused("fw1", "sync", "only the master of all carp interfaces")
	for _, log := range []string{"5", "6"} {
		p.write("fw2", map[string]string{"sysctl.conf": "net.inet.carp.preempt=1\nnet.inet.carp.log=" + log + "\n"})
		p.do("fw2", "reload")
	}
	p.do("fw1", "maintenance off")
	p.settled("fw1")
	p.awaitHolders("back", lanAddr, "fw1")
	p.awaitHolders("back", wanAddr, "fw1")
	p.refused("fw1", "sync", "has a newer configuration, of generation ")
}

// TestSyncCutShort: what a killed firewall left of a synchronisation is undone at the
// next start, and not by -n.
func TestSyncCutShort(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.write("fw1", faqFiles(t, ""))
	dir := p.dirs["fw1"]
	path := filepath.Join(dir, "hostname.carp1")
	good := p.tree("fw1")["hostname.carp1"]
	journal, err := json.Marshal(map[string]any{"steps": []map[string]any{{"name": "hostname.carp1", "path": path, "had": true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(dir, ".sync-hostname.carp1.old")); err != nil {
		t.Fatal(err)
	}
	p.write("fw1", map[string]string{".sync/journal": string(journal), "hostname.carp1": "vhid 9 carpdev em0 172.16.0.109/24\n"})

	half := p.tree("fw1")
	if code, _, stderr := p.exec("fw1", nil, "run", "-C", dir, "-n"); code != 0 {
		t.Errorf("-n: exit %d, %s", code, stderr)
	}
	if diff := cmp.Diff(half, p.tree("fw1")); diff != "" {
		t.Errorf("-n has changed something: %s", diff)
	}
	d := p.start("fw1")
	if got := p.tree("fw1")["hostname.carp1"]; got != good {
		t.Errorf("%q, want %q", got, good)
	}
	if got := p.do("fw1", "ifconfig carp1"); !strings.Contains(got, "vhid 1 ") {
		t.Errorf("it runs with something else: %s", got)
	}
	if !strings.Contains(d.said(), "a synchronisation was cut short: all files are those from before it") {
		t.Error("the log does not say so")
	}
}
