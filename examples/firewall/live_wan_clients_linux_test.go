package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

// nothingLeft is for after the end of a firewall, however it came to it: no process, no
// file, and an interface as it was, which is down.
func (p *wanPair) nothingLeft(host string) {
	p.t.Helper()
	if all := p.processes(host); len(all) > 0 {
		p.t.Errorf("%s: left: %q", host, all)
	}
	l, err := p.rtnl[host].LinkByName("em2")
	if mac, _ := net.ParseMAC(sharedMAC); err != nil || l.AdminUp || l.MAC == [6]byte(mac) {
		p.t.Errorf("%s: the interface: %+v, %v", host, l, err)
	}
	ns := p.lab.NS(host)
	if out := ns.IP("-o addr show dev em2") + ns.IP("route show dev em2") + ns.IP("-6 route show dev em2"); out != "" {
		p.t.Errorf("%s: left on the interface:\n%s", host, out)
	}
	for key, want := range map[string]string{"accept_ra": "1", "addr_gen_mode": "0"} {
		if got := ns.Sysctl("net.ipv6.conf.em2." + key); got != want {
			p.t.Errorf("%s: %s is %s, and was %s", host, key, got, want)
		}
	}
	left, _ := filepath.Glob(filepath.Join(p.runDir, fmt.Sprintf("em2.%d.*", p.netns(host))))
	if left = slices.DeleteFunc(left, func(name string) bool { return strings.HasSuffix(name, ".lock") }); len(left) > 0 {
		p.t.Errorf("%s: files are left: %v", host, left)
	}
}

// netns is the number of the network namespace of a host.
func (p *wanPair) netns(host string) uint64 {
	p.t.Helper()
	var s unix.Stat_t
	var err error
	p.lab.NS(host).Do(func() { err = unix.Stat("/proc/thread-self/ns/net", &s) })
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Ino
}

// processes are those in the network namespace of a host, by their names.
func (p *wanPair) processes(host string) (all []string) {
	p.t.Helper()
	ns := p.netns(host)
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range paths {
		dir := strings.TrimSuffix(path, "/ns/net")
		if s, err := readProcStat(dir + "/stat"); err != nil || s.ended() {
			continue
		}
		var s unix.Stat_t
		if unix.Stat(path, &s) == nil && s.Ino == ns {
			name, _ := os.ReadFile(dir + "/cmdline")
			all = append(all, strings.ReplaceAll(string(name), "\x00", " "))
		}
	}
	return all
}

// wanIPv6Addr is what the shared hardware address makes of the prefix of the provider.
const wanIPv6Addr = "2001:db8:2::5eff:fe00:5301"

// routerWords have the DHCP server advertise itself as a router, too.
var routerWords = []string{"--enable-ra", "--dhcp-range=2001:db8:2::,ra-only,64"}

// router makes the server one, and has the firewalls forward and look for other holders
// of an address, as hosts do. A router that does not forward would say so when it is
// asked for its hardware address, and be a way out no more.
func (p *wanPair) router() {
	p.lab.NS("server").SetSysctl("net.ipv6.conf.all.forwarding", "1")
	p.lab.NS("server").IP("addr add 2001:db8:2::9/64 dev em2 nodad")
	for _, host := range []string{"fw1", "fw2"} {
		ns := p.lab.NS(host)
		ns.SetSysctl("net.ipv6.conf.all.forwarding", "1")
		ns.SetSysctl("net.ipv6.conf.em2.accept_dad", "1")
	}
}

