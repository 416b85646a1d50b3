package conntrack

import (
	"errors"
	"fmt"
)

// ErrMalformed is matched by errors about messages that could not be read.
var ErrMalformed = errors.New("malformed message")

// UnmarshalBinary implements [encoding.BinaryUnmarshaler] for the body of a
// message about an entry: what stands behind struct nlmsghdr. It sets every
// field of e, or none, and retains nothing of b. Attributes that an Entry has no
// field for are passed over. The error names the attribute and matches [ErrMalformed].
func (e *Entry) UnmarshalBinary(b []byte) error {
	if len(b) < nfHeaderLen {
		return fmt.Errorf("conntrack: %w: %d octets", ErrMalformed, len(b))
	}
	var d Entry
	a := attrs{b: b[nfHeaderLen:], level: inEntry}
	d.decode(&a)
	switch {
	case a.err != nil:
	case !d.Orig.Src.IsValid():
		a.fail("no TUPLE_ORIG")
	case !d.Reply.Src.IsValid():
		a.fail("no TUPLE_REPLY")
	}
	if a.err != nil {
		return fmt.Errorf("conntrack: %w: %w", ErrMalformed, a.err)
	}
	*e = d
	return nil
}

func (e *Entry) decode(a *attrs) {
	for a.next() {
		switch a.typ {
		case ctaTupleOrig:
			e.decodeTuple(a, &e.Orig, ZoneOrig)
		case ctaTupleReply:
			e.decodeTuple(a, &e.Reply, ZoneReply)
		case ctaStatus:
			e.Status = Status(a.uint32())
		case ctaProtoInfo:
			e.TCP.decode(a)
		case ctaTimeout:
			e.Timeout = a.uint32()
		case ctaMark:
			e.Mark = a.uint32()
		case ctaCountersOrig:
			e.Counters[DirOrig].decode(a)
		case ctaCountersReply:
			e.Counters[DirReply].decode(a)
		case ctaID:
			e.ID = a.uint32()
		case ctaSeqAdjOrig:
			e.SeqAdj[DirOrig].decode(a)
		case ctaSeqAdjReply:
			e.SeqAdj[DirReply].decode(a)
		case ctaZone:
			e.Zone, e.ZoneDir = a.uint16(), ZoneBoth
		case ctaTimestamp:
			e.decodeTimestamp(a)
		}
	}
}

// decodeTuple reads a tuple, and the zone of the entry if only this direction
// has one.
func (e *Entry) decodeTuple(a *attrs, t *Tuple, dir ZoneDir) {
	in := a.nested(inTuple)
	for in.next() {
		switch in.typ {
		case ctaTupleIP:
			t.decodeIP(&in)
		case ctaTupleProto:
			t.decodeProto(&in)
		case ctaTupleZone:
			e.Zone, e.ZoneDir = in.uint16(), dir
		}
	}
	if !t.Src.IsValid() || t.Src.BitLen() != t.Dst.BitLen() {
		in.fail("not two addresses of one family")
	}
	a.leave(&in)
}

func (t *Tuple) decodeIP(a *attrs) {
	in := a.nested(inIP)
	for in.next() {
		switch in.typ {
		case ctaIPv4Src:
			t.Src = in.ipv4()
		case ctaIPv4Dst:
			t.Dst = in.ipv4()
		case ctaIPv6Src:
			t.Src = in.ipv6()
		case ctaIPv6Dst:
			t.Dst = in.ipv6()
		}
	}
	a.leave(&in)
}

func (t *Tuple) decodeProto(a *attrs) {
	in := a.nested(inProto)
	for in.next() {
		switch in.typ {
		case ctaProtoNum:
			t.Proto = in.uint8()
		case ctaProtoSrcPort:
			t.SrcPort = in.uint16()
		case ctaProtoDstPort:
			t.DstPort = in.uint16()
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			t.ICMPID = in.uint16()
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			t.ICMPType = in.uint8()
		case ctaProtoICMPCode, ctaProtoICMPv6Code:
			t.ICMPCode = in.uint8()
		}
	}
	a.leave(&in)
}

