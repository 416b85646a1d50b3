//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// A bench is a pair on a topology, with all that measures it. One is used for all
// runs of a scenario.
type bench struct {
	*topology
	pair     *pair
	timers   timers
	firewall string // the program
	log      logger

	eye      *eye
	probe    *probe
	ssh      *sshServer // nil: not installed
	sessions []*session
	dials    []func() (*session, error) // in the same order
	closers  []func() error             // in the order of opening
}

// newBench builds the network and starts the pair and what measures it. Close is due,
// also after an error.
func newBench(ctx context.Context, o *options, s *scenario, p *pair, dir string) (*bench, error) {
	b := &bench{pair: p, timers: o.timers, firewall: o.firewall, log: o.log}
	var err error
	b.topology, err = newTopology(dir, s.shape)
	b.closers = append(b.closers, b.topology.close)
	if err != nil {
		return b, err
	}
	if s.shape != twoAddresses {
		if err := b.serveLease(); err != nil {
			return b, err
		}
	}
	for _, n := range b.nodes() {
		if err := b.start(n); err != nil {
			return b, err
		}
	}
	if err := b.measure(); err != nil {
		return b, err
	}
	if err := b.settle(ctx, b.fw1); err != nil {
		return b, err
	}
	if s.shape == homelab {
		if err := b.leaseClient(); err != nil {
			return b, err
		}
	}
	return b, b.connect(ctx)
}

// start starts all that runs on a firewall.
func (b *bench) start(n *node) error {
	if b.shape == homelab {
		if err := b.serveLAN(n); err != nil {
			return err
		}
	}
	return b.pair.start(b, n)
}

// nodes are the firewalls.
func (b *bench) nodes() []*node { return []*node{b.fw1, b.fw2} }

// other is the firewall beside n.
func (b *bench) other(n *node) *node {
	if n == b.fw1 {
		return b.fw2
	}
	return b.fw1
}

// measure starts what measures, other than the sessions.
func (b *bench) measure() error {
	conn, err := echo(b.server)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, conn.Close)
	if b.eye, err = openEye(b.topology); err != nil {
		return err
	}
	b.closers = append(b.closers, b.eye.close)

	stop, err := serveTCP(b.server)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, stop)
	b.dials = append(b.dials, func() (*session, error) { return dialTCP(b.client, b.target) })
	if b.shape == homelab {
		b.dials = append(b.dials, func() (*session, error) { return dialPing(b.client, b.target) })
	}
	if err := lookTools("sshd", "ssh", "ssh-keygen", "unshare"); err != nil {
		b.log.warn("no SSH session: %v", err)
		return nil
	}
	if b.ssh, err = serveSSH(b.server, filepath.Join(b.dir, "ssh")); err != nil {
		return err
	}
	b.closers = append(b.closers, b.ssh.close)
	b.dials = append(b.dials, func() (*session, error) { return b.ssh.dial(b.client, b.target) })
	return nil
}

// young is how old a connection must be for both firewalls to know all of it: what
// happens to one is told within a second by the kernels, and by ours much sooner.
const young = 300 * time.Millisecond

// connect opens the probe and the sessions, those that are not there (any more), and
// lets them grow up.
func (b *bench) connect(ctx context.Context) error {
	opened := false
	if b.probe == nil {
		p, err := newProbe(b.client, b.target)
		if err != nil {
			return err
		}
		b.probe = p
		b.sessions = make([]*session, len(b.dials))
	}
	for i, dial := range b.dials {
		if s := b.sessions[i]; s != nil {
			if s.failed() == nil {
				continue
			}
			s.close()
		}
		s, err := dial()
		if err != nil {
			return err
		}
		b.sessions[i], opened = s, true
	}
	if opened {
		return sleep(ctx, young)
	}
	return nil
}

// close takes everything down.
func (b *bench) close() error {
	var errs []error
	if b.probe != nil {
		b.probe.close()
	}
	for _, s := range b.sessions {
		if s != nil {
			s.close()
		}
	}
	for i := range b.closers {
		errs = append(errs, b.closers[len(b.closers)-1-i]())
	}
	return errors.Join(errs...)
}

// settleTimeout is more than it takes to start a pair, on a machine with other things
// to do.
const settleTimeout = 60 * time.Second

// settle waits until master does all the work, and the other firewall is ready to take
// it over.
func (b *bench) settle(ctx context.Context, master *node) error {
	return await(ctx, settleTimeout, "the pair is settled with "+master.Name+" as master", func() error {
		for _, n := range b.nodes() {
			if err := n.ended(); err != nil {
				return err
			}
		}
		if err := b.owned(master); err != nil {
			return err
		}
		return b.pair.settled(b, master)
	})
}

// has is nil if n has both addresses, seen from outside.
func (b *bench) has(n *node) error {
	for _, segment := range []string{lan, wan} {
		if !b.eye.owns(claim{n.Name, segment}) {
			return fmt.Errorf("%s does not answer for the %s address", n.Name, segment)
		}
	}
	return nil
}

// owned is nil if n and nobody else has both addresses.
func (b *bench) owned(n *node) error {
	for _, segment := range []string{lan, wan} {
		if b.eye.owns(claim{b.other(n).Name, segment}) {
			return fmt.Errorf("%s answers for the %s address, too", b.other(n).Name, segment)
		}
	}
	return b.has(n)
}

// await waits until ok has no complaint, or ctx is done. Its error has the last one.
func await(ctx context.Context, timeout time.Duration, what string, ok func() error) error {
	for end := time.Now().Add(timeout); ; {
		err := ok()
		switch {
		case err == nil:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("not within %v: %s: %w", timeout, what, err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// sleep waits, or fails when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
