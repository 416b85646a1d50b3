package conntrack

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gocarp/gocarp/pfsync"
)

// ErrUnmapped is matched by errors about states and entries that the other side
// has no words for.
var ErrUnmapped = errors.New("conntrack: no counterpart")

// A Mapping says how entries are told to pf. The other way there is no choice.
//
// A connection that is forwarded is one entry here, and two states there: one for
// the interface where it comes in, one for that where it goes out. In between, on the
// stack side of both, it looks the same: that is how they are found to belong
// together, whatever is translated where. With C the client, V the address it
// talks to, S the server in truth and N the client as the server sees it:
//
//	Orig  C -> V    In   Wire  {C, V}   Stack {C, S}
//	Reply S -> N    Out  Stack {S, C}   Wire  {S, N}
type Mapping struct {
	// Dialect is that of the pf peers. Up to FreeBSD 14, pf knows ICMP queries
	// by their id alone.
	Dialect pfsync.Dialect

	// Sloppy makes pf peers carry TCP connections without a look at sequence
	// numbers. Without it they learn them from the next packets, which fails for
	// one connection in 16000 or so.
	Sloppy bool
}

// oneICMPPort says that both ports of a key are the id of the query.
func (m Mapping) oneICMPPort() bool {
	return m.Dialect >= pfsync.FreeBSD12 && m.Dialect <= pfsync.FreeBSD14
}

// noRule is what pf says for none.
const noRule = 0xffffffff

// anyInterface is where states are that are not bound to one.
var anyInterface = pfsync.Name{'a', 'l', 'l'}

// Export makes the two states of e, but for their identities. They are Creation
// seconds old if now, a Unix time in nanoseconds, and e.Start are known. The error
// matches [ErrUnmapped].
func (m Mapping) Export(e *Entry, now int64, in, out *pfsync.State) error {
	k, err := m.keys(e)
	if err != nil {
		return err
	}
	var p progress
	if p, err = m.progress(e); err != nil {
		return err
	}
	*in = pfsync.State{
		IfName: anyInterface, Direction: pfsync.In, Wire: k.inWire, Stack: k.middle,
		AF: k.middle.AF, Proto: k.middle.Proto, Src: p.src, Dst: p.dst,
		Timeout: p.class, Expire: min(e.Timeout, lifetime(p.class)), Flags: p.flags,
		Rule: noRule, Anchor: noRule, NATRule: noRule, RTableID: [2]int32{-1, -1},
	}
	if e.Start > 0 && now > e.Start {
		in.Creation = uint32(min((now-e.Start)/1e9, 1<<31))
	}
	*out = *in
	out.Direction, out.Stack, out.Wire = pfsync.Out, turned(k.middle), k.outWire
	e.count(in)
	out.Packets, out.Bytes = in.Packets, in.Bytes
	return nil
}

// Import makes the entry of a connection of its two states. One of them may be
// nil: then nothing is translated on its side. The error matches [ErrUnmapped].
func (m Mapping) Import(in, out *pfsync.State, e *Entry) error {
	one := in
	if one == nil {
		one = out
	}
	*e = Entry{}
	middle, err := Middle(one)
	if err != nil {
		return err
	}
	orig, reply := middle, turned(middle)
	if in != nil {
		orig = in.Wire
	}
	if out != nil {
		reply = out.Wire
	}
	if e.Orig, err = tuple(orig); err != nil {
		return err
	}
	// The wire key of the way out has the server first: it is the tuple of the
	// answers as it stands, but that the id of ICMP belongs to the client.
	if e.Reply, err = tuple(turned(reply)); err != nil {
		return err
	}
	e.Reply = e.Reply.Inverse()
	for _, st := range [...]*pfsync.State{in, out} {
		if st == nil {
			continue
		}
		if err := e.advance(st); err != nil {
			return err
		}
		e.Timeout = max(e.Timeout, st.Expire)
	}
	return nil
}

// Middle is what a connection looks like between the two interfaces, with the
// client first: the same for both states of one connection. The error matches
// [ErrUnmapped].
func Middle(st *pfsync.State) (pfsync.Key, error) {
	k := st.Stack
	switch {
	case st.Wire.AF != k.AF || st.Wire.Proto != k.Proto:
		return k, fmt.Errorf("%w: the address family is translated", ErrUnmapped)
	case !mappable(k.Proto):
		return k, fmt.Errorf("%w: IP protocol %d", ErrUnmapped, k.Proto)
	case st.Direction == pfsync.Out:
		return turned(k), nil
	case st.Direction == pfsync.In:
		return k, nil
	}
	return k, fmt.Errorf("%w: direction %d", ErrUnmapped, st.Direction)
}

