package labnet

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Processes are the ids of the processes in the namespace.
func (h *Host) Processes() ([]int, error) {
	own, err := h.fd.Stat()
	if err != nil {
		return nil, err
	}
	return processesIn(own)
}

// processesIn are the ids of the processes whose network namespace is that file.
func processesIn(ns os.FileInfo) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if fi, err := os.Stat("/proc/" + e.Name() + "/ns/net"); err == nil && os.SameFile(fi, ns) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// endTimeout is how long Kill waits for processes that were killed.
const endTimeout = 5 * time.Second

// Kill kills the processes in the namespace, those that they have started among
// them, and waits until they are gone. Children of this process are for the caller
// to wait for.
func (h *Host) Kill() error {
	own, err := h.fd.Stat()
	if err != nil {
		return err
	}
	if err := killIn(own); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

func killIn(ns os.FileInfo) error {
	for end := time.Now().Add(endTimeout); ; time.Sleep(5 * time.Millisecond) {
		pids, err := processesIn(ns)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		var errs []error
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, fmt.Errorf("kill %d: %w", pid, err))
			}
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
}
