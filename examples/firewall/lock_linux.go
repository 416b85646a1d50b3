package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockDir keeps a second firewall from running with the same files, for as long as
// what it returns is open. It writes nothing.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, fmt.Errorf("-C %s: another firewall runs with these files", dir)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("-C %s: lock: %w", dir, err)
	}
	return f, nil
}