// turned is k with its ends exchanged.
func turned(k pfsync.Key) pfsync.Key {
	k.Addr[0], k.Addr[1] = k.Addr[1], k.Addr[0]
	k.Port[0], k.Port[1] = k.Port[1], k.Port[0]
	return k
}

// mappable reports whether connections of an IP protocol are told to peers: not
// the pair's own, and none whose handshake conntrack wants to have seen.
func mappable(proto uint8) bool {
	switch proto {
	case protoCARP, protoPfsync, ProtoSCTP, ProtoDCCP:
		return false
	}
	return true
}

const (
	protoCARP   = 112
	protoPfsync = 240
)

// keys are the three faces of an entry.
type keys struct {
	inWire, middle, outWire pfsync.Key
}

func (m Mapping) keys(e *Entry) (k keys, err error) {
	o, r := &e.Orig, &e.Reply
	if !mappable(o.Proto) {
		return k, fmt.Errorf("%w: IP protocol %d", ErrUnmapped, o.Proto)
	}
	if e.Zone != 0 {
		return k, fmt.Errorf("%w: zone %d", ErrUnmapped, e.Zone)
	}
	af := pfsync.AFInet6
	if o.Src.Is4() {
		af = pfsync.AFInet
	}
	key := func(a netip.Addr, aPort uint16, b netip.Addr, bPort uint16) pfsync.Key {
		return pfsync.Key{AF: af, Proto: o.Proto, Addr: [2]pfsync.Addr{pfAddr(a), pfAddr(b)}, Port: [2]uint16{aPort, bPort}}
	}
	if !isICMP(o.Proto) {
		k.inWire = key(o.Src, o.SrcPort, o.Dst, o.DstPort)
		k.middle = key(o.Src, o.SrcPort, r.Src, r.SrcPort)
		k.outWire = key(r.Src, r.SrcPort, r.Dst, r.DstPort)
		return k, nil
	}
	query, echo := uint16(o.ICMPType), o.ICMPType == echoRequest(o.Proto)
	if inverseICMP(o.Proto, o.ICMPType) == o.ICMPType || o.ICMPCode != 0 || m.oneICMPPort() && !echo {
		return k, fmt.Errorf("%w: ICMP type %d code %d", ErrUnmapped, o.ICMPType, o.ICMPCode)
	}
	before, after := query, query
	if m.oneICMPPort() {
		before, after = o.ICMPID, r.ICMPID
	}
	k.inWire = key(o.Src, o.ICMPID, o.Dst, before)
	k.middle = key(o.Src, o.ICMPID, r.Src, before)
	k.outWire = key(r.Src, after, r.Dst, r.ICMPID)
	return k, nil
}

// tuple makes a tuple of a key that has the client first.
func tuple(k pfsync.Key) (Tuple, error) {
	t := Tuple{Src: ipAddr(k.AF, k.Addr[0]), Dst: ipAddr(k.AF, k.Addr[1]), Proto: k.Proto}
	switch {
	case hasPorts(k.Proto):
		t.SrcPort, t.DstPort = k.Port[0], k.Port[1]
	case isICMP(k.Proto):
		t.ICMPID, t.ICMPType = k.Port[0], uint8(k.Port[1])
		if k.Port[0] == k.Port[1] { // FreeBSD up to 14 knows echoes by their id
			t.ICMPType = echoRequest(k.Proto)
		} else if k.Port[1] > 255 || inverseICMP(k.Proto, t.ICMPType) == t.ICMPType {
			return t, fmt.Errorf("%w: ICMP type %d", ErrUnmapped, k.Port[1])
		}
	}
	return t, nil
}

func echoRequest(proto uint8) uint8 {
	if proto == ProtoICMPv6 {
		return 128
	}
	return 8
}

func pfAddr(a netip.Addr) (p pfsync.Addr) {
	if a.Is4() {
		v4 := a.As4()
		copy(p[:], v4[:])
		return p
	}
	return a.As16()
}

func ipAddr(af pfsync.AF, p pfsync.Addr) netip.Addr {
	if af == pfsync.AFInet {
		return netip.AddrFrom4([4]byte(p[:]))
	}
	return netip.AddrFrom16(p)
}
