package main

import (
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/simnet"
	"github.com/gocarp/gocarp/vip"
)

// A host is a client or server: it has one address, and a gateway to all that is
// not on its segment. It never asks where the gateway is but believes what is
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
}

// send sends an IP packet to a host beyond the gateway.
func (h *host) send(dst netip.Addr, payload []byte) {
	if !h.knows {
		return
	}
	ip := inet.IP{Src: h.addr, Dst: dst, Protocol: icmp, TTL: 64}
	h.w.net.Broadcast(h.cable, h.id, ipFrame(h.next, h.mac, ip, payload))
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

// A server answers echo requests.
type server struct{ host }

// Packet implements [simnet.Handler].
func (s *server) Packet(_ simnet.SegmentID, _ simnet.NodeID, f []byte) {
	if etherType(f) == etherTypeARP {
		s.learn(f)
		return
	}
	dst, ip, payload, ok := parseIP(f)
	if !ok || dst != s.mac {
		return
	}
	if seq, ok := parseEcho(echoRequest, s.addr, ip, payload); ok {
		s.send(ip.Src, echo(echoReply, seq))
	}
}

// Timer implements [simnet.Handler].
func (s *server) Timer(int) {}

const (
	probeInterval = 10 * time.Millisecond
	probeTimeout  = time.Second // a probe without an answer by then is lost
)

// A client pings the server without pause.
type client struct {
	host
	server netip.Addr
	until  time.Time
	probes []probe
}

// A probe is an echo request and when its answer came, zero if none did in time.
type probe struct{ sent, answered time.Time }

// Timer implements [simnet.Handler]: it is time for the next probe.
func (c *client) Timer(int) {
	now := c.w.net.Now()
	c.send(c.server, echo(echoRequest, len(c.probes)))
	c.probes = append(c.probes, probe{sent: now})
	if next := now.Add(probeInterval); next.Before(c.until) {
		c.w.net.SetTimer(c.id, 0, next)
	}
}

// Packet implements [simnet.Handler].
func (c *client) Packet(_ simnet.SegmentID, _ simnet.NodeID, f []byte) {
	if etherType(f) == etherTypeARP {
		c.learn(f)
		return
	}
	dst, ip, payload, ok := parseIP(f)
	if !ok || dst != c.mac {
		return
	}
	seq, ok := parseEcho(echoReply, c.addr, ip, payload)
	if !ok || seq >= len(c.probes) {
		return
	}
	now, p := c.w.net.Now(), &c.probes[seq]
	if p.answered.IsZero() && now.Sub(p.sent) <= probeTimeout {
		p.answered = now
	}
}
