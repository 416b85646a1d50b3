package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long another firewall may take to end: the kernel keeps the lock of
// one that was killed until all its sockets are closed.
const (
	lockWait  = 2 * time.Second
	lockAgain = 20 * time.Millisecond
)

// lockDir keeps a second firewall from running with the same files, for as long as
// what it returns is open. It writes nothing.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockAgain) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, fmt.Errorf("-C %s: another firewall runs with these files", dir)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("-C %s: lock: %w", dir, err)
	}
	return f, nil
}
