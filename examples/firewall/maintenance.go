package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if err := os.Remove(maintenanceFlag(h.dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
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
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// drainTimeout is how long drain waits for the other host.
const drainTimeout = 15 * time.Second

// drain enters maintenance and waits until nothing is master here. If that does not
// happen in time, because there is nobody else, the host goes on doing its work, in
// maintenance.
func (h *host) drain(ctx context.Context) error {
	h.flush()
	if err := h.enterMaintenance(false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for {
		changed := h.journal.next()
		masters := h.masters()
		if len(masters) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("nobody has taken over from %s: is the other host up, and demoted less?", strings.Join(masters, ", "))
		}
	}
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
