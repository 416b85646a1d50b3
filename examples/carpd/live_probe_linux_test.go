package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

const echoPort = 7007

// listenUDP opens a UDP socket in a namespace that loses nothing while its reader
// has to wait for a turn.
func listenUDP(t testing.TB, ns *netns.NS, network, addr string) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	var err error
	ns.Do(func() { c, err = net.ListenPacket(network, addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn := c.(*net.UDPConn)
	rc, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) })
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echo has all hosts answer datagrams, from the address that each was sent to. A
// host that does not have this address any more cannot answer.
func (b *bench) echo() {
	b.t.Helper()
	for _, h := range b.hosts {
		c4 := ipv4.NewPacketConn(listenUDP(b.t, b.lab.NS(h), "udp4", fmt.Sprint(":", echoPort)))
		if err := c4.SetControlMessage(ipv4.FlagDst, true); err != nil {
			b.t.Fatal(err)
		}
		go func() {
			buf := make([]byte, 64)
			for {
				n, cm, src, err := c4.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil && cm != nil {
					c4.WriteTo(buf[:n], &ipv4.ControlMessage{Src: cm.Dst}, src)
				}
			}
		}()
		c6 := ipv6.NewPacketConn(listenUDP(b.t, b.lab.NS(h), "udp6", fmt.Sprint(":", echoPort)))
		if err := c6.SetControlMessage(ipv6.FlagDst, true); err != nil {
			b.t.Fatal(err)
		}
		go func() {
			buf := make([]byte, 64)
			for {
				n, cm, src, err := c6.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil && cm != nil {
					c6.WriteTo(buf[:n], &ipv6.ControlMessage{Src: cm.Dst}, src)
				}
			}
		}()
	}
}

// A probe sends a numbered datagram each millisecond and notes which are answered.
type probe struct {
	t    testing.TB
	conn *net.UDPConn
	stop chan struct{}
	done chan struct{} // closed when the last one was sent

	mu       sync.Mutex
	sent     []time.Time
	answered []time.Time // zero: not (yet)
}

// probe starts to probe an address from the client. The echo must be running.
func (b *bench) probe(addr string) *probe {
	b.t.Helper()
	to := netip.AddrPortFrom(netip.MustParseAddr(addr), echoPort)
	network := "udp4"
	if to.Addr().Is6() {
		network = "udp6"
	}
	p := &probe{t: b.t, conn: listenUDP(b.t, b.client, network, ":0"), stop: make(chan struct{}), done: make(chan struct{})}
	go p.receive()
	go p.send(to)
	return p
}

func (p *probe) send(to netip.AddrPort) {
	defer close(p.done)
	next := time.Now()
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(time.Until(next)):
		}
		p.mu.Lock()
		n := len(p.sent)
		p.sent, p.answered = append(p.sent, time.Now()), append(p.answered, time.Time{})
		p.mu.Unlock()
		p.conn.WriteToUDPAddrPort(binary.BigEndian.AppendUint64(nil, uint64(n)), to) // an error is a loss
		next = next.Add(time.Millisecond)
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
		if err != nil || n != 8 {
			continue
		}
		now := time.Now()
		p.mu.Lock()
		if i := binary.BigEndian.Uint64(buf); i < uint64(len(p.answered)) && p.answered[i].IsZero() {
			p.answered[i] = now
		}
		p.mu.Unlock()
	}
}

// answers waits until a probe that is sent from now on is answered.
func (p *probe) answers() {
	p.t.Helper()
	from := p.count()
	await(p.t, "a probe is answered", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.answered[from:], func(t time.Time) bool { return !t.IsZero() })
	})
}

func (p *probe) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// settle waits until the first n probes are answered or lost.
func (p *probe) settle(n int) {
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		open := slices.ContainsFunc(p.answered[:n], time.Time.IsZero)
		p.mu.Unlock()
		if !open {
			return
		}
	}
}

// end stops the probe and waits for the last answers.
func (p *probe) end() {
	close(p.stop)
	<-p.done
	p.settle(p.count())
}

// A loss is what became of a number of probes.
type loss struct {
	sent, lost int
	gap        time.Duration // the longest time from the sending of one that was answered to that of the next
	stall      time.Duration // the longest time between two that were sent: this machine stood still
	where      []string      // when the lost ones were sent, and how many in a row
}

// lost is the loss from one probe to another.
func (p *probe) lost(from, to int) loss {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := loss{sent: to - from}
	last, run := -1, 0
	for i := from; i < to; i++ {
		if i > from {
			l.stall = max(l.stall, p.sent[i].Sub(p.sent[i-1]))
		}
		if p.answered[i].IsZero() {
			l.lost++
			run++
			continue
		}
		if run > 0 {
			l.where = append(l.where, fmt.Sprintf("%d at %s", run, p.sent[i-run].UTC().Format("15:04:05.000000")))
		}
		if last >= 0 {
			l.gap = max(l.gap, p.sent[i].Sub(p.sent[last]))
		}
		last, run = i, 0
	}
	if run > 0 {
		l.where = append(l.where, fmt.Sprintf("%d at the end", run))
	}
	return l
}

func (l loss) String() string {
	return fmt.Sprintf("%d of %d probes lost, longest gap %v (%s)", l.lost, l.sent, l.gap.Round(time.Microsecond), strings.Join(l.where, ", "))
}
