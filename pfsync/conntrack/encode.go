package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrInvalid is matched by errors about entries that the kernel cannot be told.
var ErrInvalid = errors.New("invalid entry")

// AppendCreate appends a netlink message with the sequence number seq that puts
// e into the table, with its translation. The kernel refuses it with EEXIST if
// there is an entry with that Orig, or another one with that Reply.
//
// The kernel answers if it fails, and only then, unless NLM_F_ACK is added to
// the flags, which are at offset 6. It is told what it must hear to forward
// packets of e, see the package documentation, and that both windows are not to
// be enforced. Helpers, labels and the window positions cannot be told.
func AppendCreate(b []byte, seq uint32, e *Entry) ([]byte, error) {
	if err := e.checkCreate(); err != nil {
		return b, err
	}
	b, start := openMessage(b, msgNew, flagRequest|flagCreate|flagExcl, seq, &e.Orig)
	b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
	// The answers' tuple as if nothing were translated: NAT_SRC and NAT_DST make
	// the kernel change it, and remember that packets have to be rewritten.
	b = e.appendTuple(b, ctaTupleReply, e.Orig.Inverse(), ZoneReply)
	b = e.appendState(b, statusSettable)
	if to, ok := e.SNAT(); ok {
		b = appendNAT(b, ctaNATSrc, e.Orig.Proto, to.Addr(), to.Port())
	}
	if to, ok := e.DNAT(); ok {
		b = appendNAT(b, ctaNATDst, e.Orig.Proto, to.Addr(), to.Port())
	}
	return closeMessage(b, start), nil
}

// AppendUpdate appends a message that changes the entry with e.Orig, which must
// exist (ENOENT), to have the Status, Timeout, TCP, Mark and SeqAdj of e. What
// is zero stays as it is: the timeout, the state of TCP, the mark, SeqAdj.
//
// StatusSeenReply and StatusAssured cannot be taken away, and StatusExpected
// must be as it is (EBUSY). The translation of an entry cannot change, and is
// not mentioned.
func AppendUpdate(b []byte, seq uint32, e *Entry) ([]byte, error) {
	if err := e.checkUpdate(); err != nil {
		return b, err
	}
	b, start := openMessage(b, msgNew, flagRequest, seq, &e.Orig)
	b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
	b = e.appendState(b, statusSettable|StatusExpected)
	return closeMessage(b, start), nil
}

// AppendDelete appends a message that deletes the entry with e.Orig (ENOENT if
// there is none).
func AppendDelete(b []byte, seq uint32, e *Entry) ([]byte, error) {
	return appendKey(b, msgDelete, seq, e)
}

// AppendGet appends a message that asks for the entry with e.Orig (ENOENT if
// there is none).
func AppendGet(b []byte, seq uint32, e *Entry) ([]byte, error) {
	return appendKey(b, msgGet, seq, e)
}

func appendKey(b []byte, typ uint16, seq uint32, e *Entry) ([]byte, error) {
	// Not only a matter of taste: a delete without a tuple empties the table.
	if err := e.Orig.check("Orig"); err != nil {
		return b, err
	}
	b, start := openMessage(b, typ, flagRequest, seq, &e.Orig)
	b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
	b = e.appendZone(b)
	return closeMessage(b, start), nil
}

// openMessage appends struct nlmsghdr, whose length closeMessage sets, and
// struct nfgenmsg.
func openMessage(b []byte, typ, flags uint16, seq uint32, t *Tuple) ([]byte, int) {
	start := len(b)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // port: filled in by the kernel
	family := byte(familyIPv6)
	if t.Src.Is4() {
		family = familyIPv4
	}
	return append(b, family, 0, 0, 0), start
}

