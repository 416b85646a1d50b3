package carp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A HostConfig is a virtual host as its peers see it: the rules of its
// elections, and what its adverts are made and checked with.
type HostConfig struct {
	Config

	// Secret is the shared key; see [Passphrase].
	Secret Secret

	// Addresses are the virtual addresses. All nodes need the same ones: they are
	// authenticated with each advert. The prefix lengths are not.
	Addresses []netip.Prefix

	// LLAddr is the virtual MAC if it was set by hand (ifconfig lladdr), and
	// ParentLLAddr that of the interface below. Unless it is the latter, or the one
	// that the virtual host has anyway, it is hashed and must be the same on all
	// nodes, which must all be OpenBSD or this package (carp_hmac_prepare_ctx).
	LLAddr, ParentLLAddr HardwareAddr

	// LinkSrc is the Ethernet source of the adverts. Zero means the interface's
	// own; see [Dialect.VirtualMAC]. A [Node] sends the last advert of a master, a
	// bow-out for example, from the interface's own in any case.
	LinkSrc HardwareAddr

	// Peers receive the adverts instead of the multicast groups: OpenBSD's
	// carppeer, FreeBSD's peer and peer6. A multicast address is another group.
	// A family without one keeps its group.
	Peers []netip.Addr

	// Allow are the sources whose adverts count, any if it is empty. The source is
	// not authenticated: this keeps a misconfigured neighbour out, not an attacker.
	Allow []netip.Prefix

	// AnyTTL accepts adverts that were routed. The dialect FreeBSD does so by
	// itself if there are unicast peers.
	AnyTTL bool

	// AnyType accepts any type nibble, as all kernels do. The digest is the same
	// for all types, so nothing but a mistake or an attack sets another one.
	AnyType bool

	// Source are our own addresses on the interface, which break ties in the
	// dialect UCarp. Without one, a tie is lost.
	Source []netip.Addr

	// Replay says which counters to accept, within ReplayWindow of our clock if
	// it is strict. 0 means [DefaultReplayWindow].
	Replay       ReplayPolicy
	ReplayWindow time.Duration

	// Counter is where the counters start: a random number, another one on each
	// node, and not 0, which an OpenBSD node that has not sent anything yet takes
	// for its own. 0 makes a [Node] draw one. ReplayStrict starts from the clock
	// instead, and tells nodes apart by their Seed.
	Counter uint64
}

// MaxAddresses is the number of addresses a virtual host may have.
const MaxAddresses = 1024

// Validate reports everything that is wrong with c.
func (c *HostConfig) Validate() error {
	errs := []error{c.Config.Validate()}
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("carp: vhid %d: "+format, append([]any{c.VHID}, args...)...))
	}
	seen := make(map[netip.Addr]bool)
	for _, p := range c.Addresses {
		a := p.Addr()
		switch {
		case !p.IsValid():
			bad("address %v: not an address with a prefix length", p)
		case a.IsUnspecified() || a.IsMulticast() || !hashed(a.Unmap()):
			bad("address %v: not an address a host can have", a)
		case seen[normalAddr(a)]:
			bad("address %v: given twice", a)
		case c.Dialect == UCarp && (!a.Unmap().Is4() || len(c.Addresses) > 1):
			bad("address %v: ucarp takes a single IPv4 address", a)
		}
		if p.IsValid() {
			seen[normalAddr(a)] = true
		}
	}
	if n := len(c.Addresses); n > MaxAddresses {
		bad("%d addresses: want at most %d", n, MaxAddresses)
	}
	for _, p := range c.Peers {
		switch {
		case !p.IsValid() || p.IsUnspecified():
			bad("peer %v: not an address", p)
		case len(c.Addresses) > 0 && family(p)&c.families() == 0:
			bad("peer %v: no virtual address is of its family, so nothing is sent to it", p)
		}
	}
	for _, p := range c.Allow {
		if !p.IsValid() {
			bad("allowed source %v: not a prefix", p)
		}
	}
	if !c.Replay.valid() {
		bad("replay policy %v: want off, loop or strict", c.Replay)
	}
	if w := c.ReplayWindow; w != 0 && (w < minReplayWindow || w > maxReplayWindow) {
		bad("replay window %v: want %v to %v", w, minReplayWindow, maxReplayWindow)
	}
	return errors.Join(errs...)
}

