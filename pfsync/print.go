package pfsync

import (
	"fmt"
	"net/netip"
	"strconv"
)

// String is the line of pfctl -ss.
func (st *State) String() string { return string(st.AppendPfctl(nil, OpenBSD, 0)) }

// AppendPfctl appends st as the pfctl of d prints it: as pfctl -ss if verbose is
// 0, with -v if it is 1 and with -vv if it is 2 or more. There is a newline
// between the lines, and none behind the last.
func (st *State) AppendPfctl(b []byte, d Dialect, verbose int) []byte {
	b = st.appendLine(b, d)
	if verbose >= 1 {
		b = st.appendSequence(b)
		b = st.appendCounters(b)
		b = st.appendOptions(b, d)
	}
	if verbose >= 2 {
		b = fmt.Appendf(b, "\n   id: %016x creatorid: %08x", st.ID, st.CreatorID)
		if d.traits().longPrint {
			b = st.appendRoute(b)
		}
	}
	return b
}

// appendLine appends interface, protocol, addresses and states:
//
//	IF PROTO A1 (B1) {rt} <- A0 (B0) {rt}       DST:SRC
//
// A is the key that faces the stack of an inbound state and the wire of an
// outbound one, and B the other, if it is different: so A is always what comes
// out of a translation.
func (st *State) appendLine(b []byte, d Dialect) []byte {
	b = appendText(b, st.IfName[:])
	b = append(b, ' ')
	b = appendProto(b, st.Proto)
	b = append(b, ' ')

	near, far := st.Stack, st.Wire
	first, second := st.Dst.State, st.Src.State
	if st.Direction == Out {
		near, far = far, near
		first, second = second, first
	}
	near.AF, far.AF = st.family(&near), st.family(&far)
	afto := near.AF != far.AF
	if st.Proto == protoICMP || st.Proto == protoICMPv6 {
		// The type of a message is in one of the ports and is not translated.
		if st.Direction == Out {
			far.Port[0] = near.Port[0]
		} else {
			far.Port[1] = near.Port[1]
		}
	}
	arrow := " <- "
	if st.Direction == Out || afto && st.Direction == In {
		arrow = " -> "
	}

	b = appendSide(b, &near, &far, 1, afto)
	if st.Direction != Out {
		b = st.appendGateway(b, d)
	}
	b = append(b, arrow...)
	b = appendSide(b, &near, &far, 0, afto)
	if st.Direction == Out {
		b = st.appendGateway(b, d)
	}
	b = append(b, "       "...)
	return appendStates(b, d, st.Proto, first, second)
}

// appendText appends what strangers wrote, up to the first NUL; what would not
// print, or do other things to a terminal, as \x1b.
func appendText(b, text []byte) []byte {
	for _, c := range text {
		switch {
		case c == 0:
			return b
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// family is the address family of a key of st.
func (st *State) family(k *Key) AF {
	if k.AF == AFUnspec {
		return st.AF
	}
	return k.AF
}

// appendSide appends host i of near, and that of far if it is another.
func appendSide(b []byte, near, far *Key, i int, afto bool) []byte {
	b = appendHost(b, near, i)
	if !afto && near.Addr[i] == far.Addr[i] && near.Port[i] == far.Port[i] && near.RDomain == far.RDomain {
		return b
	}
	if afto {
		i = 1 - i // af-to turns the key round
	}
	b = append(b, " ("...)
	b = appendHost(b, far, i)
	return append(b, ')')
}

// appendHost appends an address and, unless it is 0, a port: as 10.0.0.1:80 or
// 2001:db8::1[80].
func appendHost(b []byte, k *Key, i int) []byte {
	if k.RDomain != 0 {
		b = fmt.Appendf(b, "(%d) ", k.RDomain)
	}
	b = k.Addr[i].appendTo(b, k.AF)
	switch port := uint64(k.Port[i]); {
	case port == 0:
	case k.AF == AFInet:
		b = strconv.AppendUint(append(b, ':'), port, 10)
	default:
		b = append(strconv.AppendUint(append(b, '['), port, 10), ']')
	}
	return b
}

// Netip is a as an address of the family af: of IPv6, unless that is [AFInet].
func (a Addr) Netip(af AF) netip.Addr {
	if af == AFInet {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(a)
}

func (a Addr) appendTo(b []byte, af AF) []byte { return a.Netip(af).AppendTo(b) }

// appendGateway appends the address that OpenBSD sends the packets to, beside the
// one they are for.
func (st *State) appendGateway(b []byte, d Dialect) []byte {
	if d != OpenBSD || st.RtAddr == (Addr{}) {
		return b
	}
	b = append(b, " {"...)
	b = st.RtAddr.appendTo(b, st.family(&st.Stack))
	return append(b, '}')
}

// appendStates appends the states of the peers.
func appendStates(b []byte, d Dialect, proto uint8, first, second PeerState) []byte {
	switch {
	case proto != protoTCP || first <= TCPTimeWait && second <= TCPTimeWait:
	case first == TCPProxySrc || second == TCPProxySrc:
		return append(b, tcpNames[TCPProxySrc]...)
	case first == TCPProxyDst || second == TCPProxyDst:
		return append(b, tcpNames[TCPProxyDst]...)
	default:
		return fmt.Appendf(b, "<BAD STATE LEVELS %d:%d>", first, second)
	}
	named := proto != protoSCTP || !d.traits().longPrint // those know states of SCTP
	if proto != protoTCP && (first > Multiple || second > Multiple) {
		named = false
	}
	if !named {
		return fmt.Appendf(b, "%d:%d", first, second)
	}
	b = append(b, PeerStateName(proto, first)...)
	b = append(b, ':')
	return append(b, PeerStateName(proto, second)...)
}

// appendSequence appends the line about the windows of TCP.
func (st *State) appendSequence(b []byte) []byte {
	if st.Proto != protoTCP {
		return b
	}
	first, second := &st.Dst, &st.Src
	if st.Direction == Out {
		first, second = second, first
	}
	b = append(b, "\n  "...)
	for _, p := range [...]*Peer{first, second} {
		b = fmt.Appendf(b, " [%d + %d]", p.SeqLo, p.SeqHi-p.SeqLo)
		if p.SeqDiff != 0 {
			b = fmt.Appendf(b, "(+%d)", p.SeqDiff)
		}
		if first.WScale != 0 && second.WScale != 0 {
			b = fmt.Appendf(b, " wscale %d", p.WScale&0x0f)
		}
		if p == first {
			b = append(b, ' ')
		}
	}
	return b
}

// protoNames are those of /etc/protocols that pf has states of.
var protoNames = map[uint8]string{
	protoICMP: "icmp", 2: "igmp", 4: "ipencap", protoTCP: "tcp", 17: "udp", 41: "ipv6", 47: "gre",
	50: "esp", 51: "ah", protoICMPv6: "ipv6-icmp", 89: "ospf", 103: "pim", 112: "carp",
	protoSCTP: "sctp", 240: "pfsync",
}

func appendProto(b []byte, proto uint8) []byte {
	if name, ok := protoNames[proto]; ok {
		return append(b, name...)
	}
	return strconv.AppendUint(b, uint64(proto), 10)
}
