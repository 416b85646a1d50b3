package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// isUp reports whether the WAN interface of a firewall is up.
func (p *wanPair) isUp(host string) bool {
	p.t.Helper()
	l, err := p.rtnl[host].LinkByName("em2")
	if err != nil {
		p.t.Fatal(err)
	}
	return l.AdminUp
}

// TestWANTwoMasters: with the LAN cut both are masters. As long as they can speak, the
// one that is up stays so, alone.
func TestWANTwoMasters(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	p.lab.Detach("em0", "fw1")
	p.awaitRole("the LAN is cut", "fw2", "MASTER")
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !p.isUp("fw1") || p.isUp("fw2") {
			t.Fatal("the interface has moved")
		}
	}
	if s := p.wan("fw2"); s.State != "waiting" {
		t.Errorf("fw2: %+v", s)
	}
	p.lab.Attach("em0", "fw1")
	p.settled("fw1")
	p.awaitWAN("the LAN is back", "fw1")
	p.neverBoth(0)
}

// TestWANNoChannel: with the sync link cut, the new master waits as long as the old one
// may take.
func TestWANNoChannel(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "wait = 3\n")
	p.lab.NS("fw1").IP("link set em1 down")
	pr := p.startProbe()
	p.outage(pr, "at first")
	p.do("fw1", "maintenance on")
	p.awaitWAN("maintenance", "fw2")
	outage := p.outage(pr, "maintenance")
	t.Logf("outage of a planned move without a channel: %v", outage.Round(time.Millisecond))
	if s := p.wan("fw2"); s.Why != "the peer does not answer" || outage < 3*time.Second-time.Second/4 {
		t.Errorf("fw2: %+v, after %v", s, outage)
	}
	p.lab.NS("fw1").IP("link set em1 up")
	p.do("fw1", "maintenance off")
	p.awaitWAN("the channel is back", "fw1")
	p.neverBoth(2)
}

// TestWANNoPath: without any way between them both are up, which without-peer = "up"
// accepts. As soon as they can speak again one of them is, and when the LAN is back, the
// master.
func TestWANNoPath(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	p.lab.NS("fw1").IP("link set em1 down")
	p.lab.Detach("em0", "fw1")
	p.await("both are up", func() bool { return p.isUp("fw1") && p.isUp("fw2") })
	p.lab.NS("fw1").IP("link set em1 up")
	begin := time.Now()
	p.await("one of them is", func() bool { return p.isUp("fw1") != p.isUp("fw2") })
	t.Logf("the second one was down %v after the channel was back", time.Since(begin).Round(time.Millisecond))
	p.lab.Attach("em0", "fw1")
	p.settled("fw1")
	p.awaitWAN("the LAN is back", "fw1")
}

// TestWANStayDown: a host that must not come up without the peer's word does not.
func TestWANStayDown(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "without-peer = \"stay-down\"\nconfirm = 0\n")
	p.fw1.kill()
	p.awaitRole("fw1 is dead", "fw2", "MASTER")
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if p.isUp("fw2") {
			t.Fatalf("it is up: %+v", p.wan("fw2"))
		}
	}
	// As soon as fw1 runs it says that its interface is down, and fw2 may have a moment.
	p.start("fw1")
	p.awaitWAN("fw1 is back", "fw1")
	if n := p.links.both.Load(); n > 0 {
		t.Errorf("both interfaces were up at %d looks", n)
	}
}

