package pfsync

import (
	"bytes"
	"fmt"
)

// IP protocols whose states are named or translated.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58
	protoSCTP   = 132
)

// String is the id and the creatorid in hexadecimal as pfctl -k id takes them:
// "6b01f3bf00000000/8e0e4cdf".
func (id StateID) String() string { return fmt.Sprintf("%016x/%08x", id.ID, id.CreatorID) }

// String shows which state it is about and how far that has come.
func (m *UpdC) String() string {
	return fmt.Sprintf("%v %d:%d %v", m.StateID, m.Src.State, m.Dst.State, m.Timeout)
}

// String is the name up to the first NUL.
func (n Name) String() string { return cString(n[:]) }

// String is the tag up to the first NUL.
func (t Tag) String() string { return cString(t[:]) }

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// MakeName returns a Name, and false if s is too long for one: 15 octets is the
// most that an interface can have.
func MakeName(s string) (n Name, ok bool) {
	if len(s) >= len(n) {
		return n, false
	}
	copy(n[:], s)
	return n, true
}

// String is "inet", "inet6" or the number.
func (af AF) String() string {
	switch af {
	case AFInet:
		return "inet"
	case AFInet6:
		return "inet6"
	}
	return fmt.Sprintf("AF(%d)", uint8(af))
}

// String is "in", "out" or the number.
func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// String is the word of pf.conf, "none" or the number.
func (r RouteType) String() string {
	switch r {
	case RouteNone:
		return "none"
	case RouteFast:
		return "fastroute"
	case RouteTo:
		return "route-to"
	case DupTo:
		return "dup-to"
	case ReplyTo:
		return "reply-to"
	}
	return fmt.Sprintf("RouteType(%d)", uint8(r))
}

// tcpNames and otherNames are what pfctl calls the states of peers.
var (
	tcpNames = [...]string{
		TCPClosed: "CLOSED", TCPListen: "LISTEN", TCPSynSent: "SYN_SENT", TCPSynReceived: "SYN_RCVD",
		TCPEstablished: "ESTABLISHED", TCPCloseWait: "CLOSE_WAIT", TCPFinWait1: "FIN_WAIT_1",
		TCPClosing: "CLOSING", TCPLastAck: "LAST_ACK", TCPFinWait2: "FIN_WAIT_2",
		TCPTimeWait: "TIME_WAIT", TCPProxySrc: "PROXY:SRC", TCPProxyDst: "PROXY:DST",
	}
	otherNames = [...]string{NoTraffic: "NO_TRAFFIC", Single: "SINGLE", Multiple: "MULTIPLE"}
)

// PeerStateName is what pfctl calls the state of a peer: a state of TCP, or one of
// NO_TRAFFIC, SINGLE and MULTIPLE; just the number for ICMP and for what
// has no name, as the states of SCTP on FreeBSD from 14 on.
func PeerStateName(proto uint8, s PeerState) string {
	switch {
	case proto == protoTCP && int(s) < len(tcpNames):
		return tcpNames[s]
	case proto != protoTCP && proto != protoICMP && proto != protoICMPv6 && int(s) < len(otherNames):
		return otherNames[s]
	}
	return fmt.Sprint(uint8(s))
}
