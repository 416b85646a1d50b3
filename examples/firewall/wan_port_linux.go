package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/rtnl"
	"github.com/gocarp/gocarp/vip"
)

// A linuxWAN is the wanPort of this system. What it has changed is written down in
// files, for a guard that puts the interface down if we die: see wan_guard_linux.go.
type linuxWAN struct {
	cfg   *wanSettings
	log   *slog.Logger
	files wanFiles
	conn  *rtnl.Conn
	guard *wanGuardian
	stop  func() // ends what runs while it is up, in a bounded time
}

// openWANPort starts the guard, which begins by putting the interface down.
func openWANPort(cfg *wanSettings, log *slog.Logger) (wanPort, error) {
	files, err := newWANFiles(cfg.ifname)
	if err != nil {
		return nil, err
	}
	p := &linuxWAN{cfg: cfg, log: log, files: files, stop: func() {}}
	if p.conn, err = rtnl.Dial(); err != nil {
		return nil, err
	}
	if p.guard, err = startWANGuard(cfg.ifname, log); err != nil {
		p.conn.Close()
		return nil, err
	}
	return p, nil
}

// raise gives the interface the shared hardware address, while it is down, brings it
// up, and has somebody get it an address.
func (p *linuxWAN) raise() error {
	p.stop()
	p.stop = func() {}
	l, err := p.conn.LinkByName(p.cfg.ifname)
	if err != nil {
		return err
	}
	if want := [6]byte(p.cfg.mac); want != [6]byte{} && l.MAC != want {
		err := p.files.storeMAC(l.MAC)
		if err == nil {
			err = p.conn.SetUp(l.Index, false)
		}
		if err == nil {
			err = p.conn.SetMAC(l.Index, want)
		}
		if err != nil {
			return err
		}
	}
	if err := p.prepareIPv6(); err != nil { // IPv4 works all the same
		p.log.Error("firewall: wan: IPv6", "interface", p.cfg.ifname, "err", err)
	}
	if err := p.conn.SetUp(l.Index, true); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.awaitCarrier(ctx)
		if p.cfg.address.IsValid() {
			p.keepAddress(ctx, l)
		} else {
			c := wanClient{argv: p.cfg.command(), files: p.files, log: p.log, leased: p.leased}
			c.run(ctx)
		}
	}()
	p.stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(wanClientEnd):
			p.log.Error("firewall: wan: the client does not end", "interface", p.cfg.ifname, "after", wanClientEnd)
		}
	}
	return nil
}

// wanClientEnd is how long a client may take to end that was killed: after that the
// interface goes down all the same.
const wanClientEnd = killGroupTimeout + time.Second

// wanCarrier is how long a DHCP client is not started for want of a carrier: its first
// packet would be lost, and the second one comes late.
const wanCarrier = 5 * time.Second