func closeMessage(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// appendState appends what both a creation and an update may say, the status
// with no other bits than those given. Without StatusConfirmed the kernel refuses it.
func (e *Entry) appendState(b []byte, bits Status) []byte {
	b = appendUint32(b, ctaStatus, uint32(e.Status&bits|StatusConfirmed))
	if e.Timeout != 0 {
		b = appendUint32(b, ctaTimeout, e.Timeout)
	}
	if e.Orig.Proto == ProtoTCP && e.TCP.State != TCPNone {
		b = e.TCP.appendTo(b)
	}
	if e.Mark != 0 {
		b = appendUint32(b, ctaMark, e.Mark)
	}
	b = e.SeqAdj[DirOrig].appendTo(b, ctaSeqAdjOrig)
	b = e.SeqAdj[DirReply].appendTo(b, ctaSeqAdjReply)
	return e.appendZone(b)
}

func (e *Entry) appendZone(b []byte) []byte {
	if e.Zone == 0 || e.ZoneDir != ZoneBoth {
		return b
	}
	return appendUint16(b, ctaZone, e.Zone)
}

func (e *Entry) appendTuple(b []byte, typ uint16, t Tuple, dir ZoneDir) []byte {
	b, tuple := openAttr(b, typ)
	b, ip := openAttr(b, ctaTupleIP)
	b = appendAddr(b, ctaIPv4Src, ctaIPv6Src, t.Src)
	b = appendAddr(b, ctaIPv4Dst, ctaIPv6Dst, t.Dst)
	closeAttr(b, ip)
	b, proto := openAttr(b, ctaTupleProto)
	b = appendUint8(b, ctaProtoNum, t.Proto)
	switch {
	case hasPorts(t.Proto):
		b = appendUint16(b, ctaProtoSrcPort, t.SrcPort)
		b = appendUint16(b, ctaProtoDstPort, t.DstPort)
	case t.Proto == ProtoICMP:
		b = appendUint16(b, ctaProtoICMPID, t.ICMPID)
		b = appendUint8(b, ctaProtoICMPType, t.ICMPType)
		b = appendUint8(b, ctaProtoICMPCode, t.ICMPCode)
	case t.Proto == ProtoICMPv6:
		b = appendUint16(b, ctaProtoICMPv6ID, t.ICMPID)
		b = appendUint8(b, ctaProtoICMPv6Type, t.ICMPType)
		b = appendUint8(b, ctaProtoICMPv6Code, t.ICMPCode)
	}
	closeAttr(b, proto)
	if e.Zone != 0 && e.ZoneDir == dir {
		b = appendUint16(b, ctaTupleZone, e.Zone)
	}
	closeAttr(b, tuple)
	return b
}

// maxWScale is the largest window scale there is (RFC 7323). The kernel takes
// any number and shifts by it.
const maxWScale = 14

// appendTo appends PROTOINFO. The window positions of the other host are unknown
// here and cannot be told: unless both ends are "liberal", the first packets of
// a fast stream are out of window, hence INVALID, not translated, and answered
// with a reset. Masks are like the flags, so none is taken away.
func (t *TCP) appendTo(b []byte) []byte {
	b, info := openAttr(b, ctaProtoInfo)
	b, tcp := openAttr(b, ctaProtoInfoTCP)
	b = appendUint8(b, ctaTCPState, uint8(t.State))
	// The kernel takes the scales if both ends have announced one.
	if t.Flags[DirOrig]&t.Flags[DirReply]&TCPWindowScale != 0 {
		b = appendUint8(b, ctaTCPWScaleOrig, min(t.WScale[DirOrig], maxWScale))
		b = appendUint8(b, ctaTCPWScaleReply, min(t.WScale[DirReply], maxWScale))
	}
	for dir, typ := range [...]uint16{ctaTCPFlagsOrig, ctaTCPFlagsReply} {
		f := uint16(t.Flags[dir]&tcpFlagsSettable | TCPLiberal)
		b = appendUint16(b, typ, f<<8|f)
	}
	closeAttr(b, tcp)
	closeAttr(b, info)
	return b
}

func (s *SeqAdj) appendTo(b []byte, typ uint16) []byte {
	if *s == (SeqAdj{}) {
		return b
	}
	b, off := openAttr(b, typ)
	b = appendUint32(b, ctaSeqAdjPos, s.Pos)
	b = appendUint32(b, ctaSeqAdjBefore, uint32(s.Before))
	b = appendUint32(b, ctaSeqAdjAfter, uint32(s.After))
	closeAttr(b, off)
	return b
}

// appendNAT appends a range of one address and one port: the kernel gets no choice.
func appendNAT(b []byte, typ uint16, proto uint8, to netip.Addr, port uint16) []byte {
	b, nat := openAttr(b, typ)
	b = appendAddr(b, ctaNATv4Min, ctaNATv6Min, to)
	b = appendAddr(b, ctaNATv4Max, ctaNATv6Max, to)
	// For ICMP the port is the id, which belongs to the source alone.
	if hasPorts(proto) || isICMP(proto) && typ == ctaNATSrc {
		var p int
		b, p = openAttr(b, ctaNATProto)
		b = appendUint16(b, ctaNATPortMin, port)
		b = appendUint16(b, ctaNATPortMax, port)
		closeAttr(b, p)
	}
	closeAttr(b, nat)
	return b
}

func (e *Entry) checkCreate() error {
	if err := e.checkUpdate(); err != nil {
		return err
	}
	if err := e.Reply.check("Reply"); err != nil {
		return err
	}
	switch {
	case e.Orig.Src.BitLen() != e.Reply.Src.BitLen() || e.Orig.Proto != e.Reply.Proto:
		return fmt.Errorf("conntrack: %w: Orig and Reply differ in address family or protocol", ErrInvalid)
	case e.Orig.Proto == ProtoTCP && e.TCP.State == TCPNone:
		return fmt.Errorf("conntrack: %w: TCP without a state", ErrInvalid)
	case e.Timeout == 0:
		return fmt.Errorf("conntrack: %w: timeout 0, it would be gone at once", ErrInvalid)
	}
	return nil
}

func (e *Entry) checkUpdate() error {
	if err := e.Orig.check("Orig"); err != nil {
		return err
	}
	if int(e.TCP.State) >= len(tcpStateNames) {
		return fmt.Errorf("conntrack: %w: TCP state %d", ErrInvalid, e.TCP.State)
	}
	return nil
}

// check refuses also what the kernel would silently pass over: the entry that it
// has afterwards would never be the same.
func (t *Tuple) check(name string) error {
	switch {
	case !t.Src.IsValid() || t.Src.BitLen() != t.Dst.BitLen():
		return fmt.Errorf("conntrack: %w: %s needs two addresses of one family, has %v and %v", ErrInvalid, name, t.Src, t.Dst)
	case t.Src.Zone() != "" || t.Dst.Zone() != "":
		return fmt.Errorf("conntrack: %w: %s has a scoped address, %v or %v", ErrInvalid, name, t.Src, t.Dst)
	case !hasPorts(t.Proto) && t.SrcPort|t.DstPort != 0:
		return fmt.Errorf("conntrack: %w: %s has ports, but protocol %d has none", ErrInvalid, name, t.Proto)
	case !isICMP(t.Proto) && (t.ICMPID != 0 || t.ICMPType|t.ICMPCode != 0):
		return fmt.Errorf("conntrack: %w: %s has an ICMP id, type or code, but protocol %d", ErrInvalid, name, t.Proto)
	}
	return nil
}
