package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/cli"
	"github.com/gocarp/gocarp/internal/netns"
)

// exec runs carpd in the bench's host a to its end.
func (b *bench) exec(attr *syscall.SysProcAttr, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &errs, attr
	var err error
	b.lab.NS("a").Do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// setup is all that carpd could change in a host.
func (b *bench) setup(host string) string {
	b.t.Helper()
	ns := b.lab.NS(host)
	var s strings.Builder
	s.WriteString(ns.IP("-o link") + ns.IP("-o addr") + ns.IP("route"))
	for _, key := range []string{"arp_ignore", "arp_announce", "rp_filter"} {
		for _, scope := range []string{"all", "default", "lan"} {
			s.WriteString(key + " " + scope + " " + ns.Sysctl("net.ipv4.conf."+scope+"."+key) + "\n")
		}
	}
	return s.String()
}

// TestCommand runs the program itself: what a shell sees of it.
func TestCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := b.setup("a")
	good := []string{"-i", "lan", "-vhid", "7", "-pass", "hidden", "-addr", vip4 + "/24", vip6}

	if code, stdout, _ := b.exec(nil, "-h"); code != cli.OK || stdout != usage {
		t.Errorf("-h: exit %d", code)
	}
	if code, _, stderr := b.exec(nil, append(good, "-mac", "any")...); code != cli.Usage || !strings.Contains(stderr, `-mac "any"`) {
		t.Errorf("wrong usage: exit %d, stderr %q", code, stderr)
	}
	if code, _, stderr := b.exec(nil, append(good, "-i", "nonesuch0")...); code != cli.Failure || !strings.Contains(stderr, "nonesuch0") {
		t.Errorf("no interface: exit %d, stderr %q", code, stderr)
	}
	if code, _, stderr := b.exec(nil, append(good, "-i", "lo")...); code != cli.Failure || !strings.Contains(stderr, "Ethernet") {
		t.Errorf("loopback: exit %d, stderr %q", code, stderr)
	}
	for _, mac := range []string{"real", "virtual"} {
		code, stdout, stderr := b.exec(nil, append(good, "-n", "-mac", mac)...)
		if code != cli.OK || stderr != "" || !strings.Contains(stdout, "nothing was changed") {
			t.Errorf("-n -mac %s: exit %d, stdout %q, stderr %q", mac, code, stdout, stderr)
		}
	}

	// Without privileges, each way to need them is named, and -n needs none.
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if code, _, stderr := b.exec(nobody, append(good, "-n")...); code != cli.OK {
		t.Errorf("-n without privileges: exit %d, stderr %q", code, stderr)
	}
	for _, more := range [][]string{nil, {"-mac", "virtual"}, {"-rt", "50"}} {
		code, _, stderr := b.exec(nobody, append(good, more...)...)
		if code != cli.Failure || !strings.Contains(stderr, "CAP_") || !strings.Contains(stderr, "operation not permitted") {
			t.Errorf("%q without privileges: exit %d, stderr %q", more, code, stderr)
		}
		if strings.Contains(stderr, "hidden") {
			t.Errorf("the passphrase is in %q", stderr)
		}
	}
	if after := b.setup("a"); after != before {
		t.Errorf("something has changed, from\n%s\nto\n%s", before, after)
	}
}

// TestSecrets: the passphrase is neither in the list of processes, nor in what a
// script inherits, nor in a log.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"two words":     {"-pass", "dontTell"},
		"one word":      {"-pass=dontTell"},
		"two dashes":    {"--pass=dontTell"},
		"started again": {"-rt", "1", "-pass", "dontTell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			file := filepath.Join(t.TempDir(), "inherited")
			up := script(t, "tr '\\0' '\\n' </proc/$PPID/cmdline >"+file+"; env >>"+file+"; exit 1")
			d := b.start("a", program, append(args, "-i", "lan", "-vhid", "7", "-addr", vip4, "-advbase", "0", "-advskew", "50",
				"-log", "json", "-v", "-up", up)...)
			d.awaitLog(0, "command failed")
			b.carpd("b", "-addr", vip4) // another passphrase, so there is something to log
			d.awaitLog(0, "wrong digest")
			d.status()
			seen := map[string]string{"inherited": strings.Join(readLines(t, file), "\n")}
			for _, name := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), name))
				if err != nil {
					t.Fatal(err)
				}
				seen[name] = string(text)
			}
			if !strings.Contains(seen["cmdline"], "-addr") || !strings.Contains(seen["inherited"], "CARP_VHID") {
				t.Fatalf("not what it should be: %q", seen)
			}
			d.stop()
			for _, l := range d.log(0) {
				seen["log"] += l.Text + "\n"
			}
			for where, text := range seen {
				if strings.Contains(text, "dontTell") {
					t.Errorf("%s has the passphrase:\n%s", where, text)
				}
			}
		})
	}
}

// TestRealTime: with -rt all threads are under SCHED_FIFO.
func TestRealTime(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ps")
	b := newBench(t)
	d := b.carpd("a", "-addr", vip4, "-rt", "3", "-advbase", "0", "-advskew", "10")
	b.awaitHolders("alone", vip4, "a")
	out, err := exec.Command("ps", "-L", "-o", "cls=,rtprio=", "-p", strconv.Itoa(d.cmd.Process.Pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if got := strings.Join(strings.Fields(line), " "); got != "FF 3" {
			t.Errorf("a thread has class and priority %q", got)
		}
	}
	d.stop()
}

// TestUpDown: the scripts see every change, in order, up to the last.
func TestUpDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path, file := record(t)
	x := b.carpd("a", "-addr", vip4, "-up", path, "-down", path)
	x.awaitState("alone", "MASTER")
	y := b.carpd("b", "-addr", vip4, "-advskew", "100")
	y.awaitHeard()
	from := x.mark()
	x.signal(sigStepDown)
	x.awaitLog(from, "INIT -> BACKUP")
	x.awaitHeard()
	x.stop()
	want := []string{
		"7@lan BACKUP: 7 lan BACKUP from INIT, up and running, 1",
		"7@lan MASTER: 7 lan MASTER from BACKUP, master timed out, 2",
		"7@lan INIT: 7 lan INIT from MASTER, handed over, 3",
		"7@lan BACKUP: 7 lan BACKUP from INIT, up and running, 4",
		"7@lan INIT: 7 lan INIT from BACKUP, taken down, 5",
	}
	if diff := cmp.Diff(want, readLines(t, file)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
