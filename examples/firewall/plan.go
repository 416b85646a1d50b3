package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/pfsync"
)

// prepare finds out whether this machine can do what s asks for, and which
// interfaces are meant.
func (s *setup) prepare() error {
	m, err := readMachine()
	if err != nil {
		return err
	}
	if s.config, err = place(s.config, m); err != nil {
		return err
	}
	var errs []error
	for _, i := range s.config.Carp {
		errs = append(errs, s.settings.check(i, m))
		if _, cut := carp.Passphrase(string(i.Pass)); cut {
			s.warn("%s: the passphrase is longer than %d octets: the rest is not used, as in the BSDs", i.Name, carp.MaxPassphrase)
		}
		if i.Pass == "" {
			s.warn("%s has no passphrase: whoever is on %s can take over", i.Name, i.CarpDev)
		}
	}
	if p := s.config.Pfsync; p != nil {
		errs = append(errs, s.settings.checkSync(p, m))
		if p.Defer {
			s.warn("%s: defer has no effect: first packets are not held back here", p.Name)
		}
	}
	errs = append(errs, s.preparePeer(), s.prepareWAN(m))
	return errors.Join(errs...)
}

// plan prints what would be done.
func (s *setup) plan(w io.Writer) {
	onOff := map[bool]string{true: "on", false: "off"}
	fmt.Fprintf(w, "dialect %v, %v, preempt %s\n", s.settings.carpDialect, s.settings.mac, onOff[s.sysctls.preempt])
	for _, i := range s.config.Carp {
		g := s.settings.group(i, nil, s.sysctls)
		h := carp.Header{AdvBase: i.AdvBase, AdvSkew: i.AdvSkew}
		fmt.Fprintf(w, "%s: vhid %d on %s, groups %v", i.Name, i.VHID, i.CarpDev, i.Groups)
		if i.Down {
			fmt.Fprint(w, ", down")
		}
		fmt.Fprintf(w, "\n\tadverts every %v, takes over %v after the last one of a master\n", max(h.Interval(), time.Second/256), g.MasterDown())
		if i.Peer.IsValid() {
			fmt.Fprintf(w, "\tadverts go to %v\n", i.Peer)
		}
		fmt.Fprintf(w, "\tas master: %v", g.Addresses)
		if g.LinkSrc != (carp.HardwareAddr{}) {
			fmt.Fprintf(w, " with %v", g.LinkSrc)
		}
		fmt.Fprintln(w)
	}
	if p := s.config.Pfsync; p != nil {
		peer := pfsync.Group4.String()
		if p.SyncPeer.IsValid() {
			peer = p.SyncPeer.String()
		}
		fmt.Fprintf(w, "%s: %s to %s, up to %d states, %v\n", p.Name, p.SyncDev, peer, s.settings.maxStates, &s.settings.states)
	}
	for _, c := range s.settings.checks {
		fmt.Fprintf(w, "%s: %v every %v, from failure %d on demotes %s by %d\n", c.cause(), &c, c.interval, c.fall, c.where(), c.demote)
	}
	if s.settings.wan.ifname != "" {
		fmt.Fprintln(w, &s.settings.wan)
	}
	for _, h := range s.hooks {
		fmt.Fprintf(w, "at each change: %s/%s vhid@interface STATE, %v at most\n", hooksDir, h.Name, s.settings.hookTimeout)
	}
	if s.maintenance {
		fmt.Fprintf(w, "in maintenance: demoted by %d\n", maintenanceDemote)
	}
	fmt.Fprintln(w, "nothing was changed")
}
