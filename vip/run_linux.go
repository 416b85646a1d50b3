package vip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gocarp/gocarp/internal/rtnl"
	"golang.org/x/sys/unix"
)

// repairPause is the least time between two repairs that changes on the machine
// ask for, so that a fight with another program stays a slow one.
const repairPause = 100 * time.Millisecond

// Run renews the lifetimes of the addresses while they are held, repairs what
// was changed behind our back, answers claims of others with announcements, and
// repeats announcements if configured. It returns when ctx is done, with its
// error, and leaves the addresses as they are. Call it once.
func (a *Applier) Run(ctx context.Context) error {
	a.mu.Lock()
	closed := a.closed
	a.mu.Unlock()
	if closed {
		return errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()

	changes := make(chan struct{}, 1)
	claims := make(chan Claim)
	failed := make(chan error, 3)
	helpers.Go(func() {
		failed <- a.watcher.Run(ctx, func(ev rtnl.Event) {
			if a.concerns(ev) {
				select {
				case changes <- struct{}{}:
				default: // one is waiting already
				}
			}
		})
	})
	helpers.Go(func() { failed <- a.arp.run(ctx, claims) })
	helpers.Go(func() { failed <- a.nd.run(ctx, claims) })

	renewals := time.NewTicker(a.cfg.renewal())
	defer renewals.Stop()
	announce := time.NewTimer(time.Hour)
	defer announce.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var listening <-chan struct{} // changes, except during a pause
	fault := false
	for {
		event, mend := AnnounceTimer, false
		lifetimes := keep
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("vip: run: %w", err)
		case <-pause.C:
			listening = changes
			continue
		case <-listening:
			listening, mend = nil, true
			pause.Reset(repairPause)
		case <-renewals.C:
			mend, lifetimes = true, renew
		case c := <-claims:
			if !a.contested(c) {
				continue
			}
			event = AnnounceContested
		case <-announce.C:
		case <-a.wake:
		}
		if mend {
			repaired, err := a.mend(lifetimes)
			if errors.Is(err, errClosed) {
				return err
			}
			fault = a.reportFault(fault, err)
			if repaired {
				event = AnnounceContested
			}
		}
		next := a.announceDue(event)
		if announce.Stop(); !next.IsZero() {
			announce.Reset(time.Until(next))
		}
	}
}

// concerns reports whether an event may mean that something is no longer as it
// should be. Our own changes do not, or each repair would lead to the next.
func (a *Applier) concerns(ev rtnl.Event) bool {
	switch ev.Kind {
	case rtnl.LinkSet, rtnl.LinkGone:
		return ev.Link.Name == a.cfg.Interface || a.cfg.Mode == VirtualMAC && ev.Link.Name == a.cfg.linkName()
	case rtnl.AddrSet:
		return ev.Addr.Proto != addrMark || ev.Addr.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0
	}
	return true
}

// mend is reconcile as Run needs it.
func (a *Applier) mend(lifetimes bool) (repaired bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false, errClosed
	}
	if a.stalled() {
		return false, errStalled
	}
	repaired, err = a.reconcile(lifetimes)
	if repaired {
		a.log.Warn("addresses were missing and have been put back", "interface", a.cfg.Interface)
	}
	if !a.held && errors.Is(err, ErrNoInterface) {
		err = nil // a backup does not need it
	}
	return repaired, err
}

var errStalled = errors.New("the process was stalled for longer than the lifetime of its addresses")

// stalled reports that held addresses have expired because nobody renewed them:
// the process was stopped, or starved. Most likely another node is master by
// now, and its adverts are waiting to be read. So the addresses are not put back
// at once, but at the first renewal after a pause, if they are still held then.
func (a *Applier) stalled() bool {
	now, lifetime := time.Now(), time.Duration(a.cfg.lifetime())*time.Second
	if !a.held || lifetime == 0 {
		return false
	}
	if now.Sub(a.renewed) > lifetime {
		a.distrust = now.Add(a.cfg.renewal() / 2)
		a.renewed = now
	}
	return now.Before(a.distrust)
}

// reportFault tells the embedder of the first failure and of its end.
func (a *Applier) reportFault(before bool, err error) (now bool) {
	now = err != nil
	if now == before {
		return now
	}
	if now {
		err = fmt.Errorf("vip: %w", err)
		a.log.Error("addresses cannot be kept in place", "interface", a.cfg.Interface, "err", err)
	} else {
		a.log.Info("addresses are in place again", "interface", a.cfg.Interface)
	}
	if a.cfg.Fault != nil {
		a.cfg.Fault(err)
	}
	return now
}

// contested reports whether a claim needs an answer, having told the embedder.
func (a *Applier) contested(c Claim) bool {
	a.mu.Lock()
	ours := []HardwareAddr{a.mac(), HardwareAddr(a.base.MAC)}
	concerned := !a.closed && a.held && a.wants(c.Addr) && c.Foreign(ours...)
	a.mu.Unlock()
	if !concerned {
		return false
	}
	a.log.Debug("an address is claimed by another", "address", c.Addr, "mac", c.MAC)
	if a.cfg.Claimed != nil {
		a.cfg.Claimed(c)
	}
	return c.Harmful(ours...)
}

// announceDue steps the announcer and returns its next deadline.
func (a *Applier) announceDue(ev AnnouncerEvent) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return time.Time{}
	}
	next, err := a.announce(ev)
	if err != nil {
		a.log.Warn("announcement failed", "interface", a.cfg.Interface, "err", err)
	}
	return next
}
