package main

import (
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/simnet"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

// A firewall is one node of the pair. It has a virtual host on the LAN and, but
// for the single WAN address, one on the WAN, and they share a demotion: what is
// wrong with one interface makes the other give way as well, and so does a state
// table that is not complete.
type firewall struct {
	w        *world
	name     string
	number   byte // in addresses
	advskew  uint8
	id       simnet.NodeID
	lan, wan port
	on       bool // has power
	demotion *demote.Counter
	groups   []*group
	wanted   bool // the hook wants the WAN enabled

	states *table
	sync   *syncer
	hostID uint32 // of this boot, as is the first serial
	serial uint64 // of the last state
}

// The timers after those of the groups on LAN and WAN.
const (
	timerHook = 2*groupTimers + iota
	timerSync
	timerSide
	timerExpire
	firewallTimers
)

// expireInterval is how often the table is searched for what nobody uses any more.
const expireInterval = time.Second

// A port is an interface of a firewall.
type port struct {
	fw      *firewall
	name    string // lan or wan
	sw      *simnet.Switch
	cable   simnet.SegmentID
	mac     mac
	addr    netip.Addr // its own
	shared  netip.Addr // the address of the pair
	vhid    uint8      // 0: no virtual host, the hook enables the port
	enabled bool
	held    bool // the shared address is here
}

// send sends a frame, unless the interface is disabled.
func (p *port) send(f []byte) {
	if p.enabled {
		p.fw.w.net.Broadcast(p.cable, p.fw.id, f)
	}
}

// announce sends gratuitous ARP for the shared address, in both forms as an
// [vip.Applier] does.
func (p *port) announce() {
	for _, form := range [...]vip.ARPForm{vip.ARPRequest, vip.ARPReply} {
		f, err := vip.GratuitousARP(form, p.mac, p.shared)
		if err == nil { // it is for IPv4 addresses, and this is one
			p.send(f)
		}
	}
}

// powerOn boots the firewall: it knows nothing of what was before.
func (fw *firewall) powerOn() error {
	fw.on, fw.demotion, fw.groups, fw.wanted = true, new(demote.Counter), nil, false
	fw.w.net.Restart(fw.id)
	for i, p := range []*port{&fw.lan, &fw.wan} {
		p.sw.Plug(p.cable)
		p.held, p.enabled = false, p.vhid != 0
		if p.vhid == 0 {
			continue
		}
		g, err := newGroup(fw, p, i*groupTimers)
		if err != nil {
			return err
		}
		fw.groups = append(fw.groups, g)
	}
	if err := fw.startSync(); err != nil {
		return err
	}
	fw.up()
	return nil
}

// startSync begins with an empty table and asks for that of the other firewall.
func (fw *firewall) startSync() (err error) {
	fw.hostID = max(fw.w.net.Rand().Uint32(), 1)
	fw.serial = uint64(fw.w.net.Now().Unix()) << 32
	if fw.states, err = newTable(); err != nil {
		return err
	}
	if fw.sync, err = newSyncer(fw); err != nil {
		return err
	}
	fw.w.carrier()
	fw.sync.up()
	fw.w.net.SetTimer(fw.id, timerExpire, fw.w.net.Now().Add(expireInterval))
	return nil
}

// powerOff is a crash: nobody says goodbye, and the links are gone.
func (fw *firewall) powerOff() {
	fw.on = false
	fw.w.net.Crash(fw.id)
	fw.lan.sw.Unplug(fw.lan.cable)
	fw.wan.sw.Unplug(fw.wan.cable)
	fw.w.carrier()
}

// up and down are "ifconfig up" and "down" on all virtual hosts.
func (fw *firewall) up()   { fw.tell(carp.Event{Kind: carp.EventUp}) }
func (fw *firewall) down() { fw.tell(carp.Event{Kind: carp.EventDown}) }

func (fw *firewall) tell(ev carp.Event) {
	for _, g := range fw.groups {
		g.step(ev)
	}
}

// pull takes the cable out of a port, plug puts it back. The virtual host there
// stops, and the demotion makes those on the other ports give way.
func (fw *firewall) pull(p *port) {
	p.sw.Unplug(p.cable)
	fw.link(p, carp.LinkDown, 1)
}

func (fw *firewall) plug(p *port) {
	p.sw.Plug(p.cable)
	fw.link(p, carp.LinkUp, 0)
}

func (fw *firewall) link(p *port, l carp.Link, demotion int) {
	for _, g := range fw.groups {
		if g.port == p {
			g.step(carp.Event{Kind: carp.EventLink, Link: l})
		}
	}
	fw.demote("link "+p.name, demotion)
}

// demote is contribute, for causes that need no reason.
func (fw *firewall) demote(cause string, n int) { fw.contribute(cause, n, cause) }

// contribute makes n what cause contributes to the demotion, and tells all groups.
func (fw *firewall) contribute(cause string, n int, reason string) {
	fw.demotion.Set(cause, n)
	v := fw.demotion.Value()
	fw.w.record(event{Kind: kindDemotion, Node: fw.name, Demotion: &v, Reason: reason})
	fw.tell(carp.Event{Kind: carp.EventDemote, Demote: v})
}

// hookMin and hookMax bound how long the hook takes to configure an interface.
const (
	hookMin = 150 * time.Millisecond
	hookMax = 300 * time.Millisecond
)

// hook is called at each change of state. Where there is one WAN address only it
// starts what enables the WAN on MASTER and disables it otherwise.
func (fw *firewall) hook(c carp.Change) {
	if fw.wan.vhid != 0 {
		return
	}
	fw.wanted = c.To == carp.Master
	takes := hookMin + time.Duration(fw.w.net.Rand().Int64N(int64(hookMax-hookMin)))
	fw.w.net.SetTimer(fw.id, timerHook, fw.w.net.Now().Add(takes))
}

// hooked is when that is done.
func (fw *firewall) hooked() {
	p := &fw.wan
	if p.enabled == fw.wanted {
		return
	}
	p.enabled, p.held = fw.wanted, fw.wanted
	kind := kindDisable
	if p.enabled {
		kind = kindEnable
		p.announce() // which also tells the switch behind which port the MAC is now
	}
	fw.w.record(event{Kind: kind, Node: fw.name, Interface: p.name, Address: p.shared.String()})
}

// Timer implements [simnet.Handler].
func (fw *firewall) Timer(timer int) {
	switch timer {
	case timerHook:
		fw.hooked()
	case timerSync:
		fw.sync.step(pfsync.Event{Kind: pfsync.EventTimer})
	case timerSide:
		fw.sync.converged(fw.sync.converger.Timer(fw.w.net.Now()))
	case timerExpire:
		fw.expire()
		fw.w.net.SetTimer(fw.id, timerExpire, fw.w.net.Now().Add(expireInterval))
	}
	for _, g := range fw.groups {
		if n := timer - g.timers; 0 <= n && n < groupTimers {
			g.expired(n)
		}
	}
}

// Packet implements [simnet.Handler].
func (fw *firewall) Packet(cable simnet.SegmentID, _ simnet.NodeID, f []byte) {
	if cable == fw.w.sync {
		if _, ip, payload, ok := parseIP(f); ok {
			fw.sync.receive(ip, payload)
		}
		return
	}
	in, out := &fw.lan, &fw.wan
	if cable == fw.wan.cable {
		in, out = out, in
	}
	if !in.enabled {
		return
	}
	if etherType(f) == etherTypeARP {
		if c, ok := vip.ParseClaim(f); ok {
			fw.claimed(in, c)
		}
		return
	}
	dst, ip, payload, ok := parseIP(f)
	switch {
	case !ok:
	case dst == carpGroup && ip.Protocol == carp.ProtocolNumber:
		fw.advert(in, ip, payload)
	case dst == in.mac:
		if p, ok := parsePacket(ip, payload); ok {
			fw.forward(in, out, p)
		}
	}
}

func (fw *firewall) claimed(in *port, c vip.Claim) {
	for _, g := range fw.groups {
		if g.port == in {
			g.claimed(c)
		}
	}
}

func (fw *firewall) advert(in *port, ip inet.IP, payload []byte) {
	for _, g := range fw.groups {
		if g.port == in {
			g.receive(ip, payload)
		}
	}
}
