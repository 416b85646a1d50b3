package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gocarp/gocarp/internal/cli"
)

// disk makes the directory of a firewall a file system of its own.
func (p *pair) disk(host, options string) {
	p.t.Helper()
	dir := p.dirs[host]
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill leaves no room on the file system of dir: no block, and no inode if there are few.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestFullDisk: maintenance that is to last is stored even where a file can be made
// but not written. Where none can be made, it is refused, and nothing changes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.disk("fw1", "size=64k")
	p.disk("fw2", "size=64k,nr_inodes=8") // the root, five files, a socket in a directory that goes
	p.write("fw1", faqFiles(t, ""))
	p.write("fw2", faqFiles(t, "advskew 128\n"))
	p.start("fw1")
	p.start("fw2")
	p.settled("fw1")
	fill(t, p.dirs["fw1"])
	fill(t, p.dirs["fw2"])
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(p.dirs["fw2"], strings.Repeat("x", i+1)), nil, 0o600); err != nil {
			break
		}
	}

	code, _, stderr := p.try("fw2", "maintenance on -persistent")
	if code != cli.Failure || !strings.Contains(stderr, "cannot store the flag, nothing was changed: ") || !strings.Contains(stderr, "no space left") {
		t.Errorf("no room for a file: exit %d, %s", code, stderr)
	}
	if s, err := p.status("fw2"); err != nil || s.Maintenance != "off" || len(s.Demotions) > 0 {
		t.Errorf("no room for a file: %+v, %v", s, err)
	}
	p.do("fw2", "maintenance on") // this one needs none
	p.do("fw2", "maintenance off")

	p.do("fw1", "maintenance on -persistent")
	p.settledDemoted("fw2")
	if s, err := p.status("fw1"); err != nil || s.Maintenance != "persistent" {
		t.Errorf("no room in the file: %+v, %v", s, err)
	}
	p.do("fw1", "maintenance off")
	p.settled("fw1")
}

// TestReadOnlyDisk: a firewall runs from files that it cannot write, and says so when
// it would have to.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.disk("fw1", "size=64k")
	p.write("fw1", faqFiles(t, ""))
	p.start("fw1")
	if err := syscall.Mount("tmpfs", p.dirs["fw1"], "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	p.awaitRole("alone", "fw1", "MASTER")
	code, _, stderr := p.try("fw1", "maintenance on -persistent")
	if code != cli.Failure || !strings.Contains(stderr, "cannot store the flag, nothing was changed: ") || !strings.Contains(stderr, "read-only file system") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	p.do("fw1", "maintenance on")
	if got := p.do("fw1", "reload"); got != "nothing was different\n" {
		t.Errorf("reload: %s", got)
	}
	p.do("fw1", "maintenance off")

	// Another one starts from there, if its socket is elsewhere.
	p.dirs["fw2"] = t.TempDir()
	for _, args := range [][]string{{"-n"}, {"-s", filepath.Join(p.dirs["fw2"], "s"), "-n"}} {
		if code, stdout, stderr := p.exec("fw2", nil, append([]string{"run", "-C", p.dirs["fw1"]}, args...)...); code != cli.OK ||
			!strings.HasSuffix(stdout, "nothing was changed\n") {
			t.Errorf("%q: exit %d, %s", args, code, stderr)
		}
	}
	code, _, stderr = p.exec("fw2", nil, "run", "-C", files(t, faqFiles(t, "")), "-s", filepath.Join(p.dirs["fw1"], "s2"))
	if code != cli.Usage || !strings.Contains(stderr, "read-only file system") {
		t.Errorf("a socket there: exit %d, %s", code, stderr)
	}
}

// TestIPv6Only: hosts without any IPv4 address do all the same.
func TestIPv6Only(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for host, last := range map[string]string{"fw1": "1", "fw2": "2", "client": "9", "server": "9"} {
		ns := p.lab.NS(host)
		ns.IP("-4 addr flush scope global")
		if host != "server" {
			ns.Addr("em0", "2001:db8:a::"+last+"/64")
		}
		if strings.HasPrefix(host, "fw") {
			ns.Addr("em1", "2001:db8:b::"+last+"/64")
		}
	}
	other := map[string]string{"fw1": "2", "fw2": "1"}
	for host, more := range map[string]string{"fw1": "", "fw2": "advskew 128\n"} {
		p.write(host, map[string]string{
			"hostname.carp1":   "inet6 2001:db8:a::100 64 vhid 1 pass lanpasswd\n" + more,
			"hostname.pfsync0": "up syncdev em1 syncpeer 2001:db8:b::" + other[host] + "\n",
			"sysctl.conf":      "net.inet.carp.preempt=1\n",
		})
		p.start(host)
	}
	p.settled("fw1")
	p.awaitHolders("v6", "2001:db8:a::100", "fw1")
	p.lab.NS("client").Run("ping", "-n", "-c", "1", "-W", "5", "2001:db8:a::100")
	p.do("fw1", "maintenance on")
	p.awaitHolders("handed over", "2001:db8:a::100", "fw2")
	s, err := p.status("fw2")
	if err != nil || s.Pfsync == nil || !s.Pfsync.Synced {
		t.Errorf("pfsync: %+v, %v", s.Pfsync, err)
	}
}
