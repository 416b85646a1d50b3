//go:build linux

package main

import (
	"errors"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/gocarp/gocarp/internal/labnet"
)

// A pinger is a session's way to a host and back by ICMP echo: a line is a request.
type pinger struct {
	conn *icmp.PacketConn
	to   net.Addr
	id   int
	seq  atomic.Uint32
}

// dialPing opens a session of pings from a host to an address.
func dialPing(h *labnet.Host, addr string) (*session, error) {
	p := &pinger{to: &net.IPAddr{IP: net.ParseIP(addr)}, id: os.Getpid() & 0xffff}
	var err error
	if e := h.Do(func() { p.conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0") }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	return newLossySession("ping", p), nil
}

// Write sends a request. What cannot be sent is lost like what is lost on the way.
func (p *pinger) Write(line []byte) (int, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: int(p.seq.Add(1) & 0xffff), Data: line}}
	b, err := m.Marshal(nil)
	if err == nil {
		_, err = p.conn.WriteTo(b, p.to)
	}
	if errors.Is(err, net.ErrClosed) {
		return 0, err
	}
	return len(line), nil
}

// Read waits for an answer.
func (p *pinger) Read(line []byte) (int, error) {
	buf := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if err != nil {
			return 0, err
		}
		m, err := icmp.ParseMessage(1, buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && e.ID == p.id {
			return copy(line, e.Data), nil
		}
	}
}

// Close ends the session.
func (p *pinger) Close() error { return p.conn.Close() }
