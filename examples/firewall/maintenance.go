package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// Maintenance is a demotion of the whole host, as in OPNsense: it goes on taking
// part, as the last choice, so that another host takes over while this one still
// forwards, and takes back if that one fails.
const (
	maintenance       = "maintenance"
	maintenanceDemote = 240 // FreeBSD's largest advskew
)

// maintenanceFlag is the file that makes the host start in maintenance.
func maintenanceFlag(dir string) string { return filepath.Join(dir, "maintenance") }

// enterMaintenance demotes the host. What has to last is stored first: a host that
// is turned off in the middle must not come back as if nothing had been said.
func (h *host) enterMaintenance(persistent bool) error {
	if persistent {
		if err := storeFlag(maintenanceFlag(h.dir)); err != nil {
			return fmt.Errorf("cannot store the flag, nothing was changed: %w", err)
		}
	}
	h.self.Set(maintenance, maintenanceDemote)
	return nil
}

// leaveMaintenance takes the demotion back. That works even if the flag cannot be
// removed, which is an error all the same.
func (h *host) leaveMaintenance() error {
	h.self.Set(maintenance, 0)
	flag := maintenanceFlag(h.dir)
	if _, err := os.Lstat(flag); errors.Is(err, os.ErrNotExist) {
		return nil // a file system that is read-only would refuse to remove even nothing
	}
	if err := os.Remove(flag); err != nil {
		return fmt.Errorf("it is over, but comes back at the next start: %w", err)
	}
	return nil
}

// inMaintenance reports whether the host is, and whether it would be after a start.
func (h *host) inMaintenance() (on, persistent bool) {
	for _, c := range h.self.Causes() {
		on = on || c.Interface == selfName && c.Name == maintenance
	}
	_, err := os.Lstat(maintenanceFlag(h.dir))
	return on, err == nil
}

// storeFlag makes a file that is there after a power failure.
func storeFlag(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	fmt.Fprintf(f, "firewall maintenance on -persistent, %s\n", time.Now().Format(time.RFC3339))
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// masters are the carp interfaces that are MASTER, or still hold their addresses.
func (h *host) masters() []string {
	var names []string
	n := h.view()
	for _, name := range slices.Sorted(maps.Keys(n.vhosts)) {
		if s := n.vhosts[name].status(); s.State == carp.Master || s.Held {
			names = append(names, name)
		}
	}
	return names
}