// TestWANMeddling: somebody else brings the interface up, or down, or kills the guard.
func TestWANMeddling(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "")
	p.lab.NS("fw2").IP("link set em2 up")
	p.await("fw2 puts it down again", func() bool { return !p.isUp("fw2") })
	p.lab.NS("fw1").IP("link set em2 down")
	p.lab.NS("fw1").IP("addr flush dev em2")
	p.awaitWAN("fw1 puts it up again", "fw1")

	guards := func() (all []int) {
		found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.fw1.cmd.Process.Pid))
		for _, path := range found {
			b, _ := os.ReadFile(path)
			for word := range strings.FieldsSeq(string(b)) {
				if argv, _ := os.ReadFile("/proc/" + word + "/cmdline"); strings.Contains(string(argv), wanGuardName+"\x00em2") {
					pid, _ := strconv.Atoi(word)
					all = append(all, pid)
				}
			}
		}
		return all
	}
	old := guards()
	if len(old) != 1 {
		t.Fatalf("guards: %v", old)
	}
	if err := syscall.Kill(old[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.await("there is another guard", func() bool {
		now := guards()
		return len(now) == 1 && now[0] != old[0] && strings.Count(p.fw1.said(), "another one takes its place") == 1
	})
	p.awaitWAN("without guard", "fw1")
	time.Sleep(100 * time.Millisecond) // a guard that has just begun has its lock soon
	p.fw1.kill()
	p.awaitWAN("fw1 is dead", "fw2")
}

// TestWANStatic: without a client the address and the way out are ours to set, and the
// neighbours are told where they are.
func TestWANStatic(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, `address = "`+wanLease+`/24"`, `gateway = "`+wanInternet+`"`+"\n")
	pr := p.startProbe()
	p.outage(pr, "at first")
	var outages []time.Duration
	for range 3 {
		p.do("fw1", "maintenance on")
		p.awaitWAN("there", "fw2")
		outages = append(outages, p.outage(pr, "there").Round(time.Millisecond))
		p.do("fw1", "maintenance off")
		p.awaitWAN("back", "fw1")
		outages = append(outages, p.outage(pr, "back").Round(time.Millisecond))
	}
	p.neverBoth(6)
	t.Logf("outages with a fixed address: %v", outages)
	if out := p.lab.NS("fw1").IP("route show default"); !strings.HasPrefix(out, "default via "+wanInternet+" dev em2") {
		t.Errorf("fw1 has %q", out)
	}
	if out := p.lab.NS("fw2").IP("route show default") + p.lab.NS("fw2").IP("addr show dev em2"); strings.Contains(out, wanLease) || strings.Contains(out, "default via") {
		t.Errorf("fw2 has %s", out)
	}
}

// TestWANDhclient is a move with the other client.
func TestWANDhclient(t *testing.T) {
	t.Parallel()
	netns.Require(t, "dhclient")
	script := filepath.Join(t.TempDir(), "lease.sh")
	err := os.WriteFile(script, []byte(`#!/bin/sh
case $reason in
PREINIT) ip link set $interface up ;;
BOUND|RENEW|REBIND|REBOOT)
	ip addr replace $new_ip_address/24 dev $interface
	ip route replace default via $new_routers dev $interface ;;
EXPIRE|FAIL|RELEASE|STOP) ip -4 addr flush dev $interface ;;
esac
`), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	client := append(slices.Clone(wanClients["dhclient"]), "-sf", script, "-lf", "SCRIPT.leases")
	p := newWANPair(t, `client = ["`+strings.Join(client, `", "`)+`"]`, "")
	pr := p.startProbe()
	p.outage(pr, "at first")
	p.do("fw1", "maintenance on")
	p.awaitWAN("there", "fw2")
	there := p.outage(pr, "there")
	p.do("fw1", "maintenance off")
	p.awaitWAN("back", "fw1")
	t.Logf("outages with dhclient: %v, %v", there.Round(time.Millisecond), p.outage(pr, "back").Round(time.Millisecond))
	p.neverBoth(2)
	if log := p.log.String(); strings.Contains(log, "RELEASE") {
		t.Errorf("the lease was released:\n%s", log)
	}
	p.fw1.kill()
	p.nothingLeft("fw1")
	p.awaitWAN("fw1 is dead", "fw2")
	p.fw2.stop()
	p.nothingLeft("fw2")
}

// TestWANDemotes: a master whose WAN leads nowhere gives way to the other one.
func TestWANDemotes(t *testing.T) {
	t.Parallel()
	p := newWANPair(t, udhcpcLine, "demote = 100\n")
	p.lab.Detach("em2", "fw1") // it has its lease, and does not notice
	p.fw1.stop()
	p.awaitWAN("fw1 is stopped", "fw2")
	p.start("fw1")
	p.awaitRole("fw1 is back", "fw1", "MASTER")
	p.await("fw1 is demoted", func() bool {
		s, err := p.status("fw1")
		return err == nil && slices.Equal(s.Demotions, []demotionStatus{{"carp", "host", "wan", 100}})
	})
	p.awaitWAN("fw1 gets no lease", "fw2")
}
