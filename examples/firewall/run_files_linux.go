package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// runDir is for files that a restart of the machine may lose: what we have changed,
	// for whoever cleans up after us. It is not the one that a service manager makes for
	// us: that is emptied when we are killed, which is what they are for.
	runDir = "/run/gocarp-firewall"

	// runDirEnv is an environment variable with another one: tests leave /run alone.
	runDirEnv = "GOCARP_RUN_DIR"
)

// runFiles makes the directory, and returns what the names of files about something in
// this network namespace begin with.
func runFiles(about string) (base string, err error) {
	dir := cmp.Or(os.Getenv(runDirEnv), runDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		return "", fmt.Errorf("which network namespace is this? %w", err)
	}
	return filepath.Join(dir, fmt.Sprintf("%s.%d", about, ns.Ino)), nil
}