func (p *linuxWAN) awaitCarrier(ctx context.Context) {
	for end := time.Now().Add(wanCarrier); time.Now().Before(end); {
		if s, err := p.look(); err == nil && s.running {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	p.log.Warn("firewall: wan: no carrier", "interface", p.cfg.ifname, "after", wanCarrier)
}

// keepAddress puts the address and the route on, and tells the neighbours where the
// address is, and the switches where its hardware address has gone: at once, and again
// and again. There is a carrier by now: a host that is asked to forward before that
// loses its first question for a neighbour, and asks again after a second.
func (p *linuxWAN) keepAddress(ctx context.Context, l rtnl.Link) {
	for first := true; ctx.Err() == nil; first = false {
		err := p.conn.ReplaceAddr(rtnl.Addr{Index: l.Index, Prefix: p.cfg.address})
		if err == nil && p.cfg.gateway.IsValid() {
			err = p.conn.AddDefaultRoute(l.Index, p.cfg.gateway)
			if errors.Is(err, unix.EEXIST) {
				if err = nil; first { // later it is ours
					p.log.Warn("firewall: wan: there is another default route, which stays", "gateway", p.cfg.gateway)
				}
			}
		}
		if err = errors.Join(err, p.announce(l.Index)); err != nil {
			p.log.Warn("firewall: wan: the address", "interface", p.cfg.ifname, "err", err)
		}
		select {
		case <-time.After(refresh):
		case <-ctx.Done():
		}
	}
}

// announce sends a gratuitous ARP request.
func (p *linuxWAN) announce(index int) error {
	l, err := p.conn.LinkByIndex(index)
	if err != nil {
		return err
	}
	frame, err := vip.GratuitousARP(vip.ARPRequest, vip.HardwareAddr(l.MAC), p.cfg.address.Addr())
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, unix.MSG_DONTWAIT, &unix.SockaddrLinklayer{Ifindex: index})
}

// lower ends the client first: it might bring the interface up again.
func (p *linuxWAN) lower() error {
	p.stop()
	p.stop = func() {}
	if err := lowerWAN(p.conn, p.cfg.ifname); err != nil {
		return err
	}
	if err := flushWAN(p.conn, p.cfg.ifname); err != nil { // it is down all the same
		p.log.Error("firewall: wan: cannot take all addresses off", "interface", p.cfg.ifname, "err", err)
	}
	return nil
}

// lowerWAN brings an interface down, and its routes with it. One that is not there is
// down.
func lowerWAN(conn *rtnl.Conn, ifname string) error {
	l, err := conn.LinkByName(ifname)
	if errors.Is(err, rtnl.ErrNoLink) {
		return nil
	}
	if err != nil {
		return err
	}
	return conn.SetUp(l.Index, false)
}

// flushWAN takes all addresses off an interface, which is nobody's but ours.
func flushWAN(conn *rtnl.Conn, ifname string) error {
	l, err := conn.LinkByName(ifname)
	if errors.Is(err, rtnl.ErrNoLink) {
		return nil
	}
	if err != nil {
		return err
	}
	addrs, err := conn.Addrs(l.Index)
	errs := []error{err}
	for _, a := range addrs {
		errs = append(errs, conn.DeleteAddr(a))
	}
	return errors.Join(errs...)
}

func (p *linuxWAN) look() (wanSeen, error) {
	l, err := p.conn.LinkByName(p.cfg.ifname)
	if err != nil {
		return wanSeen{}, err
	}
	addrs, err := p.conn.Addrs(l.Index)
	if err != nil {
		return wanSeen{}, err
	}
	s := wanSeen{up: l.AdminUp, running: l.Running, mac: l.MAC}
	for _, a := range addrs {
		if a.Proto == addrOfRouter {
			continue // which says nothing about the client
		}
		if ip := a.Prefix.Addr(); ip.IsGlobalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 && better(a.Prefix, s.lease) {
			s.lease = a.Prefix
		}
	}
	return s, nil
}

// leased reports whether there is an address.
func (p *linuxWAN) leased() bool {
	s, err := p.look()
	return err == nil && s.lease.IsValid()
}

// better reports whether an operator would rather see a than b: an IPv4 address, or the
// first.
func better(a, b netip.Prefix) bool {
	return !b.IsValid() || a.Addr().Is4() && !b.Addr().Is4()
}

func (p *linuxWAN) close() error {
	err := p.lower()
	return errors.Join(err, p.guard.end(), p.conn.Close())
}

// sweepWAN ends what a firewall before us, or beside us, has left: its client, the
// interface that is up, its hardware address, and its settings of IPv6.
func sweepWAN(files wanFiles, ifname string) error {
	conn, err := rtnl.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	// Down comes first, since the other host may be about to come up; and again after
	// the client, which might have brought it up meanwhile.
	errs := []error{lowerWAN(conn, ifname), files.killClient(), lowerWAN(conn, ifname)}
	mac, ok, err := files.loadMAC()
	l, noLink := conn.LinkByName(ifname)
	if ok && noLink == nil {
		if err = conn.SetMAC(l.Index, mac); err == nil {
			err = files.forgetMAC()
		}
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("cannot restore the address of %s: %w", ifname, err))
	}
	if noLink == nil {
		errs = append(errs, files.restoreIPv6(ifname))
	}
	// Last, since the kernel may make an address out of these settings.
	return errors.Join(append(errs, flushWAN(conn, ifname))...)
}
