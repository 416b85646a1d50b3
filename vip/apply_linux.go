package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gocarp/gocarp/internal/rtnl"
)

// An Applier puts the addresses of one virtual host on an interface and takes
// them off again.
//
// Acquire, Announce, Yield, Silence, Release and SetAddresses may be called from
// one goroutine while Run runs in another. Everything happens in the network
// namespace that Open was called in.
type Applier struct {
	cfg Config
	log *slog.Logger

	ns       *namespace
	nl       *rtnl.Conn
	watcher  *rtnl.Watcher
	sysctls  *sysctls
	frames   *frameSender
	arp, nd  *claimListener
	locks    locks
	rewriter *rewriter     // RewrittenMAC
	wake     chan struct{} // the announcer has a new deadline

	mu     sync.Mutex // guards what follows; held during system calls, never during callbacks
	closed bool
	held   bool           // the addresses shall be on
	silent bool           // and nobody shall be told: see Silence
	want   []netip.Prefix // what shall be on when held

	// placed are addresses that may be on the target because of us. One stays
	// here until it was seen not to be there.
	placed map[netip.Addr]bool

	base      rtnl.Link  // the interface, as seen last; Index 0: it is gone
	target    rtnl.Link  // where the addresses go: base or the macvlan; Index 0: not there
	linkLocal netip.Addr // of base, the source of neighbour advertisements
	raised    int        // index of the interface whose sysctls we use; 0: none
	renewed   time.Time  // when the lifetimes were last renewed
	distrust  time.Time  // after a stall: nothing is put back before this

	announcer Announcer
}

// Open checks cfg, opens the sockets, and removes what a killed process with the
// same configuration has left behind. With VirtualMAC it makes the macvlan and
// raises the sysctls, with RewrittenMAC it attaches the programs, idle. It puts
// no address on. The error matches [ErrNoInterface], [ErrForeign] or [ErrInUse]
// for those reasons.
func Open(cfg Config) (*Applier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &Applier{
		cfg:       cfg,
		log:       cfg.Logger,
		want:      cfg.effective(cfg.Addresses),
		wake:      make(chan struct{}, 1),
		placed:    make(map[netip.Addr]bool),
		announcer: Announcer{Refresh: cfg.RepeatAnnouncements},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("vip: open %s: %w", cfg.Interface, errors.Join(err, a.Close()))
	}
	return a, nil
}

func (a *Applier) open() error {
	err := privileged()
	if err != nil {
		return err
	}
	if a.ns, err = currentNamespace(); err != nil {
		return err
	}
	if a.nl, err = rtnl.Dial(); err != nil {
		return err
	}
	if a.watcher, err = rtnl.Watch(true); err != nil {
		return err
	}
	if a.sysctls, err = openSysctls(a.ns); err != nil {
		return err
	}
	base, err := a.link(a.cfg.Interface)
	if err != nil {
		return err
	}
	if base.MAC == ([6]byte{}) {
		return errors.New("it has no Ethernet address")
	}
	if a.frames, err = newFrameSender(base.Index); err != nil {
		return err
	}
	if a.arp, err = listenARP(base.Index, a.want); err != nil {
		return err
	}
	if a.nd, err = listenNA(base.Index); err != nil {
		return err
	}
	if a.cfg.Mode == RewrittenMAC {
		if a.rewriter, err = newRewriter(a.cfg.MAC, a.want); err != nil {
			return err
		}
	}
	if a.locks, err = lock(base.Name, a.want); err != nil {
		return err
	}
	if err := a.sweep(base); err != nil {
		return err
	}
	return a.locate()
}

// sweep removes what a killed process has left: addresses of ours with our
// mark on the interface, and our macvlan with everything on it.
func (a *Applier) sweep(base rtnl.Link) error {
	have, err := a.nl.Addrs(base.Index)
	if err != nil {
		return err
	}
	for _, addr := range have {
		if addr.Proto == addrMark && a.wants(addr.Prefix.Addr()) {
			a.log.Warn("removing a leftover address", "interface", base.Name, "address", addr.Prefix)
			if err := a.nl.DeleteAddr(addr); err != nil {
				return err
			}
		}
	}
	if a.cfg.Mode == VirtualMAC {
		return a.sweepMacvlan(base)
	}
	return nil
}

