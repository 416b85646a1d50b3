package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// TestWANMoves: a planned move, five times there and back, ends with the interface on
// the new master. The DHCP server has one lease, and sees one client.
func TestWANMoves(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	pr := p.startProbe()
	p.outage(pr, "at first")
	var outages []time.Duration
	for i := range 5 {
		p.do("fw1", "maintenance on")
		p.awaitWAN(fmt.Sprintf("move %d", i), "fw2")
		outages = append(outages, p.outage(pr, "there").Round(time.Millisecond))
		p.do("fw1", "maintenance off")
		p.awaitWAN(fmt.Sprintf("move %d back", i), "fw1")
		outages = append(outages, p.outage(pr, "back").Round(time.Millisecond))
	}
	p.neverBoth(10)
	t.Logf("outages of planned moves: %v", outages)
	if longest := slices.Max(outages); longest > 10*time.Second {
		t.Errorf("the longest outage was %v", longest)
	}
	if log := p.log.String(); strings.Contains(log, "RELEASE") || strings.Contains(log, "no address available") || strings.Count(log, "DHCPACK(em2) "+wanLease+" "+sharedMAC) < 11 {
		t.Errorf("the DHCP server said:\n%s", log)
	}
	p.await("fw1 knows its lease", func() bool { s := p.wan("fw1"); return s != nil && s.Lease.String() == wanLease+"/24" })
	if s := p.wan("fw1"); !s.Up || s.State != "up" || s.Since.IsZero() || s.Why != "the peer's is down" {
		t.Errorf("status of fw1: %+v", s)
	}
	if s := p.wan("fw2"); s == nil || s.Up || s.State != "down" || s.Lease.IsValid() {
		t.Errorf("status of fw2: %+v", s)
	}
	if code, out, _ := p.try("fw1", "doctor"); !strings.Contains(out, "ok    em2 is up") {
		t.Errorf("doctor: exit %d\n%s", code, out)
	}
}

// wan is what a firewall says of its WAN interface.
func (p *wanPair) wan(host string) *wanStatus {
	p.t.Helper()
	var r struct{ Nodes []struct{ WAN *wanStatus } }
	if err := json.Unmarshal([]byte(p.do(host, "status -json")), &r); err != nil || len(r.Nodes) == 0 {
		p.t.Fatal(err)
	}
	return r.Nodes[0].WAN
}

// TestWANStop: a firewall that is stopped hands over, too, and leaves the interface as
// it was before the start: down, with the hardware address that it had.
func TestWANStop(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	pr := p.startProbe()
	p.outage(pr, "at first")
	p.fw1.stop()
	p.awaitWAN("fw1 is stopped", "fw2")
	t.Logf("outage of a stop: %v", p.outage(pr, "stopped").Round(time.Millisecond))
	if s := p.wan("fw2"); s == nil || s.Why != "the peer's is down" {
		t.Errorf("fw2 was not told: %+v", s)
	}
	mac, _ := net.ParseMAC(sharedMAC)
	if got := p.lab.NS("fw1").MAC("em2"); got == [6]byte(mac) {
		t.Error("fw1 still has the shared hardware address")
	}
	p.start("fw1")
	p.awaitWAN("fw1 is back", "fw1")
	p.neverBoth(2)
	p.fw2.stop()

	// What must be the same on both is compared as long as both run.
	const strange = "02:00:5e:00:53:02"
	p.write("fw2", map[string]string{settingsFile: strings.Replace(p.read("fw2", settingsFile), sharedMAC, strange, 1)})
	p.start("fw2")
	for host, want := range map[string]string{"fw1": sharedMAC + " here, " + strange + " at 10.10.10.2", "fw2": strange + " here, " + sharedMAC + " at 10.10.10.1"} {
		p.await(host+" says that they differ", func() bool { return strings.Contains(p.do(host, "status"), "!!! wan: lladdr is "+want+"\n") })
	}
}

