package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wanFiles are where we write down what we have changed about a WAN interface, for
// whoever cleans up after us. Their names have the interface and its network namespace.
type wanFiles struct {
	base string
}

// newWANFiles makes the directory.
func newWANFiles(ifname string) (wanFiles, error) {
	base, err := runFiles(ifname)
	return wanFiles{base}, err
}

func (f wanFiles) lock() string   { return f.base + ".lock" }
func (f wanFiles) mac() string    { return f.base + ".lladdr" }
func (f wanFiles) client() string { return f.base + ".client" }

// storeMAC writes down what the hardware address was, before we change it. What is
// there already is older, and right.
func (f wanFiles) storeMAC(mac [6]byte) error {
	if _, err := os.Stat(f.mac()); err == nil {
		return nil
	}
	return os.WriteFile(f.mac(), []byte(net.HardwareAddr(mac[:]).String()+"\n"), 0o600)
}

// loadMAC reads it, if we have changed it.
func (f wanFiles) loadMAC() (mac [6]byte, ok bool, err error) {
	b, err := os.ReadFile(f.mac())
	if errors.Is(err, os.ErrNotExist) {
		return mac, false, nil
	}
	if err != nil {
		return mac, false, err
	}
	hw, err := net.ParseMAC(strings.TrimSpace(string(b)))
	if err != nil || len(hw) != len(mac) {
		return mac, false, fmt.Errorf("%s has no hardware address", f.mac())
	}
	return [6]byte(hw), true, nil
}

// forgetMAC is for after it was restored.
func (f wanFiles) forgetMAC() error { return os.Remove(f.mac()) }

// storeClient writes down which process is the client, and its command line.
func (f wanFiles) storeClient(pid int, argv []string) error {
	return os.WriteFile(f.client(), fmt.Appendf(nil, "%d\n%s\x00", pid, strings.Join(argv, "\x00")), 0o600)
}

// forgetClient is for after it has ended.
func (f wanFiles) forgetClient() { os.Remove(f.client()) }

// killClient kills the client that was left running, with its scripts: the process of
// the number that we have written down, if it has the same command line. Anybody else
// who got that number meanwhile is left alone.
func (f wanFiles) killClient() error {
	b, err := os.ReadFile(f.client())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.forgetClient()
	number, argv, _ := bytes.Cut(b, []byte("\n"))
	pid, err := strconv.Atoi(string(number))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s has no process number", f.client())
	}
	have, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Equal(have, argv) {
		return nil // it has ended
	}
	return killGroup(pid)
}

// killGroupTimeout is how long killed processes may take to be gone.
const killGroupTimeout = 2 * time.Second

// killGroup kills a process with all that it has started, and waits until none of them
// can do anything any more.
func killGroup(pid int) error {
	for end := time.Now().Add(killGroupTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		err := syscall.Kill(-pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) || err == nil && !groupLives(pid) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("kill the client, process %d: %w", pid, err)
		}
	}
	return fmt.Errorf("the client, process %d, does not end", pid)
}

// groupLives reports whether a process group has more than zombies, which are there
// until somebody asks for them: not every first process of a container does.
func groupLives(pgid int) bool {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return true
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid pgrp: see proc_pid_stat(5). The name may have anything in it.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(pgid) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}
