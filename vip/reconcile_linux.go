package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/internal/rtnl"
	"golang.org/x/sys/unix"
)

// addrMark is the IFA_PROTO of our addresses, CARP's protocol number. Kernels
// older than 5.18 do not keep it.
const addrMark = 112

// Whether reconcile renews the lifetimes of addresses that are in place.
const (
	renew = true
	keep  = false
)

// reconcile compares what is on the machine with what shall be, and changes it:
// the one place where addresses are put on and taken off. It reports whether
// held addresses had to be put on or have got another hardware address. One
// address that cannot be put on or taken off does not keep it from the others.
func (a *Applier) reconcile(lifetimes bool) (repaired bool, err error) {
	if lifetimes {
		a.renewed = time.Now()
	}
	mac := a.mac()
	var errs []error
	if err := a.locate(); err != nil {
		if a.held || a.target.Index == 0 {
			return false, err
		}
		errs = append(errs, err) // no reason to leave addresses on
	}
	repaired = mac != a.mac() // the neighbours have the old one
	if a.held {
		if !a.base.AdminUp {
			return false, fmt.Errorf("%s is down", a.base.Name)
		}
		if err := a.voice(); err != nil {
			return false, err
		}
		if !a.target.AdminUp {
			if err := a.nl.SetUp(a.target.Index, true); err != nil {
				return false, err
			}
			a.target.AdminUp = true
		}
	}
	on, foreign, err := a.survey()
	if err != nil {
		return false, err
	}
	for _, addr := range on {
		if !a.held || !a.wants(addr.Prefix.Addr()) {
			errs = append(errs, a.takeOff(addr))
		}
	}
	for addr := range a.placed {
		if _, there := on[addr]; !there {
			delete(a.placed, addr)
		}
	}
	if !a.held {
		if a.cfg.Mode == VirtualMAC && a.target.AdminUp {
			errs = append(errs, a.nl.SetUp(a.target.Index, false))
		}
		return false, errors.Join(append(errs, a.voice())...)
	}
	for _, p := range a.want {
		if where, is := foreign[p.Addr()]; is {
			errs = append(errs, fmt.Errorf("%v on %s: %w", p.Addr(), where, ErrForeign))
			continue
		}
		put, err := a.putOn(p, on[p.Addr()], lifetimes)
		repaired = repaired || put
		errs = append(errs, err)
	}
	return repaired, errors.Join(errs...)
}

// survey returns which of our addresses are on the target, and the links that
// have one of them from somebody else.
func (a *Applier) survey() (on map[netip.Addr]rtnl.Addr, foreign map[netip.Addr]string, err error) {
	on, foreign = make(map[netip.Addr]rtnl.Addr), make(map[netip.Addr]string)
	a.linkLocal = netip.Addr{}
	links := []rtnl.Link{a.base}
	if a.target.Index != a.base.Index {
		links = append(links, a.target)
	}
	for _, l := range links {
		addrs, err := a.nl.Addrs(l.Index)
		if err != nil {
			return nil, nil, err
		}
		for _, addr := range addrs {
			ip := addr.Prefix.Addr()
			switch {
			case l.Index == a.target.Index && a.ours(addr):
				on[ip] = addr
			case a.wants(ip):
				foreign[ip] = l.Name
			case l.Index == a.base.Index && ip.Is6() && ip.IsLinkLocalUnicast() &&
				addr.Proto != addrMark && addr.Flags&unix.IFA_F_TENTATIVE == 0:
				a.linkLocal = ip
			}
		}
	}
	return on, foreign, nil
}

// ours reports whether an address on the target is there because of us: it has
// our mark, or the kernel keeps no marks and it is one that we have put on and
// that has a lifetime like ours. Marked addresses of other virtual hosts on the
// same link are not ours.
func (a *Applier) ours(addr rtnl.Addr) bool {
	ip := addr.Prefix.Addr()
	if !a.placed[ip] && !a.wants(ip) {
		return false
	}
	lifetime := a.cfg.lifetime()
	return addr.Proto == addrMark ||
		addr.Proto == 0 && a.placed[ip] && addr.Lifetime <= lifetime && (addr.Lifetime != 0) == (lifetime != 0)
}

func (a *Applier) takeOff(addr rtnl.Addr) error {
	if err := a.nl.DeleteAddr(addr); err != nil {
		return err
	}
	delete(a.placed, addr.Prefix.Addr())
	return nil
}

// putOn puts p on the target, where have is what is there of it now. An address
// that the kernel does not use, because it believes in a duplicate, or with
// another prefix length, is replaced by a new one.
func (a *Applier) putOn(p netip.Prefix, have rtnl.Addr, lifetimes bool) (repaired bool, err error) {
	addr := rtnl.Addr{Index: a.target.Index, Prefix: p, Proto: addrMark, Lifetime: a.cfg.lifetime()}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD // the other nodes have it, too; and detection takes a second
	}
	there := have.Prefix.IsValid()
	if there && (have.Prefix != p || have.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0) {
		if err := a.takeOff(have); err != nil {
			return false, err
		}
		there = false
	}
	a.placed[p.Addr()] = true
	switch {
	case !there:
		return true, a.nl.AddAddr(addr)
	case lifetimes:
		return false, a.nl.ReplaceAddr(addr)
	}
	return false, nil
}
