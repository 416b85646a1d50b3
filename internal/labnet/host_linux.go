package labnet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Host is a network namespace.
type Host struct {
	Name string

	fd *os.File
}

// NewHost makes a namespace with its loopback up and IPv6 duplicate address
// detection off: addresses are usable at once.
func NewHost(name string) (*Host, error) {
	h := &Host{Name: name}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.fd, err = os.Open("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	_, err := h.IP("link set lo up")
	for _, scope := range []string{"all", "default"} {
		if err == nil {
			err = h.SetSysctl("net.ipv6.conf."+scope+".accept_dad", "0")
		}
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Open returns the namespace that a file stands for, as /proc/PID/ns/net does.
func Open(name, file string) (*Host, error) {
	fd, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	return &Host{Name: name, fd: fd}, nil
}

// Close lets the namespace go.
func (h *Host) Close() error { return h.fd.Close() }

// Path is the namespace as a file, for setns(2), nsenter(1) and "ip link set netns".
func (h *Host) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.fd.Fd()) }

// Do calls fn with the calling goroutine in the namespace: sockets and files of
// /proc/sys/net that fn opens, and processes that it starts, belong there for
// good. Goroutines that fn starts do not run in the namespace. fn may end its
// goroutine.
func (h *Host) Do(fn func()) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	defer home.Close()
	if err := unix.Setns(int(h.fd.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("%s: enter namespace: %w", h.Name, err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			return // still locked: nothing else ever runs on this thread
		}
		runtime.UnlockOSThread()
	}()
	fn()
	return nil
}

// Start starts cmd in the namespace.
func (h *Host) Start(cmd *exec.Cmd) error {
	var err error
	if e := h.Do(func() { err = cmd.Start() }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

// Run runs a command in the namespace to its end and returns what it printed, both
// streams together. The error names the command and has its output.
func (h *Host) Run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := h.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %s %s: %w\n%s", h.Name, name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// IP runs the ip tool with the words of a formatted line:
//
//	h.IP("route add default via %s", gateway)
func (h *Host) IP(format string, args ...any) (string, error) {
	return h.Run("ip", strings.Fields(fmt.Sprintf(format, args...))...)
}

// Addr adds addresses with their prefix lengths to an interface.
func (h *Host) Addr(ifname string, prefixes ...string) error {
	for _, p := range prefixes {
		if _, err := h.IP("addr add %s dev %s", p, ifname); err != nil {
			return err
		}
	}
	return nil
}

// Sysctl returns the value of a key such as "net.ipv4.conf.lan.arp_ignore". An
// interface name with a dot in it is not supported.
func (h *Host) Sysctl(key string) (string, error) {
	var b []byte
	var err error
	if e := h.Do(func() { b, err = os.ReadFile(sysctlPath(key)) }); e != nil {
		return "", e
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", h.Name, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// SetSysctl sets a key to a value.
func (h *Host) SetSysctl(key, value string) error {
	var err error
	if e := h.Do(func() { err = os.WriteFile(sysctlPath(key), []byte(value), 0) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }
