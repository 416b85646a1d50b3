package vip

import (
	"errors"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// locate finds the interface and makes sure of what the mode needs on it: the
// macvlan and the sysctls, or the eBPF programs. It follows an interface that
// was removed and made again.
func (a *Applier) locate() error {
	base, err := a.link(a.cfg.Interface)
	if errors.Is(err, ErrNoInterface) {
		a.base, a.target = rtnl.Link{}, rtnl.Link{}
		clear(a.placed) // with the link went its addresses
	}
	if err != nil {
		return err
	}
	if base.Index != a.base.Index {
		if err := errors.Join(a.arp.bind(base.Index), a.nd.bind(base.Index)); err != nil {
			return err
		}
		if a.rewriter != nil {
			if err := a.ns.do(func() error { return a.rewriter.attach(base.Index) }); err != nil {
				return err
			}
			if err := a.frames.accept(base.Index, a.cfg.MAC); err != nil {
				return err
			}
		}
	}
	a.base = base
	if a.cfg.Mode != VirtualMAC {
		a.target = base
		return nil
	}
	if err := a.raiseSysctls(); err != nil {
		return err
	}
	return a.locateMacvlan()
}

func (a *Applier) raiseSysctls() error {
	switch {
	case a.cfg.KeepSysctls:
		return nil
	case a.raised == a.base.Index:
		return a.sysctls.check(a.base.Index, a.base.Name)
	case a.raised != 0: // they went with the interface that had them
		if err := a.sysctls.restore(a.raised, a.base.Name, true); err != nil {
			return err
		}
		a.raised = 0
	}
	if err := a.sysctls.raise(a.base.Index, a.base.Name); err != nil {
		return err
	}
	a.raised = a.base.Index
	return nil
}