// read is a file in the directory of a firewall.
func (p *pair) read(host, name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dirs[host], name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// awaitIPv6 waits until a firewall has the address and the way out that the router
// advertises, answers from outside, and the other one has nothing of it.
func (p *wanPair) awaitIPv6(what, host string) {
	p.t.Helper()
	p.awaitHolders(what, wanIPv6Addr, host)
	p.await(what+": IPv6 works on "+host, func() bool {
		_, err := p.lab.NS("server").Try("ping", "-6", "-n", "-c", "1", "-W", "1", wanIPv6Addr)
		return err == nil
	})
	if out := p.lab.NS(host).IP("-6 route show default"); !strings.Contains(out, " dev em2 ") || !strings.Contains(out, " proto ra ") {
		p.t.Errorf("%s: %s has the way out %q", what, host, out)
	}
	other := map[string]string{"fw1": "fw2", "fw2": "fw1"}[host]
	if out := p.lab.NS(other).IP("-6 -o addr show dev em2") + p.lab.NS(other).IP("-6 route show dev em2"); out != "" {
		p.t.Errorf("%s: %s has\n%s", what, other, out)
	}
}

// TestWANIPv6: the master has what the router of the provider advertises, although it
// forwards, and the same on both hosts. The one that is down says nothing, whatever it
// is asked.
func TestWANIPv6(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ping")
	p := newWANPair(t, udhcpcLine, "", routerWords...)
	p.awaitIPv6("at first", "fw1")
	time.Sleep(8 * time.Second) // in which the kernel looks whether the router is still one
	p.awaitIPv6("after a while", "fw1")
	for _, move := range []struct{ command, to string }{{"maintenance on", "fw2"}, {"maintenance off", "fw1"}} {
		begin := time.Now()
		p.do("fw1", move.command)
		p.awaitWAN(move.command, move.to)
		p.awaitIPv6(move.command, move.to)
		t.Logf("%s: IPv6 answers after %v", move.command, time.Since(begin).Round(time.Millisecond))
	}
	p.neverBoth(2)
	p.frames.mu.Lock()
	if p.frames.v6["fw1"] == 0 || p.frames.v6["fw2"] == 0 {
		t.Errorf("frames of IPv6: %v", p.frames.v6)
	}
	p.frames.mu.Unlock()

	// Only the client's address tells that the client works.
	p.lab.NS("fw1").IP("-4 addr flush dev em2")
	p.await("fw1 misses its lease", func() bool { return !p.wan("fw1").Lease.IsValid() })
	p.fw1.kill()
	p.nothingLeft("fw1")
	p.awaitWAN("fw1 is dead", "fw2")
	p.awaitIPv6("fw1 is dead", "fw2")

	// One that is told not to listen does not, and leaves the interface as it is.
	p.write("fw1", map[string]string{settingsFile: p.read("fw1", settingsFile) + "accept-ra = false\n"})
	p.start("fw1")
	p.awaitWAN("fw1 is back", "fw1")
	time.Sleep(3 * time.Second) // in which it would have an address
	if have := p.holders(wanIPv6Addr); len(have) > 0 {
		t.Errorf("an address of a router that nobody listens to is on %v", have)
	}
	if got := p.lab.NS("fw1").Sysctl("net.ipv6.conf.em2.accept_ra"); got != "1" {
		t.Errorf("accept_ra is %s", got)
	}
}

// dhcpcdStart runs dhcpcd with its files, and the list of name servers that its hooks
// write, in a directory of our own: the machine that runs the tests has its own.
const dhcpcdStart = `#!/bin/sh
set -e
state=$1
shift
mkdir -p $state/run $state/lib
[ -e $state/resolv.conf ] || echo '# none yet' >$state/resolv.conf
mount --bind $state/resolv.conf /etc/resolv.conf
mount --bind $state/lib /var/lib/dhcpcd
mount -t tmpfs -o mode=755 none /run
mkdir /run/dhcpcd
mount --bind $state/run /run/dhcpcd
exec "$@"
`

// TestWANDhcpcd is a move with the client that does IPv6, too, which splits into several
// processes under other names, and leaves the user that started it: there and back, and
// after a crash.
func TestWANDhcpcd(t *testing.T) {
	t.Parallel()
	netns.Require(t, "dhcpcd", "unshare", "ping")
	script := filepath.Join(t.TempDir(), "start.sh")
	if err := os.WriteFile(script, []byte(dhcpcdStart), 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	client := append([]string{"unshare", "--mount", script, "SCRIPT.state"}, wanClients["dhcpcd"]...)
	p := newWANPair(t, `client = ["`+strings.Join(client, `", "`)+`"]`, "", append(routerWords, "--dhcp-option=6,"+wanInternet)...)
	pr := p.startProbe()
	p.outage(pr, "at first")
	p.awaitIPv6("at first", "fw1")
	p.do("fw1", "maintenance on")
	p.awaitWAN("there", "fw2")
	there := p.outage(pr, "there")
	p.awaitIPv6("there", "fw2")
	p.do("fw1", "maintenance off")
	p.awaitWAN("back", "fw1")
	t.Logf("outages with dhcpcd: %v, %v", there.Round(time.Millisecond), p.outage(pr, "back").Round(time.Millisecond))
	p.awaitIPv6("back", "fw1")
	p.neverBoth(2)

	p.fw1.kill()
	p.nothingLeft("fw1")
	p.awaitWAN("fw1 is dead", "fw2")
	p.fw1 = p.start("fw1") // files of a client that was killed are in its way, or are not
	p.awaitWAN("fw1 is back", "fw1")
	p.neverBoth(4)
	p.fw1.stop()
	p.nothingLeft("fw1")
	p.awaitWAN("fw1 is stopped", "fw2")

	if log := p.log.String(); strings.Contains(log, "RELEASE") || strings.Contains(log, "no address available") {
		t.Errorf("the DHCP server said:\n%s", log)
	}
	if got := p.read("fw2", "lease.sh.state/resolv.conf"); !strings.Contains(got, "nameserver "+wanInternet) {
		t.Errorf("its hooks wrote %q", got)
	}
	if after, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(after) != string(before) {
		t.Errorf("the name servers of the machine are %q, %v, and were %q", after, err, before)
	}
}
