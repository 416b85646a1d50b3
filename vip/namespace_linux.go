package vip

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a network namespace to come back to.
type namespace struct {
	file *os.File
	id   [2]uint64 // device and inode
}

// currentNamespace is that of the calling thread.
func currentNamespace() (*namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	return &namespace{file: f, id: [2]uint64{uint64(st.Dev), st.Ino}}, nil
}

func (ns *namespace) Close() { ns.file.Close() }

// do calls fn in the namespace. That takes CAP_SYS_ADMIN, unless the process is
// in that namespace anyway.
func (ns *namespace) do(fn func() error) error {
	runtime.LockOSThread()
	unlock := true
	defer func() {
		if unlock {
			runtime.UnlockOSThread()
		}
	}()
	home, err := currentNamespace()
	if err != nil {
		return err
	}
	defer home.Close()
	if home.id == ns.id {
		return fn()
	}
	if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	err = fn()
	if back := unix.Setns(int(home.file.Fd()), unix.CLONE_NEWNET); back != nil {
		unlock = false // the thread ends with the goroutine and serves no other
		return fmt.Errorf("leave network namespace: %w", back)
	}
	return err
}
