//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/labnet"
)

const (
	echoPort      = 7007
	probeInterval = time.Millisecond

	// patience is how long a probe may take. One without an answer by then is lost.
	patience = time.Second
)

// listenUDP opens a UDP socket on a host that loses nothing while its reader has to
// wait for a turn.
func listenUDP(h *labnet.Host, addr string) (*net.UDPConn, error) {
	var c net.PacketConn
	var err error
	if e := h.Do(func() { c, err = net.ListenPacket("udp4", addr) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	conn := c.(*net.UDPConn)
	rc, err := conn.SyscallConn()
	if err == nil {
		rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) })
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// echo answers datagrams on a host with the datagram and the port that it came from:
// who sent it learns which port the NAT gave it.
func echo(h *labnet.Host) (*net.UDPConn, error) {
	conn, err := listenUDP(h, fmt.Sprint(":", echoPort))
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf[:8])
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint16(buf[:n], from.Port()), from)
			}
		}
	}()
	return conn, nil
}

// A probe sends a numbered datagram each millisecond and notes which are answered.
type probe struct {
	conn *net.UDPConn
	stop chan struct{}
	done chan struct{} // closed when the last one was sent

	mu    sync.Mutex
	sent  []shot
	moved []time.Time // answers that came by another port of the NAT than the one before
	port  uint16
}

// A shot is a datagram that was sent.
type shot struct {
	at, answered time.Time // answered is zero: not (yet)
}

// newProbe starts to probe an address from a host.
func newProbe(h *labnet.Host, addr string) (*probe, error) {
	to, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	p := &probe{stop: make(chan struct{}), done: make(chan struct{})}
	if p.conn, err = listenUDP(h, ":0"); err != nil {
		return nil, err
	}
	go p.receive()
	go p.send(netip.AddrPortFrom(to, echoPort))
	return p, nil
}

func (p *probe) send(to netip.AddrPort) {
	defer close(p.done)
	next := time.Now()
	buf := make([]byte, 0, 8)
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(time.Until(next)):
		}
		p.mu.Lock()
		n := len(p.sent)
		p.sent = append(p.sent, shot{at: time.Now()})
		p.mu.Unlock()
		p.conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(buf, uint64(n)), to) // an error is a loss
		next = next.Add(probeInterval)
		if late := time.Now(); next.Before(late) {
			next = late // no bursts
		}
	}
}

func (p *probe) receive() {
	buf := make([]byte, 64)
	for {
		n, err := p.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n != 10 {
			continue
		}
		now := time.Now()
		p.mu.Lock()
		if i := binary.BigEndian.Uint64(buf); i < uint64(len(p.sent)) && p.sent[i].answered.IsZero() {
			p.sent[i].answered = now
			if port := binary.BigEndian.Uint16(buf[8:]); port != p.port {
				if p.port != 0 {
					p.moved = append(p.moved, now)
				}
				p.port = port
			}
		}
		p.mu.Unlock()
	}
}

// count is the number of probes that were sent.
func (p *probe) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// moves is when the NAT has used another port, since a time.
func (p *probe) moves(since time.Time) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.moved), func(t time.Time) bool { return t.Before(since) })
}

// answered reports whether one of the probes from a number on was answered.
func (p *probe) answered(from int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.sent[from:], func(s shot) bool { return !s.answered.IsZero() })
}

// shots are the probes from one to another, once they are answered or lost.
func (p *probe) shots(from, to int) []shot {
	for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		all := slices.Clone(p.sent[from:to])
		p.mu.Unlock()
		open := slices.ContainsFunc(all, func(s shot) bool { return s.answered.IsZero() })
		if !open || time.Now().After(until) {
			return all
		}
	}
}

// close ends the probe.
func (p *probe) close() {
	close(p.stop)
	<-p.done
	p.conn.Close()
}

// A loss is what became of a number of probes.
type loss struct {
	sent, lost int
	gap        time.Duration // the longest time with lost ones in it, from one that was answered to the next
	stall      time.Duration // the longest time between two that were sent: this machine stood still
}

// lossOf adds up.
func lossOf(shots []shot) loss {
	l := loss{sent: len(shots)}
	if len(shots) == 0 {
		return l
	}
	last, missing := shots[0].at, false
	for i, s := range shots {
		if i > 0 {
			l.stall = max(l.stall, s.at.Sub(shots[i-1].at))
		}
		if s.answered.IsZero() {
			l.lost++
			missing = true
			continue
		}
		if missing {
			l.gap = max(l.gap, s.at.Sub(last))
		}
		last, missing = s.at, false
	}
	if missing { // to the end
		l.gap = max(l.gap, shots[len(shots)-1].at.Sub(last))
	}
	return l
}