func (t *TCP) decode(a *attrs) {
	info := a.nested(inProtoInfo)
	for info.next() {
		if info.typ != ctaProtoInfoTCP {
			continue
		}
		in := info.nested(inTCP)
		for in.next() {
			switch in.typ {
			case ctaTCPState:
				t.State = TCPState(in.uint8())
			case ctaTCPWScaleOrig:
				t.WScale[DirOrig] = in.uint8()
			case ctaTCPWScaleReply:
				t.WScale[DirReply] = in.uint8()
			case ctaTCPFlagsOrig:
				t.Flags[DirOrig] = TCPFlags(in.uint16() >> 8) // struct nf_ct_tcp_flags: flags, mask
			case ctaTCPFlagsReply:
				t.Flags[DirReply] = TCPFlags(in.uint16() >> 8)
			}
		}
		info.leave(&in)
	}
	a.leave(&info)
}

func (c *Counters) decode(a *attrs) {
	in := a.nested(inCounters)
	for in.next() {
		switch in.typ {
		case ctaCountersPackets:
			c.Packets = in.uint64()
		case ctaCountersBytes:
			c.Bytes = in.uint64()
		}
	}
	a.leave(&in)
}

func (e *Entry) decodeTimestamp(a *attrs) {
	in := a.nested(inTimestamp)
	for in.next() {
		if in.typ == ctaTimestampStart {
			e.Start = int64(in.uint64())
		}
	}
	a.leave(&in)
}

func (s *SeqAdj) decode(a *attrs) {
	in := a.nested(inSeqAdj)
	for in.next() {
		switch in.typ {
		case ctaSeqAdjPos:
			s.Pos = in.uint32()
		case ctaSeqAdjBefore:
			s.Before = int32(in.uint32())
		case ctaSeqAdjAfter:
			s.After = int32(in.uint32())
		}
	}
	a.leave(&in)
}

// A level is a kind of attribute that has others within it.
type level uint8

const (
	inEntry level = iota
	inTuple
	inIP
	inProto
	inProtoInfo
	inTCP
	inCounters
	inSeqAdj
	inTimestamp
)

// levels are the names of the attributes that are read, for errors.
var levels = [...][]string{
	inEntry: {
		ctaTupleOrig: "TUPLE_ORIG", ctaTupleReply: "TUPLE_REPLY", ctaStatus: "STATUS",
		ctaProtoInfo: "PROTOINFO", ctaTimeout: "TIMEOUT", ctaMark: "MARK",
		ctaCountersOrig: "COUNTERS_ORIG", ctaCountersReply: "COUNTERS_REPLY", ctaID: "ID",
		ctaSeqAdjOrig: "SEQ_ADJ_ORIG", ctaSeqAdjReply: "SEQ_ADJ_REPLY", ctaZone: "ZONE",
		ctaTimestamp: "TIMESTAMP",
	},
	inTuple: {ctaTupleIP: "IP", ctaTupleProto: "PROTO", ctaTupleZone: "ZONE"},
	inIP:    {ctaIPv4Src: "V4_SRC", ctaIPv4Dst: "V4_DST", ctaIPv6Src: "V6_SRC", ctaIPv6Dst: "V6_DST"},
	inProto: {
		ctaProtoNum: "NUM", ctaProtoSrcPort: "SRC_PORT", ctaProtoDstPort: "DST_PORT",
		ctaProtoICMPID: "ICMP_ID", ctaProtoICMPType: "ICMP_TYPE", ctaProtoICMPCode: "ICMP_CODE",
		ctaProtoICMPv6ID: "ICMPV6_ID", ctaProtoICMPv6Type: "ICMPV6_TYPE", ctaProtoICMPv6Code: "ICMPV6_CODE",
	},
	inProtoInfo: {ctaProtoInfoTCP: "TCP"},
	inTCP: {
		ctaTCPState: "STATE", ctaTCPWScaleOrig: "WSCALE_ORIGINAL", ctaTCPWScaleReply: "WSCALE_REPLY",
		ctaTCPFlagsOrig: "FLAGS_ORIGINAL", ctaTCPFlagsReply: "FLAGS_REPLY",
	},
	inCounters:  {ctaCountersPackets: "PACKETS", ctaCountersBytes: "BYTES"},
	inSeqAdj:    {ctaSeqAdjPos: "CORRECTION_POS", ctaSeqAdjBefore: "OFFSET_BEFORE", ctaSeqAdjAfter: "OFFSET_AFTER"},
	inTimestamp: {ctaTimestampStart: "START"},
}
