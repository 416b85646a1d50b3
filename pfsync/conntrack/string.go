package conntrack

import (
	"fmt"
	"strconv"
)

var protoNames = map[uint8]string{
	ProtoICMP: "icmp", ProtoTCP: "tcp", ProtoUDP: "udp", ProtoDCCP: "dccp",
	ProtoGRE: "gre", ProtoICMPv6: "icmpv6", ProtoSCTP: "sctp", ProtoUDPLite: "udplite",
}

var tcpStateNames = [...]string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT",
	"CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
}

// String is the kernel's name of the state.
func (s TCPState) String() string { return name(tcpStateNames[:], uint8(s)) }

// name is the name of n, or n.
func name(names []string, n uint8) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return strconv.Itoa(int(n))
}

// String is the entry as the conntrack tool lists it.
func (e *Entry) String() string {
	name, ok := protoNames[e.Orig.Proto]
	if !ok {
		name = "unknown"
	}
	b := fmt.Appendf(nil, "%-8s %d %d", name, e.Orig.Proto, e.Timeout)
	if e.Orig.Proto == ProtoTCP {
		b = fmt.Appendf(b, " %v", e.TCP.State)
	}
	b = appendTupleText(b, e.Orig, e.Counters[DirOrig])
	if e.Status&StatusSeenReply == 0 {
		b = append(b, " [UNREPLIED]"...)
	}
	b = appendTupleText(b, e.Reply, e.Counters[DirReply])
	switch {
	case e.Status&StatusHWOffload != 0:
		b = append(b, " [HW_OFFLOAD]"...)
	case e.Status&StatusOffload != 0:
		b = append(b, " [OFFLOAD]"...)
	case e.Status&StatusAssured != 0:
		b = append(b, " [ASSURED]"...)
	}
	b = fmt.Appendf(b, " mark=%d", e.Mark)
	if e.Zone != 0 {
		b = fmt.Appendf(b, " %s=%d", [...]string{"zone", "zone-orig", "zone-reply"}[e.ZoneDir%3], e.Zone)
	}
	return string(b)
}

func appendTupleText(b []byte, t Tuple, c Counters) []byte {
	b = fmt.Appendf(b, " src=%v dst=%v", t.Src, t.Dst)
	switch {
	case hasPorts(t.Proto):
		b = fmt.Appendf(b, " sport=%d dport=%d", t.SrcPort, t.DstPort)
	case isICMP(t.Proto):
		b = fmt.Appendf(b, " type=%d code=%d id=%d", t.ICMPType, t.ICMPCode, t.ICMPID)
	}
	if c != (Counters{}) {
		b = fmt.Appendf(b, " packets=%d bytes=%d", c.Packets, c.Bytes)
	}
	return b
}