// clone is c with slices of its own.
func (c *HostConfig) clone() HostConfig {
	d := *c
	d.Addresses, d.Peers = slices.Clone(c.Addresses), slices.Clone(c.Peers)
	d.Allow, d.Source = slices.Clone(c.Allow), slices.Clone(c.Source)
	for i, p := range d.Peers {
		d.Peers[i] = plain(p)
	}
	for i, p := range d.Allow {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			d.Allow[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	return d
}

// plain is a as packets have it: without zone or v4-in-v6 form.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// hashedLLAddr is the virtual MAC as far as it enters the digest.
func (c *HostConfig) hashedLLAddr() HardwareAddr {
	if c.LLAddr == c.ParentLLAddr || c.LLAddr == c.Dialect.VirtualMAC(c.VHID) {
		return HardwareAddr{}
	}
	return c.LLAddr
}

// families are those that the addresses belong to.
func (c *HostConfig) families() Families {
	var f Families
	for _, p := range c.Addresses {
		f |= family(p.Addr())
	}
	return f
}

// unicast reports whether the adverts of family f go to single hosts.
func (c *HostConfig) unicast(f Families) bool {
	return slices.ContainsFunc(c.Peers, func(p netip.Addr) bool { return family(p) == f && !p.IsMulticast() })
}

func family(a netip.Addr) Families {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// A VirtualHost turns packets into events for its [Machine] and the machine's
// adverts into packets. It does no I/O and reads no clock, so that it can stand
// in any event loop; [Node] is one. Its methods are not safe for concurrent use.
type VirtualHost struct {
	cfg     HostConfig
	machine *Machine
	key     *Key

	counter uint64 // the last one used
	sent    sentLog
	fresh   freshLog
	packet  [2][]byte // the last adverts, by family
}

// NewVirtualHost makes a virtual host in INIT. It fails if c is not valid or if
// SHA-1 cannot be used.
func NewVirtualHost(c HostConfig) (*VirtualHost, error) {
	v := &VirtualHost{counter: c.Counter - 1}
	if err := v.configure(c); err != nil {
		return nil, err
	}
	v.machine = NewMachine(c.Config, c.families())
	return v, nil
}

// configure takes c, or fails and changes nothing.
func (v *VirtualHost) configure(c HostConfig) error {
	if err := c.Validate(); err != nil {
		return err
	}
	addrs := make([]netip.Addr, len(c.Addresses))
	for i, p := range c.Addresses {
		addrs[i] = p.Addr()
	}
	key, err := NewKey(KeyConfig{
		Secret: c.Secret, VHID: c.VHID, Addrs: addrs, LLAddr: c.hashedLLAddr(), Digest: c.Dialect.traits().digest,
	})
	if err != nil {
		return err
	}
	if c.Replay == ReplayStrict && v.cfg.Replay != ReplayStrict {
		v.counter = 0 // what was sent before is no time
	}
	v.cfg, v.key = c.clone(), key
	v.fresh.window = c.ReplayWindow
	if v.fresh.window == 0 {
		v.fresh.window = DefaultReplayWindow
	}
	return nil
}

// String keeps the secret out of logs.
func (v *VirtualHost) String() string { return fmt.Sprintf("carp.VirtualHost(%d)", v.cfg.VHID) }

// Machine is the state machine, to be looked at.
func (v *VirtualHost) Machine() *Machine { return v.machine }

// Step feeds ev to the machine.
func (v *VirtualHost) Step(now time.Time, ev Event) Output { return v.machine.Step(now, ev) }

// Reconfigure changes the virtual host to c, of the same VHID and Dialect, and
// calls act, if anything changed, with what the machine wants done: about the
// interval first, then the passphrase, then the addresses.
func (v *VirtualHost) Reconfigure(now time.Time, c HostConfig, act func(Output)) error {
	if err := v.cfg.compatible(&c); err != nil {
		return err
	}
	old := v.cfg
	if err := v.configure(c); err != nil {
		return err
	}
	if c.Config != old.Config {
		act(v.Step(now, Event{Kind: EventConfig, Config: c.Config}))
	}
	if c.Secret != old.Secret || c.hashedLLAddr() != old.hashedLLAddr() {
		act(v.Step(now, Event{Kind: EventKey}))
	}
	if added, removed := less(c.Addresses, old.Addresses), less(old.Addresses, c.Addresses); added || removed {
		act(v.Step(now, Event{Kind: EventAddrs, Families: c.families(), Added: added}))
	}
	return nil
}

// compatible reports why a virtual host cannot change from c to d, if it cannot.
func (c *HostConfig) compatible(d *HostConfig) error {
	if c.VHID == d.VHID && c.Dialect == d.Dialect {
		return nil
	}
	return fmt.Errorf("carp: vhid %d %v cannot become vhid %d %v: remove it and add the other",
		c.VHID, c.Dialect, d.VHID, d.Dialect)
}

// less reports whether b lacks any address of a.
func less(a, b []netip.Prefix) bool {
	return slices.ContainsFunc(a, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(b, func(q netip.Prefix) bool { return normalAddr(p.Addr()) == normalAddr(q.Addr()) })
	})
}

// Receive checks p and, if it is an advert of this virtual host by a holder of
// the key, feeds it to the machine. The error is one of those that [Stats] has a
// counter for; the machine has not been stepped then.
func (v *VirtualHost) Receive(now time.Time, p *Packet) (Output, error) {
	h, err := inspect(p, v.anyTTL())
	if err != nil {
		return Output{}, err
	}
	if h.VHID != v.cfg.VHID {
		return Output{}, ErrVHID
	}
	return v.receive(now, p, &h)
}

// inspect makes the checks that come before the virtual host is looked up, in
// the kernels' order. The version is not among them.
func inspect(p *Packet, anyTTL bool) (Header, error) {
	var h Header
	switch err := h.UnmarshalBinary(p.Data); {
	case p.TTL != 255 && !anyTTL:
		return h, ErrTTL
	case err == ErrVersion:
		return decode(p.Data), nil
	default:
		return h, err
	}
}

// family is the family of the addresses of p.
func (p *Packet) family() Families {
	if p.Dst.IsValid() {
		return family(p.Dst)
	}
	return family(p.Src)
}

// receive makes the other checks on h, an advert for our VHID.
func (v *VirtualHost) receive(now time.Time, p *Packet, h *Header) (Output, error) {
	f, src := p.family(), plain(p.Src)
	switch {
	case !v.addressed(p, f):
		return Output{}, ErrVHID
	case p.Data[0]>>4 != version:
		return Output{}, ErrVersion
	case PacketType(p.Data) != advert && !v.cfg.AnyType:
		return Output{}, ErrType
	case !v.allowed(src):
		return Output{}, ErrPeer
	case !v.key.Verify(h):
		return Output{}, ErrAuth
	case v.cfg.Replay != ReplayOff && v.sent.has(*h):
		return Output{}, ErrLoop
	case v.cfg.Replay == ReplayStrict && !v.fresh.accept(now, h.Counter):
		return Output{}, ErrReplay
	}
	return v.Step(now, Event{Kind: EventAdvert, Advert: *h, Family: f, Lower: v.lower(src)}), nil
}

// addressed reports whether the dialect delivers a packet of family f for our
// VHID to us at all.
func (v *VirtualHost) addressed(p *Packet, f Families) bool {
	rules := v.machine.rules
	switch {
	case rules.perFamily && f&v.machine.families == 0:
		return false
	case rules.initRefuses && v.machine.state == Init:
		return false
	case rules.sameMode && p.Dst.IsValid() && p.Dst.IsMulticast() == v.cfg.unicast(f):
		return false
	}
	return true
}

// anyTTL reports whether adverts that were routed are fine.
func (v *VirtualHost) anyTTL() bool {
	return v.cfg.AnyTTL || v.cfg.Dialect.traits().routed && (v.cfg.unicast(IPv4) || v.cfg.unicast(IPv6))
}

// allowed reports whether src may speak to us.
func (v *VirtualHost) allowed(src netip.Addr) bool {
	return len(v.cfg.Allow) == 0 ||
		slices.ContainsFunc(v.cfg.Allow, func(p netip.Prefix) bool { return p.Contains(src) })
}

// lower is ucarp's tie-break: the address whose last octet is lower wins, then
// the one before it, as a little-endian machine compares the packet's words.
func (v *VirtualHost) lower(src netip.Addr) bool {
	for _, own := range v.cfg.Source {
		if family(own) == family(src) {
			a, b := src.Unmap().AsSlice(), own.Unmap().AsSlice()
			slices.Reverse(a)
			slices.Reverse(b)
			return slices.Compare(a, b) < 0
		}
	}
	return true
}

// AppendPackets signs h, as an [Output] has it, once for each family in use and
// appends a packet for each group or peer to dst. Their Data is valid until the
// next call.
func (v *VirtualHost) AppendPackets(dst []Packet, now time.Time, h Header) []Packet {
	for i, f := range [...]Families{IPv4, IPv6} {
		if v.machine.families&f == 0 {
			continue
		}
		h.Counter = v.nextCounter(now)
		v.key.Sign(&h)
		v.sent.add(h)
		if v.cfg.Replay == ReplayStrict {
			v.fresh.accept(now, h.Counter) // so that nobody can alter it and send it back
		}
		v.packet[i], _ = h.AppendBinary(v.packet[i][:0])
		dst = v.appendTo(dst, f, v.packet[i])
	}
	return dst
}

// appendTo appends a packet with data for each destination of family f.
func (v *VirtualHost) appendTo(dst []Packet, f Families, data []byte) []Packet {
	p := Packet{Data: data, TTL: 255, LinkSrc: v.cfg.LinkSrc}
	n := len(dst)
	for _, p.Dst = range v.cfg.Peers {
		if family(p.Dst) == f {
			dst = append(dst, p)
		}
	}
	if len(dst) == n {
		p.Dst = Group4
		if f == IPv6 {
			p.Dst = Group6
		}
		dst = append(dst, p)
	}
	return dst
}

// nextCounter is one more than the last, and never 0; or the time, if that is what
// our peers go by.
func (v *VirtualHost) nextCounter(now time.Time) uint64 {
	if v.cfg.Replay == ReplayStrict {
		v.counter = v.nextTime(now)
		return v.counter
	}
	if v.counter++; v.counter == 0 {
		v.counter = 1
	}
	return v.counter
}

// timeNode are the bits of a counter that tell nodes apart rather than the time.
const timeNode = 1<<16 - 1

// nextTime is now, or the next after the last if that is not later, unless the
// clock was set back so far that our peers would refuse it.
func (v *VirtualHost) nextTime(now time.Time) uint64 {
	t := uint64(now.UnixNano())&^timeNode | v.cfg.Seed&timeNode
	if ahead := int64(v.counter - t); ahead >= 0 && ahead < int64(v.fresh.window/2) {
		return v.counter + timeNode + 1
	}
	return t
}
