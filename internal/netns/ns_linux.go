package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An NS is a network namespace. It has no name outside of this process and is
// gone when the test ends, even if the test is killed.
type NS struct {
	Name string

	t  testing.TB
	fd *os.File
}

func newNS(t testing.TB, name string) *NS {
	t.Helper()
	ns := &NS{Name: name, t: t}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns.fd, err = os.Open("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("namespace %s: %v", name, err)
	}
	t.Cleanup(func() { ns.fd.Close() })

	ns.IP("link set lo up")
	for _, scope := range []string{"all", "default"} {
		// Addresses are usable at once. A test about duplicate address detection
		// turns it on again.
		ns.SetSysctl("net.ipv6.conf."+scope+".accept_dad", "0")
	}
	return ns
}

// Do calls fn with the calling goroutine in the namespace: sockets and files of
// /proc/sys/net that fn opens, and processes that it starts, belong there for
// good. Goroutines that fn starts do not run in the namespace. fn may end the
// test with t.Fatal.
func (ns *NS) Do(fn func()) {
	ns.t.Helper()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		ns.t.Fatalf("%s: %v", ns.Name, err)
	}
	defer home.Close()
	if err := unix.Setns(int(ns.fd.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		ns.t.Fatalf("%s: enter namespace: %v", ns.Name, err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			ns.t.Errorf("%s: leave namespace: %v", ns.Name, err)
			return // still locked: nothing else ever runs on this thread
		}
		runtime.UnlockOSThread()
	}()
	fn()
}

// Try runs a command in the namespace and returns what it printed, both
// streams together. The error names the command and has its output.
func (ns *NS) Try(name string, args ...string) (string, error) {
	ns.t.Helper()
	cmd := exec.Command(name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	ns.Do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %s %s: %w\n%s", ns.Name, name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
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
	var err error
	ns.Do(func() { err = cmd.Start() })
	if err != nil {
		ns.t.Fatalf("%s: start %s: %v", ns.Name, cmd.Path, err)
	}
	ns.t.Cleanup(func() {
		if err := cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			cmd.Wait()
		}
	})
}

// Addr adds addresses with their prefix lengths to an interface.
func (ns *NS) Addr(ifname string, prefixes ...string) {
	ns.t.Helper()
	for _, p := range prefixes {
		ns.IP("addr add %s dev %s", p, ifname)
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
	var b []byte
	var err error
	ns.Do(func() { b, err = os.ReadFile(sysctlPath(key)) })
	if err != nil {
		ns.t.Fatalf("%s: %v", ns.Name, err)
	}
	return strings.TrimSpace(string(b))
}

// SetSysctl sets a key to a value.
func (ns *NS) SetSysctl(key, value string) {
	ns.t.Helper()
	var err error
	ns.Do(func() { err = os.WriteFile(sysctlPath(key), []byte(value), 0) })
	if err != nil {
		ns.t.Fatalf("%s: %v", ns.Name, err)
	}
}

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }
