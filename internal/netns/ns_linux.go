package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/labnet"
)

// An NS is a network namespace. It has no name outside of this process and is
// gone when the test ends, even if the test is killed.
type NS struct {
	Name string

	t    testing.TB
	host *labnet.Host
}

// Do calls fn with the calling goroutine in the namespace: sockets and files of
// /proc/sys/net that fn opens, and processes that it starts, belong there for
// good. Goroutines that fn starts do not run in the namespace. fn may end the
// test with t.Fatal.
func (ns *NS) Do(fn func()) {
	ns.t.Helper()
	if err := ns.host.Do(fn); err != nil {
		ns.t.Fatal(err)
	}
}

// Try runs a command in the namespace and returns what it printed, both
// streams together. The error names the command and has its output.
func (ns *NS) Try(name string, args ...string) (string, error) {
	return ns.host.Run(name, args...)
}

// Run is Try for commands that must succeed: if not, the test ends.
func (ns *NS) Run(name string, args ...string) string {
	ns.t.Helper()
	out, err := ns.Try(name, args...)
	if err != nil {
		ns.t.Fatal(err)
	}
	return out
}

// IP runs the ip tool with the words of a formatted line:
//
//	ns.IP("route add default via %s", gateway)
func (ns *NS) IP(format string, args ...any) string {
	ns.t.Helper()
	return ns.Run("ip", strings.Fields(fmt.Sprintf(format, args...))...)
}

// Start starts cmd in the namespace and kills it, if it still runs, when the
// test ends. The caller may wait for it or kill it earlier.
func (ns *NS) Start(cmd *exec.Cmd) {
	ns.t.Helper()
	if err := ns.host.Start(cmd); err != nil {
		ns.t.Fatal(err)
	}
	ns.t.Cleanup(func() {
		if err := cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			cmd.Wait()
		}
	})
}

// Veth makes a cable from an interface here to one in another namespace. Both
// ends are up.
func (ns *NS) Veth(ifname string, peer *NS, peerIfname string) {
	ns.t.Helper()
	if err := ns.host.Veth(ifname, peer.host, peerIfname); err != nil {
		ns.t.Fatal(err)
	}
}

// Addr adds addresses with their prefix lengths to an interface.
func (ns *NS) Addr(ifname string, prefixes ...string) {
	ns.t.Helper()
	if err := ns.host.Addr(ifname, prefixes...); err != nil {
		ns.t.Fatal(err)
	}
}

// MAC is the hardware address of an interface.
func (ns *NS) MAC(ifname string) [6]byte {
	ns.t.Helper()
	var hw [6]byte
	fields := strings.Fields(ns.IP("-br link show dev %s", ifname))
	if len(fields) < 3 {
		ns.t.Fatalf("%s: no hardware address of %s in %q", ns.Name, ifname, fields)
	}
	if n, err := fmt.Sscanf(fields[2], "%x:%x:%x:%x:%x:%x", &hw[0], &hw[1], &hw[2], &hw[3], &hw[4], &hw[5]); n != 6 {
		ns.t.Fatalf("%s: hardware address of %s: %v in %q", ns.Name, ifname, err, fields)
	}
	return hw
}

// Sysctl returns the value of a key such as "net.ipv4.conf.lan.arp_ignore". An
// interface name with a dot in it is not supported.
func (ns *NS) Sysctl(key string) string {
	ns.t.Helper()
	value, err := ns.host.Sysctl(key)
	if err != nil {
		ns.t.Fatal(err)
	}
	return value
}

// SetSysctl sets a key to a value.
func (ns *NS) SetSysctl(key, value string) {
	ns.t.Helper()
	if err := ns.host.SetSysctl(key, value); err != nil {
		ns.t.Fatal(err)
	}
}
