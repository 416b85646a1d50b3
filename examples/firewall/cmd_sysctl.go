package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
)

// cmdSysctl is sysctl(8).
func (h *host) cmdSysctl(_ context.Context, args []string, w *control.Writer) error {
	all, err := ifconfig.ParseSysctl(args)
	if err != nil {
		return err
	}
	for _, s := range all {
		if !s.Set {
			fmt.Fprintf(w, "%s=%d\n", s.Name, h.sysctl(s.Name))
			continue
		}
		before := h.sysctl(s.Name)
		if err := h.setSysctl(s); err != nil {
			return err
		}
		fmt.Fprintln(w, ifconfig.SysctlChanged(s.Name, before, h.sysctl(s.Name)))
	}
	return nil
}

// sysctl is the value of a sysctl that [ifconfig.ParseSysctl] knows.
func (h *host) sysctl(name string) int {
	if v, ok := h.view().sysctls.get(name); ok {
		return v
	}
	openbsd := h.settings.pfsyncDialect == pfsync.OpenBSD
	switch {
	case name == sysctlDemotion:
		n, _ := h.groups.Count(demote.Carp) // that group always exists
		return n
	case name == "net.pfsync.defer_delay":
		return 0 // nothing is held back
	case name == "net.pfsync.carp_demotion_factor" && openbsd:
		return 32
	case openbsd:
		return 1
	}
	return 240
}

func (h *host) setSysctl(s ifconfig.Sysctl) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if s.Name == sysctlDemotion {
		return h.adjustDemotion(s.Value)
	}
	to := h.view().sysctls
	if err := to.set(s); err != nil {
		return err
	}
	h.journal.add("command", "sysctl "+s.String())
	return h.setSysctls(to)
}

// maxAdjust is the most that demote.Groups takes at once.
const maxAdjust = 128

// adjustDemotion adds to the demotion of group carp, as FreeBSD's sysctl does.
func (h *host) adjustDemotion(by int) error {
	n, err := h.groups.Count(demote.Carp)
	if err != nil {
		return err
	}
	if n+by < 0 || n+by > 255 {
		return fmt.Errorf("%s: %d and %d is not within 0 and 255", sysctlDemotion, n, by)
	}
	for by != 0 {
		step := max(min(by, maxAdjust), -maxAdjust)
		if err := h.groups.Adjust(demote.Carp, step); err != nil {
			return err
		}
		by -= step
	}
	return nil
}

// setSysctls makes to hold for all that runs. The caller holds changing.
func (h *host) setSysctls(to sysctls) error {
	if h.stopped {
		return errStopped
	}
	n := h.view()
	if to == n.sysctls {
		return nil
	}
	h.set(func(n *running) { n.sysctls = to })
	h.logLevel.Store(int32(to.log))
	m, err := readMachine()
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range n.config.Carp {
		if v := n.vhosts[i.Name]; v != nil && to.preempt != n.sysctls.preempt {
			errs = append(errs, v.update(h.settings.group(i, m, to)))
		}
	}
	for _, d := range n.devices {
		if to.allow != n.sysctls.allow {
			errs = append(errs, d.node.SetAllow(to.allow))
		}
	}
	return errors.Join(errs...)
}
