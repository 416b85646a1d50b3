package main

import (
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/vip"
)

// A group is a virtual host in this event loop: it does what the machine wants,
// in the order in which [carp.Node] does it, so that the addresses are made at
// the new master before they break at the old one.
type group struct {
	fw        *firewall
	port      *port // the interface it is on
	vh        *carp.VirtualHost
	timers    int // the first of its own, see groupTimers
	announcer vip.Announcer
	releasing bool
	pending   []carp.Change // changes to report when the address is gone
	packets   []carp.Packet
}

// refresh is how often a master announces its address again, as carpd does, for
// those who heard another one last.
const refresh = 5 * time.Second

// The timers of a group.
const (
	timerMachine = iota
	timerRelease
	timerAnnounce
	groupTimers
)

// setTimer sets one of the timers above; the zero time stops it.
func (g *group) setTimer(timer int, at time.Time) {
	g.fw.w.net.SetTimer(g.fw.id, g.timers+timer, at)
}

// expired does what a timer is for.
func (g *group) expired(timer int) {
	switch timer {
	case timerMachine:
		g.step(carp.Event{Kind: carp.EventTimer})
	case timerRelease:
		g.release()
	case timerAnnounce:
		g.announce(vip.AnnounceTimer)
	}
}

func (g *group) now() time.Time { return g.fw.w.net.Now() }

// step tells the machine something.
func (g *group) step(ev carp.Event) { g.act(g.vh.Step(g.now(), ev)) }

// receive takes an advert in, or what claims to be one.
func (g *group) receive(ip inet.IP, payload []byte) {
	p := carp.Packet{Data: payload, Src: ip.Src, Dst: ip.Dst, TTL: ip.TTL}
	if out, err := g.vh.Receive(g.now(), &p); err == nil {
		g.act(out)
	}
}

// claimed hears a neighbour say where an address is: if it is ours and somebody
// else claims it, the others have to be told once more. A master that gives way
// does not contest its successor.
func (g *group) claimed(c vip.Claim) {
	if g.vh.Machine().State() == carp.Master && c.Addr == g.port.shared && c.Harmful(g.port.mac) {
		g.announce(vip.AnnounceContested)
	}
}

// act does what the machine wants: acquire, send, announce, release, report.
func (g *group) act(out carp.Output) {
	if out.To == carp.Master && out.From != carp.Master && !g.port.held {
		g.port.held = true
		g.record(event{Kind: kindAcquire, Address: g.port.shared.String()})
	}
	if out.Send {
		g.send(out.Advert)
	}
	if out.Announce || out.Reassert {
		g.announce(vip.AnnounceNow)
	}
	if out.From != out.To {
		g.enter(out)
	}
	g.setTimer(timerMachine, out.Deadline)
}

// enter is a change of state. A master that was succeeded keeps the address for
// a moment, until the neighbours know its successor.
func (g *group) enter(out carp.Output) {
	g.record(event{Kind: kindState, From: out.From.String(), To: out.To.String(), Reason: out.Reason.String()})
	g.pending = append(g.pending, carp.Change{
		VHID: g.port.vhid, Interface: g.port.name, From: out.From, To: out.To, Reason: out.Reason, At: g.now(),
	})
	switch {
	case out.To == carp.Master:
		g.releasing = false // if the address was still there, it stays
		g.setTimer(timerRelease, time.Time{})
		g.report()
	case out.From == carp.Master && succeeded(out.Reason):
		g.releasing = true
		g.setTimer(timerRelease, g.now().Add(carp.DefaultOverlap))
	case out.From == carp.Master || !g.releasing:
		g.release()
	}
}

// succeeded reports whether a master that stopped for why has a successor.
func succeeded(why carp.Reason) bool {
	switch why {
	case carp.ReasonBetterMaster, carp.ReasonEqualMaster, carp.ReasonLessDemoted, carp.ReasonHandedOver:
		return true
	}
	return false
}

// release gives the address up and reports the changes that waited for it.
func (g *group) release() {
	g.releasing = false
	g.setTimer(timerRelease, time.Time{})
	if g.port.held {
		g.port.held = false
		g.record(event{Kind: kindRelease, Address: g.port.shared.String()})
	}
	g.announce(vip.AnnounceStop)
	g.report()
}

// report calls the hook with the pending changes.
func (g *group) report() {
	for _, c := range g.pending {
		g.fw.hook(c)
	}
	g.pending = g.pending[:0]
}

// send transmits an advert.
func (g *group) send(h carp.Header) {
	if h.BowOut() {
		g.record(event{Kind: kindBowOut, Address: g.port.shared.String()})
	}
	g.fw.w.log.Debug("advert", "at", g.now(), "node", g.fw.name, "vhid", h.VHID,
		"advbase", h.AdvBase, "advskew", h.AdvSkew, "demote", h.Demote)
	g.packets = g.vh.AppendPackets(g.packets[:0], g.now(), h)
	for _, p := range g.packets {
		ip := inet.IP{Src: g.port.addr, Dst: p.Dst, Protocol: carp.ProtocolNumber, TTL: p.TTL}
		g.port.send(ipFrame(carpGroup, g.port.mac, ip, p.Data))
	}
}

// announce tells the neighbours where the address is, if the announcer agrees.
func (g *group) announce(ev vip.AnnouncerEvent) {
	send, deadline := g.announcer.Step(g.now(), ev)
	if send {
		g.port.announce()
	}
	g.setTimer(timerAnnounce, deadline)
}

func (g *group) record(e event) {
	e.Node, e.Interface, e.VHID = g.fw.name, g.port.name, g.port.vhid
	g.fw.w.record(e)
}

// newGroup makes the virtual host of a port, in INIT.
func newGroup(fw *firewall, p *port, timers int) (*group, error) {
	vh, err := carp.NewVirtualHost(carp.HostConfig{
		Config: carp.Config{
			VHID: p.vhid, AdvSkew: fw.advskew, Preempt: true, Linger: carp.DefaultLinger,
			Seed: fw.w.net.Rand().Uint64(),
		},
		Secret:    fw.w.secret,
		Addresses: []netip.Prefix{netip.PrefixFrom(p.shared, 24)},
		Counter:   max(fw.w.net.Rand().Uint64(), 1),
	})
	if err != nil {
		return nil, err
	}
	return &group{fw: fw, port: p, vh: vh, timers: timers, announcer: vip.Announcer{Refresh: refresh}}, nil
}