// TestWANKilled: the kernel of a firewall that is killed would go on using the address,
// if there were no guard. The other one takes over after it has heard nothing for some
// time, and the next start finds nothing in its way.
func TestWANKilled(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	pr := p.startProbe()
	p.outage(pr, "at first")
	begin := time.Now()
	p.fw1.kill() // until its guard has ended
	guarded := time.Since(begin)
	if l, err := p.rtnl["fw1"].LinkByName("em2"); err != nil || l.AdminUp {
		t.Errorf("the WAN of a dead firewall: %+v, %v", l, err)
	}
	p.nothingLeft("fw1")
	p.awaitWAN("fw1 is dead", "fw2")
	t.Logf("the guard took %v; outage of a crash: %v", guarded.Round(time.Millisecond), p.outage(pr, "killed").Round(time.Millisecond))
	if s := p.wan("fw2"); s == nil || s.Why != "the peer does not answer" {
		t.Errorf("fw2: %+v", s)
	}
	p.start("fw1")
	p.awaitWAN("fw1 is back", "fw1")
	p.neverBoth(2)
}

// TestWANSweep: a daemon that is killed together with its guard leaves everything. The
// next start ends the client and puts the interface down before anything else. It
// leaves strangers alone, even one that got the number of a client.
func TestWANSweep(t *testing.T) { // not parallel: it changes the environment
	netns.Require(t, "sleep")
	p := newPair(t)
	t.Setenv(runDirEnv, t.TempDir())
	ns := p.lab.NS("fw1")
	old := ns.MAC("em2")
	var files wanFiles
	var err error
	ns.Do(func() { files, err = newWANFiles("em2") })
	if err != nil {
		t.Fatal(err)
	}
	sleeper := func(seconds string) *exec.Cmd {
		cmd := exec.Command("sleep", seconds)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		ns.Start(cmd)
		return cmd
	}
	for _, tt := range []struct {
		name  string
		began string // in the file; empty: as it did
		swept bool
	}{{"the client", "", true}, {"a stranger", "1", false}} {
		t.Run(tt.name, func(t *testing.T) {
			if err := files.storeMAC(old); err != nil {
				t.Fatal(err)
			}
			ns.IP("link set em2 down")
			ns.IP("link set em2 address " + sharedMAC)
			ns.IP("link set em2 up")
			cmd := sleeper("600")
			if err := files.storeClient(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			if tt.began != "" {
				text := fmt.Sprintf("%d 1 %s\n", cmd.Process.Pid, tt.began)
				if err := os.WriteFile(files.client(), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			ns.Do(func() { err = sweepWAN(files, "em2") })
			if err != nil {
				t.Error(err)
			}
			select {
			case <-ended:
				if !tt.swept {
					t.Error("a stranger was killed")
				}
			case <-time.After(200 * time.Millisecond):
				if tt.swept {
					t.Error("the client still runs")
				}
				cmd.Process.Kill()
				<-ended
			}
			if l, err := p.rtnl["fw1"].LinkByName("em2"); err != nil || l.AdminUp || l.MAC != old {
				t.Errorf("the interface: %+v, %v", l, err)
			}
			if have := p.holders("192.0.2.1"); len(have) > 0 {
				t.Errorf("an address is left on %v", have)
			}
			if left, _ := filepath.Glob(files.base + "*"); len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}

// TestWANClientGone: a client that died with the daemon leaves its scripts, which are
// killed. A group of the same number in another session is somebody else's.
func TestWANClientGone(t *testing.T) {
	for name, ours := range map[string]bool{"ours": true, "a stranger's": false} {
		files := wanFiles{filepath.Join(t.TempDir(), "em2")}
		cmd := exec.Command("sh", "-c", "sleep 600 >&- & read x")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		stdin, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		t.Cleanup(func() { syscall.Kill(-pid, syscall.SIGKILL) })
		for len(groupOf(pid)) < 2 {
			time.Sleep(time.Millisecond)
		}
		s, err := procStatOf(pid)
		if err == nil && ours {
			err = files.storeClient(pid)
		} else if err == nil {
			err = os.WriteFile(files.client(), fmt.Appendf(nil, "%d 1 %s\n", pid, s.began), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		stdin.Close()
		cmd.Wait()
		if err := files.killClient(); err != nil {
			t.Error(err)
		}
		if left := len(groupOf(pid)); (left == 0) != ours {
			t.Errorf("%s: %d processes are left", name, left)
		}
	}
}
