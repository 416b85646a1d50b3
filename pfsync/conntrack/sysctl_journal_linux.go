package conntrack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// A journal has what settings were before they were set here, for a life after one that
// was killed: it finds the values that the former one has set. There is a file for each
// setting, with its value and the boot that it is of.
type journal struct {
	base string // of the names of the files; empty: nothing is noted
}

func (j journal) path(key string) string { return j.base + "." + key }

// note writes down what a setting is, before it is changed.
func (j journal) note(key string, value int) error {
	if j.base == "" {
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	// All of it or nothing. It need not outlive a crash of the machine, as the settings do not.
	next := j.path(key) + ".new"
	if err = os.WriteFile(next, fmt.Appendf(nil, "%d %s\n", value, boot), 0o600); err == nil {
		err = os.Rename(next, j.path(key))
	}
	if err != nil {
		return fmt.Errorf("conntrack: note setting: %w", err)
	}
	return nil
}

// noted is what note has written, if this boot has seen it.
func (j journal) noted(key string) (value int, ok bool, err error) {
	if j.base == "" {
		return 0, false, nil
	}
	b, err := os.ReadFile(j.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("conntrack: read noted setting: %w", err)
	}
	boot, err := bootID()
	if err != nil {
		return 0, false, err
	}
	text, of, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if value, err = strconv.Atoi(text); err != nil {
		return 0, false, fmt.Errorf("conntrack: read noted setting: %s: %w", j.path(key), err)
	}
	return value, of == boot, nil
}

// forget is for after a setting was put back.
func (j journal) forget(key string) error {
	if j.base == "" {
		return nil
	}
	if err := os.Remove(j.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("conntrack: forget setting: %w", err)
	}
	return nil
}

// bootID is another one each time the machine starts.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("conntrack: which boot is this? %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