// Close takes the addresses off, if they are on, removes the macvlan and the
// programs, restores the sysctls, and closes the sockets. Let Run return before. A second Close
// does nothing.
func (a *Applier) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	var errs []error
	if a.held || len(a.placed) > 0 {
		errs = append(errs, a.letGo())
	}
	a.closed = true
	if a.cfg.Mode == VirtualMAC && a.target.Index != 0 {
		errs = append(errs, a.nl.DeleteLink(a.target.Index))
	}
	if a.raised != 0 {
		errs = append(errs, a.sysctls.restore(a.raised, a.cfg.Interface, a.raised != a.base.Index))
	}
	a.locks.Close()
	// Open may have failed half way.
	if a.arp != nil {
		errs = append(errs, a.arp.Close())
	}
	if a.nd != nil {
		errs = append(errs, a.nd.Close())
	}
	if a.frames != nil {
		errs = append(errs, a.frames.Close())
	}
	if a.rewriter != nil {
		a.rewriter.Close()
	}
	if a.sysctls != nil {
		a.sysctls.Close()
	}
	if a.ns != nil {
		a.ns.Close()
	}
	if a.watcher != nil {
		errs = append(errs, a.watcher.Close())
	}
	if a.nl != nil {
		errs = append(errs, a.nl.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("vip: close %s: %w", a.cfg.Interface, err)
	}
	return nil
}

// link looks up a link and gives its absence this package's name.
func (a *Applier) link(name string) (rtnl.Link, error) {
	l, err := a.nl.LinkByName(name)
	if errors.Is(err, rtnl.ErrNoLink) {
		return rtnl.Link{}, fmt.Errorf("%w: %q", ErrNoInterface, name)
	}
	return l, err
}

// wants reports whether addr is one of the configured addresses.
func (a *Applier) wants(addr netip.Addr) bool {
	for _, p := range a.want {
		if p.Addr() == addr {
			return true
		}
	}
	return false
}

// mac is the hardware address that clients shall use.
func (a *Applier) mac() HardwareAddr {
	if a.cfg.Mode == RealMAC {
		return HardwareAddr(a.base.MAC)
	}
	return a.cfg.MAC
}

// announce feeds ev to the announcer and sends if it says so.
func (a *Applier) announce(ev AnnouncerEvent) (next time.Time, err error) {
	send, next := a.announcer.Step(time.Now(), ev)
	if send {
		err = a.sendAnnouncements()
	}
	return next, err
}

// sendAnnouncements sends one announcement of each kind for each address.
func (a *Applier) sendAnnouncements() error {
	if a.base.Index == 0 {
		return fmt.Errorf("%w: %q", ErrNoInterface, a.cfg.Interface)
	}
	forms := []ARPForm{ARPRequest, ARPReply}
	if a.cfg.RequestsOnly {
		forms = forms[:1]
	}
	router := a.sysctls.forwards6(a.cfg.Interface)
	var errs []error
	send := func(frame []byte, err error) {
		if err == nil {
			err = a.frames.send(a.base.Index, frame)
		}
		errs = append(errs, err)
	}
	for _, p := range a.want {
		addr := p.Addr()
		if addr.Is4() {
			for _, form := range forms {
				send(GratuitousARP(form, a.mac(), addr))
			}
			continue
		}
		src := a.linkLocal
		if !src.IsValid() {
			src = addr // an address of the interface, the next best by RFC 4861 section 4.4
		}
		send(UnsolicitedNA(a.mac(), src, addr, router))
	}
	return errors.Join(errs...)
}

// errClosed is returned by all methods after Close.
var errClosed = fmt.Errorf("vip: the applier is closed: %w", net.ErrClosed)
