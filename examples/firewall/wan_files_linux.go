package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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
func (f wanFiles) ipv6() string   { return f.base + ".ipv6" }

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

// storeClient writes down which process is the client: its number, its session and when
// it began. Its command line would not do: some clients change their own.
func (f wanFiles) storeClient(pid int) error {
	s, err := procStatOf(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(f.client(), fmt.Appendf(nil, "%d %s %s\n", pid, s.session, s.began), 0o600)
}

// forgetClient is for after it has ended.
func (f wanFiles) forgetClient() { os.Remove(f.client()) }

// killClient kills the client that was left running, with what it has started: the
// process of the number that we have written down, if it began when that did, or what
// is left of its group. Anybody else who got that number meanwhile is left alone.
func (f wanFiles) killClient() error {
	b, err := os.ReadFile(f.client())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.forgetClient()
	var pid int
	var session, began string
	if _, err := fmt.Sscan(string(b), &pid, &session, &began); err != nil || pid <= 1 {
		return fmt.Errorf("%s does not name a process", f.client())
	}
	s, err := procStatOf(pid)
	switch {
	case err == nil && s.began != began:
		return nil // somebody else
	case err != nil && !slices.ContainsFunc(groupOf(pid), func(m procStat) bool { return m.session == session }):
		return nil // all of it has ended
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
		if errors.Is(err, syscall.ESRCH) || err == nil && len(groupOf(pid)) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("kill the client, process %d: %w", pid, err)
		}
	}
	return fmt.Errorf("the client, process %d, does not end", pid)
}

// A procStat is a part of what /proc says of a process: see proc_pid_stat(5).
type procStat struct {
	state, group, session string
	began                 string // in ticks since the machine was started
}

// ended reports whether it is a zombie, which is there until somebody asks for it: not
// every first process of a container does.
func (s procStat) ended() bool { return s.state == "Z" || s.state == "X" }

func procStatOf(pid int) (procStat, error) { return readProcStat(fmt.Sprintf("/proc/%d/stat", pid)) }

func readProcStat(path string) (procStat, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return procStat{}, err
	}
	// pid (name) state ppid pgrp session ... The name may have anything in it.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("%s is too short", path)
	}
	return procStat{state: fields[0], group: fields[2], session: fields[3], began: fields[19]}, nil
}

// groupOf is a process group, without those that have ended.
func groupOf(pgid int) (all []procStat) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // fails with a bad pattern only
	for _, path := range paths {
		if s, err := readProcStat(path); err == nil && s.group == strconv.Itoa(pgid) && !s.ended() {
			all = append(all, s)
		}
	}
	return all
}
