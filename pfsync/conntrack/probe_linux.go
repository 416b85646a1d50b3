package conntrack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// An Effect is what a [Probe] has seen entries of the table do.
type Effect struct {
	// Tracked: packets are looked up in the table. If not, no rule of the
	// namespace uses conntrack, and entries put into the table have no effect.
	Tracked bool

	// Translated: packets are rewritten as the table says. If not, there is no
	// NAT chain, and sessions with a translation do not survive a failover.
	Translated bool
}

const (
	// probeWait is how long a packet to ourselves may take.
	probeWait = time.Second

	// probeTimeout is of the entry, in seconds. A packet sets it higher.
	probeTimeout = 3
)

// Probe puts an entry with a translation for one UDP packet over the loopback
// into the table of the calling thread's network namespace, sends the packet,
// looks what became of it, and takes the entry out again. With 127.0.0.1 it tells
// about IPv4, with ::1 about IPv6: the kernel has hooks for each.
//
// It fails if the packet does not arrive: the loopback is down, or a rule drops
// packets there. A rule that exempts the loopback from tracking makes it say
// that nothing has an effect.
func Probe(loopback netip.Addr) (Effect, error) {
	var conns [3]*net.UDPConn
	var ports [3]uint16
	for i := range conns {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			return Effect{}, fmt.Errorf("conntrack: probe: %w", err)
		}
		defer c.Close()
		conns[i], ports[i] = c, c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	from, to := conns[0], conns[1]
	e := Entry{Timeout: probeTimeout, Orig: Tuple{
		Src: loopback, SrcPort: ports[0],
		Dst: loopback, DstPort: ports[1],
		Proto: ProtoUDP,
	}}
	e.Reply = e.Orig.Inverse()
	e.Reply.DstPort = ports[2] // open, so that nobody else has it

	return e.probe(from, to)
}

// probe makes from send a packet to to, with e in the table.
func (e *Entry) probe(from, to *net.UDPConn) (_ Effect, err error) {
	var failed error
	w, err := OpenWriter(WriterConfig{Failed: func(_ Op, _ *Entry, err error) { failed = err }})
	if err != nil {
		return Effect{}, err
	}
	defer w.Close()
	if err := errors.Join(w.Upsert(e), w.Flush()); err != nil {
		return Effect{}, err
	}
	if failed != nil {
		return Effect{}, failed
	}
	defer func() { err = errors.Join(err, w.Delete(e), w.Flush()) }()

	if _, err := from.WriteToUDPAddrPort(nil, netip.AddrPortFrom(e.Orig.Dst, e.Orig.DstPort)); err != nil {
		return Effect{}, fmt.Errorf("conntrack: probe: %w", err)
	}
	to.SetReadDeadline(time.Now().Add(probeWait))
	var src uint16
	for src != e.Orig.SrcPort && src != e.Reply.DstPort {
		_, addr, err := to.ReadFromUDPAddrPort(nil)
		if err != nil {
			return Effect{}, fmt.Errorf("conntrack: probe: the packet did not arrive: %w", err)
		}
		src = addr.Port()
	}
	now, err := get(e)
	if err != nil {
		return Effect{}, err
	}
	return Effect{Tracked: now.Timeout > e.Timeout, Translated: src == e.Reply.DstPort}, nil
}

// get asks the kernel for the entry with e.Orig.
func get(e *Entry) (Entry, error) {
	s, err := openSocket(answerBuffer)
	if err != nil {
		return Entry{}, err
	}
	defer s.close()
	req, err := AppendGet(nil, 0, e)
	if err != nil {
		return Entry{}, err
	}
	b := make([]byte, 64<<10)
	var n int
	var m message
	if err = s.send(req); err == nil {
		n, err = s.receive(b)
	}
	if err == nil {
		m, _, err = nextMessage(b[:n])
	}
	if err == nil && m.typ == msgError {
		err = m.errno()
	}
	if err != nil {
		return Entry{}, fmt.Errorf("conntrack: get: %w", err)
	}
	var got Entry
	err = got.UnmarshalBinary(m.body)
	return got, err
}
