package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Acquire puts all addresses on. If one cannot be put on, none stays: the error
// says which and why, and matches [ErrForeign] or [ErrNoInterface] for those
// reasons. Acquiring what is held already puts right what is missing.
//
// The addresses stay for Config.Lifetime, unless Run is running and renews them.
func (a *Applier) Acquire(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(ctx); err != nil {
		return err
	}
	a.held, a.silent, a.distrust = true, false, time.Time{}
	if _, err := a.reconcile(renew); err != nil {
		return fmt.Errorf("vip: acquire: %w", errors.Join(err, a.letGo()))
	}
	if err := a.awaitDelivery(ctx); err != nil {
		return fmt.Errorf("vip: acquire: %w", errors.Join(err, a.letGo()))
	}
	return nil
}

// deliveryTimeout bounds the wait for a kernel worker, which takes 0.1 to 20 ms,
// and longer while others configure interfaces (rtnl_lock).
const deliveryTimeout = 250 * time.Millisecond

// awaitDelivery waits until the kernel takes in what is sent to the addresses, so
// that nobody is told of them before. Slower ones are left to themselves.
func (a *Applier) awaitDelivery(ctx context.Context) error {
	deadline := time.Now().Add(deliveryTimeout)
	for _, p := range a.want {
		for p.Addr().Is6() && time.Now().Before(deadline) {
			ok, err := a.nl.Delivers(p.Addr())
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			if ok {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	return nil
}

// Announce tells the neighbours where the addresses are: for each IPv4 address
// a gratuitous ARP request and, unless RequestsOnly, a reply; for each IPv6
// address an unsolicited neighbour advertisement. The addresses must be held.
func (a *Applier) Announce(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(ctx); err != nil {
		return err
	}
	if !a.held || a.silent {
		return errors.New("vip: announce: the addresses are not held, or a successor has them")
	}
	_, err := a.announce(AnnounceNow)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	if err != nil {
		return fmt.Errorf("vip: announce: %w", err)
	}
	return nil
}

// Release takes all addresses off. If that fails for one, the others go all the
// same and Run tries again. It does not wait for anything, and so it is done
// even if the context is done.
func (a *Applier) Release(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	if err := a.letGo(); err != nil {
		return fmt.Errorf("vip: release: %w", err)
	}
	return nil
}

// Yield ends the announcements and the answers to the claims of others, until the
// next Announce: a successor has the addresses, or will have, and Release follows.
func (a *Applier) Yield() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.announcer.Step(time.Now(), AnnounceStop)
}

// letGo takes all addresses off. An interface that does not exist has none.
func (a *Applier) letGo() error {
	a.held, a.silent = false, false
	a.announcer.Step(time.Now(), AnnounceStop)
	_, err := a.reconcile(renew)
	if errors.Is(err, ErrNoInterface) {
		return nil
	}
	return err
}

// SetAddresses changes the set of addresses. If they are held, it puts the new
// ones on, takes those off that are no longer in the set, and announces. If one
// cannot be put on, the old set stays as it was.
func (a *Applier) SetAddresses(ctx context.Context, addresses []netip.Prefix) error {
	if err := errors.Join(validateAddresses(addresses)...); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.usable(ctx); err != nil {
		return err
	}
	old := a.want
	if err := a.setAddresses(a.cfg.effective(addresses)); err != nil {
		return fmt.Errorf("vip: set addresses: %w", errors.Join(err, a.setAddresses(old)))
	}
	a.locks.keep(a.want)
	return nil
}

func (a *Applier) setAddresses(want []netip.Prefix) error {
	a.want = slices.Clone(want)
	if err := a.arp.only(a.want); err != nil {
		return err
	}
	if a.rewriter != nil {
		if err := a.rewriter.setAddresses(a.want); err != nil {
			return err
		}
	}
	if !a.held {
		return nil
	}
	if _, err := a.reconcile(renew); err != nil || a.silent {
		return err
	}
	_, err := a.announce(AnnounceNow)
	return err
}

func (a *Applier) usable(ctx context.Context) error {
	if a.closed {
		return errClosed
	}
	return ctx.Err()
}
