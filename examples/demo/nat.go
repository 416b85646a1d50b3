package main

import (
	"net/netip"

	"github.com/gocarp/gocarp/pfsync"
)

// forward routes a packet, if it belongs to a connection. A firewall only does so
// for those whose gateway it is at the moment: CARP has a MAC of its own for that,
// which a backup does not listen to.
func (fw *firewall) forward(in, out *port, p packet) {
	if !in.held || p.ttl <= 1 {
		return
	}
	p.ttl--
	whole := p
	switch fw.judge(in, &p) {
	case pass:
		out.sendTo(&p)
	case refuse:
		in.reset(&whole)
	}
}

// sendTo sends a packet to a host on the segment.
func (p *port) sendTo(pkt *packet) {
	if next, ok := p.fw.w.neighbour(pkt.dst.Addr()); ok {
		p.send(pkt.frame(next, p.mac))
	}
}

// reset answers a TCP segment that belongs to no connection.
func (p *port) reset(pkt *packet) {
	if pkt.proto == protoTCP && pkt.flags&flagRST == 0 {
		p.sendTo(&packet{proto: protoTCP, ttl: 64, src: pkt.dst, dst: pkt.src, seq: pkt.ack, flags: flagRST})
	}
}

// A decision is what becomes of a packet. The ruleset has two lines, "block return"
// and "pass from the LAN, with nat-to the shared address of the WAN".
type decision uint8

const (
	pass   decision = iota
	drop            // without a word
	refuse          // it belongs to no connection, and TCP hears so
)

// judge looks up the states of a packet, one for each interface that it passes,
// and translates it. The first packet of a connection makes them.
func (fw *firewall) judge(in *port, p *packet) decision {
	id, ok := fw.states.incoming(p)
	if !ok && in == &fw.lan && p.first() && fw.connect(p) {
		id, ok = fw.states.incoming(p)
	}
	if !ok {
		return refuse
	}
	if !fw.track(id, p, true) {
		return drop
	}
	inside := fw.states.flows[id].stack
	p.src, p.dst = inside.far, inside.near

	if id, ok = fw.states.outgoing(p); !ok {
		return refuse
	}
	if !fw.track(id, p, false) {
		return drop
	}
	outside := fw.states.flows[id].wire
	p.src, p.dst = outside.near, outside.far
	return pass
}

// connect makes the states of a new connection. It reports false if there is no
// room for them.
func (fw *firewall) connect(p *packet) bool {
	inside := flow{p.proto, p.src, p.dst}
	port, ok := fw.freePort(p)
	if !ok || !fw.insert(pfsync.In, inside, inside) {
		return false
	}
	translated := netip.AddrPortFrom(fw.wan.shared, port)
	return fw.insert(pfsync.Out, flow{p.proto, p.dst, translated}, flow{p.proto, p.dst, p.src})
}

// The ports that connections are translated to, as with pf.
const (
	natLow  = 50001
	natHigh = 65535
)

// freePort is a port on the WAN that no other connection to the same host has,
// those that the other firewall has made among them.
func (fw *firewall) freePort(p *packet) (uint16, bool) {
	const n = natHigh - natLow + 1
	first := fw.w.net.Rand().IntN(n)
	for i := range n {
		port := uint16(natLow + (first+i)%n)
		if _, taken := fw.states.wire[flow{p.proto, p.dst, netip.AddrPortFrom(fw.wan.shared, port)}]; !taken {
			return port, true
		}
	}
	return 0, false
}

// insert makes a state and has the other firewall told.
func (fw *firewall) insert(d pfsync.Direction, wire, stack flow) bool {
	fw.serial++
	st := pfsync.State{
		StateID: pfsync.StateID{ID: fw.serial, CreatorID: fw.hostID},
		IfName:  pfsync.Name{'a', 'l', 'l'},
		Wire:    wire.key(), Stack: stack.key(), Direction: d,
		AF: pfsync.AFInet, Proto: wire.proto, Timeout: pfsync.UDPFirst,
		Rule: noRule, Anchor: noRule, NATRule: noRule,
	}
	if wire.proto == protoTCP {
		st.Timeout = pfsync.TCPFirst
	}
	if fw.states.Insert(fw.w.net.Now(), &st, nil) != nil {
		return false
	}
	fw.states.inserted(&st)
	fw.sync.step(pfsync.Event{Kind: pfsync.EventInsert, State: &st})
	return true
}

const noRule = 0xffffffff

// expire removes the states that nobody uses any more.
func (fw *firewall) expire() {
	now := fw.w.net.Now()
	var gone []pfsync.StateID
	fw.states.Expire(now, func(id pfsync.StateID) { gone = append(gone, id) })
	for _, id := range gone {
		fw.states.removed(id)
		fw.sync.converger.Removed(now, id, true)
		fw.sync.step(pfsync.Event{Kind: pfsync.EventDelete, ID: id})
	}
}
