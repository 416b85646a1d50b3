//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/internal/labnet"
)

// dirPattern is what the directories of all runs match. Each has a lock, which its run
// holds: one that nobody holds was left by a run that was killed.
const dirPattern = "gocarp-lab-*"

func lockFile(dir string) string { return filepath.Join(dir, "lock") }

// makeDir makes the directory of this run, and what removes it.
func makeDir() (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp("", dirPattern); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(lockFile(dir), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), lock.Close()) }, nil
}

// unlocked is how old a directory without a lock may be: its run is about to make one.
const unlocked = 10 * time.Second

// sweep removes what runs have left that were killed: processes, which keep their
// namespaces alive, and files.
func sweep(log logger) error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		fi, err := os.Lstat(dir)
		if err != nil || !fi.IsDir() || fi.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) || time.Since(fi.ModTime()) < unlocked && !exists(lockFile(dir)) {
			continue
		}
		lock, err := os.OpenFile(lockFile(dir), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue // its run is over just now
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			log.say("sweeping up %s", dir)
			if err = killMarked(dir); err == nil {
				err = os.RemoveAll(dir)
			}
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("sweep %s: %w", dir, err)
		}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// killMarked kills all processes in the namespaces that a run has marked: see
// topology.mark.
func killMarked(dir string) error {
	files, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	var seen []os.FileInfo
	if own, err := os.Stat("/proc/self/ns/net"); err == nil {
		seen = append(seen, own)
	}
	var errs []error
	for _, file := range files {
		fi, err := os.Stat(file)
		if err != nil || contains(seen, fi) {
			continue
		}
		seen = append(seen, fi)
		h, err := labnet.Open(file, file)
		if err != nil {
			continue // it has just ended
		}
		if out, err := h.IP("-o link show dev lo"); err == nil && strings.Contains(out, "alias "+dir+"/") {
			errs = append(errs, h.Kill())
		}
		h.Close()
	}
	return errors.Join(errs...)
}

// contains reports whether one of all is the same file as fi.
func contains(all []os.FileInfo, fi os.FileInfo) bool {
	for _, other := range all {
		if os.SameFile(other, fi) {
			return true
		}
	}
	return false
}
