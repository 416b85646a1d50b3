package main

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/internal/simnet"
	"github.com/gocarp/gocarp/vip"
)

// A host is a client or server: it has one address, and a gateway through which it
// reaches the other one. It never asks where the gateway is but believes what is
// announced, so an announcement that is missed is missed for good.
type host struct {
	w       *world
	name    string
	id      simnet.NodeID
	cable   simnet.SegmentID
	mac     mac
	addr    netip.Addr
	gateway netip.Addr
	next    mac // the gateway's
	knows   bool
	stream  stream
}

// The timers of a host.
const (
	timerProbe = iota
	timerStream
	hostTimers
)

// The ports of the server, and two of the client. The machines on the LAN that log
// to the server have those from logFrom.
const (
	echoPort   = 7
	shellPort  = 22
	syslogPort = 514
	probeFrom  = 40000
	shellFrom  = 40001
	logFrom    = 41000
)

// send sends a packet to the gateway.
func (h *host) send(p packet) {
	if h.knows {
		p.ttl = 64
		h.w.net.Broadcast(h.cable, h.id, p.frame(h.next, h.mac))
	}
}

// receive takes in a frame: an announcement, or a packet for this host.
func (h *host) receive(f []byte) (packet, bool) {
	if etherType(f) == etherTypeARP {
		h.learn(f)
		return packet{}, false
	}
	dst, ip, payload, ok := parseIP(f)
	if !ok || dst != h.mac || ip.Dst != h.addr {
		return packet{}, false
	}
	return parsePacket(ip, payload)
}

// learn reads an announcement.
func (h *host) learn(f []byte) {
	c, ok := vip.ParseClaim(f)
	if !ok || c.Addr != h.gateway || h.knows && c.MAC == h.next {
		return
	}
	h.next, h.knows = c.MAC, true
	h.w.record(event{Kind: kindNeighbour, Node: h.name, Address: h.gateway.String(), MAC: c.MAC.String(), At: h.w.owner(c.MAC)})
}

// keep goes on with the stream until a time.
func (h *host) keep(until time.Time) {
	h.stream.tick()
	if next := h.w.net.Now().Add(streamInterval); next.Before(until) {
		h.w.net.SetTimer(h.id, timerStream, next)
	}
}

// A server sends probes back, and keeps up its end of the stream.
type server struct{ host }

// Packet implements [simnet.Handler].
func (s *server) Packet(_ simnet.SegmentID, _ simnet.NodeID, f []byte) {
	p, ok := s.receive(f)
	switch {
	case !ok:
	case p.proto == protoUDP && p.dst.Port() == echoPort:
		p.src, p.dst = p.dst, p.src
		s.send(p)
	case p.proto == protoTCP && p.dst == s.stream.local:
		if s.stream.state == streamClosed {
			s.w.net.SetTimer(s.id, timerStream, s.w.net.Now().Add(streamInterval/2))
		}
		s.stream.receive(&p)
	}
}

// Timer implements [simnet.Handler].
func (s *server) Timer(int) { s.keep(s.w.client.until) }

const (
	probeInterval = 10 * time.Millisecond
	probeTimeout  = time.Second // a probe without an answer by then is lost

	// logs is how many machines log: enough for the answer to a bulk request to take
	// longer than a backup takes to preempt, so that it matters that pfsync demotes,
	// and not so many that the converger compares the tables before it is over, since
	// what it sends again would depend on the order of the states in a hash table.
	logs = 200
)

// A client sends probes to the server without pause, and types on the stream. In the
// beginning others on the LAN, for which it stands as well, log something: that
// makes connections that nobody needs any more but the table still has.
type client struct {
	host
	server netip.Addr
	until  time.Time
	probes []probe
}

// A probe is a datagram and when its answer came, zero if none did in time.
type probe struct{ sent, answered time.Time }

// start begins with all that, and ends it at a time.
func (c *client) start(at, until time.Time) {
	c.until = until
	c.w.net.SetTimer(c.id, timerProbe, at)
	c.w.net.SetTimer(c.id, timerStream, at)
}

// Timer implements [simnet.Handler].
func (c *client) Timer(timer int) {
	if timer == timerStream {
		if c.stream.state == streamClosed {
			c.stream.open()
		}
		c.keep(c.until)
		return
	}
	now, n := c.w.net.Now(), len(c.probes)
	c.datagram(probeFrom, echoPort, binary.BigEndian.AppendUint32(nil, uint32(n)))
	if n < logs {
		c.datagram(uint16(logFrom+n), syslogPort, []byte("<6>up"))
	}
	c.probes = append(c.probes, probe{sent: now})
	if next := now.Add(probeInterval); next.Before(c.until) {
		c.w.net.SetTimer(c.id, timerProbe, next)
	}
}

func (c *client) datagram(from, to uint16, data []byte) {
	c.send(packet{proto: protoUDP, src: netip.AddrPortFrom(c.addr, from), dst: netip.AddrPortFrom(c.server, to), data: data})
}

// Packet implements [simnet.Handler].
func (c *client) Packet(_ simnet.SegmentID, _ simnet.NodeID, f []byte) {
	p, ok := c.receive(f)
	switch {
	case !ok:
	case p.proto == protoTCP && p.dst == c.stream.local && p.src == c.stream.remote:
		c.stream.receive(&p)
	case p.proto == protoUDP && p.dst.Port() == probeFrom && len(p.data) == 4:
		c.answered(int(binary.BigEndian.Uint32(p.data)))
	}
}

// answered takes note of the answer to a probe.
func (c *client) answered(n int) {
	if n >= len(c.probes) {
		return
	}
	now, p := c.w.net.Now(), &c.probes[n]
	if p.answered.IsZero() && now.Sub(p.sent) <= probeTimeout {
		p.answered = now
	}
}
