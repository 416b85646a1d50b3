package vip

import (
	"errors"
	"fmt"
	"time"
)

// Silence is Yield for the moment in which a successor has the addresses already.
// They stay, and what comes in for them is answered, but nobody is told of it: no
// frame leaves from the shared hardware address, which would turn a switch round,
// and nobody who asks where the addresses are, by ARP or neighbour solicitation, is
// answered. Answers leave from the interface's own hardware address, as they do
// anyway; with VirtualMAC and KeepPrefixLen, those that leave by the macvlan are
// lost. With RealMAC there is nothing to hide, and Silence is Yield.
//
// It holds until Release or the next Acquire. If it fails, Release is due at once.
// VirtualMAC needs a kernel with queueing disciplines (CONFIG_NET_SCHED) for it.
func (a *Applier) Silence() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.announcer.Step(time.Now(), AnnounceStop)
	switch {
	case a.closed:
		return errClosed
	case !a.held:
		return errors.New("vip: silence: the addresses are not held")
	}
	a.silent = true
	if err := a.voice(); err != nil {
		return fmt.Errorf("vip: silence: %w", err)
	}
	return nil
}

// voice has frames leave from the shared hardware address, or not, as it shall be.
func (a *Applier) voice() error {
	switch a.cfg.Mode {
	case VirtualMAC:
		quiet := a.held && a.silent
		if a.target.Blackhole == quiet {
			return nil
		}
		if err := a.nl.SetBlackhole(a.target.Index, quiet); err != nil {
			return err
		}
		a.target.Blackhole = quiet
	case RewrittenMAC:
		role := roleIdle
		switch {
		case a.held && a.silent:
			role = roleSilent
		case a.held:
			role = roleOwner
		}
		return a.rewriter.set(role)
	}
	return nil
}
