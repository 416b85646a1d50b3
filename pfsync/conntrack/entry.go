package conntrack

import "net/netip"

// Index of the direction in the arrays of an [Entry].
const (
	DirOrig  = 0 // from who opened the connection
	DirReply = 1 // to who opened it
)

// An Entry is one tracked connection. It is a plain value: two are equal if all
// their fields are.
type Entry struct {
	Orig Tuple // of the packets from who opened the connection, as they arrive

	// Reply is of the packets that answer, as they arrive: the inverse of Orig,
	// unless addresses are translated. See [Entry.SNAT] and [Entry.DNAT].
	Reply Tuple

	Status  Status
	Timeout uint32 // seconds that are left, or were when it was deleted
	TCP     TCP    // of TCP only; State 0 is unknown, as in some events
	Mark    uint32 // of the connection, not of a packet

	// Zone keeps apart connections with the same tuples. 0 is the default zone.
	Zone    uint16
	ZoneDir ZoneDir

	// What the kernel tells and cannot be told.

	ID       uint32      // of the entry while it lives; a later one, or another host's, may have it as well
	Counters [2]Counters // zero unless the sysctl nf_conntrack_acct was on when it began
	Start    int64       // Unix time in nanoseconds; 0 unless nf_conntrack_timestamp was on

	// SeqAdj says how a helper has changed the length of a TCP stream.
	SeqAdj [2]SeqAdj
}

// SNAT returns what the source of the original direction is translated to: an
// address, and the port, GRE key or ICMP id, that may be the same as before. It
// reports false if the source is not translated.
func (e *Entry) SNAT() (netip.AddrPort, bool) {
	is, was := e.Reply.DstPort, e.Orig.SrcPort
	if isICMP(e.Orig.Proto) {
		is, was = e.Reply.ICMPID, e.Orig.ICMPID
	}
	if !e.Reply.Dst.IsValid() || e.Reply.Dst == e.Orig.Src && is == was {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(e.Reply.Dst, is), true
}

// DNAT returns what the destination of the original direction is translated to,
// or false if it is not. For ICMP, whose only id is the source's, the port is 0.
func (e *Entry) DNAT() (netip.AddrPort, bool) {
	if !e.Reply.Src.IsValid() || e.Reply.Src == e.Orig.Dst && e.Reply.SrcPort == e.Orig.DstPort {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(e.Reply.Src, e.Reply.SrcPort), true
}

// A Status is the set of IPS_* bits of an entry.
type Status uint32

// The bits of a Status.
const (
	StatusExpected     Status = 1 << iota // a helper had announced it
	StatusSeenReply                       // packets went both ways
	StatusAssured                         // not to be sacrificed when the table is full
	StatusConfirmed                       // it is in the table
	StatusSrcNAT                          // see Entry.SNAT
	StatusDstNAT                          // see Entry.DNAT
	StatusSeqAdjust                       // SeqAdj is in use
	StatusSrcNATDone                      // translation of the source was decided
	StatusDstNATDone                      // translation of the destination was decided
	StatusDying                           // it is not in the table any more
	StatusFixedTimeout                    // packets do not renew the timeout
	StatusTemplate
	StatusUntracked
	StatusHelper    // a helper was attached by a rule
	StatusOffload   // packets pass by conntrack, through a flow table
	StatusHWOffload // packets pass by in hardware
)

// statusSettable are the bits that a new entry may be given. The kernel ignores
// or refuses the others, and a helper cannot be given by its bit.
const statusSettable = StatusSeenReply | StatusAssured | StatusConfirmed

// A ZoneDir says in which direction the zone of an entry counts.
type ZoneDir uint8

// The directions of a zone. The other direction of a connection that has a zone
// in one only is in the default zone.
const (
	ZoneBoth ZoneDir = iota
	ZoneOrig
	ZoneReply
)

// TCP is how far a TCP connection has come.
type TCP struct {
	State  TCPState
	WScale [2]uint8    // log2 of the window's unit; counts if both Flags have TCPWindowScale
	Flags  [2]TCPFlags // of the sender in that direction
}

// A TCPState is a TCP_CONNTRACK_* number.
type TCPState uint8

// The states of a TCP connection. They are those of a watcher in the middle, so
// one state is for both ends.
const (
	TCPNone        TCPState = iota // unknown
	TCPSynSent                     // SYN went one way
	TCPSynRecv                     // and SYN and ACK the other
	TCPEstablished                 // ACK, and data
	TCPFinWait                     // one end has sent FIN
	TCPCloseWait                   // and the other has acknowledged it
	TCPLastAck                     // the other has sent FIN, too
	TCPTimeWait                    // that one is acknowledged as well
	TCPClose                       // RST
	TCPSynSent2                    // SYN went both ways
)

// TCPFlags is a set of IP_CT_TCP_FLAG_* bits.
type TCPFlags uint8

// The bits of TCPFlags that an entry may be given; the others belong to the
// window tracking of one host.
const (
	TCPWindowScale TCPFlags = 1 << iota // has announced a window scale
	TCPSACK                             // permits selective acknowledgements
	TCPCloseInit                        // has sent FIN first
	TCPLiberal                          // its packets are taken in or out of window
)

const tcpFlagsSettable = TCPWindowScale | TCPSACK | TCPCloseInit | TCPLiberal

// Counters count what passed in one direction.
type Counters struct {
	Packets, Bytes uint64
}

// A SeqAdj says what is added to the sequence numbers of one direction: Before
// up to the position Pos, and After from there on.
type SeqAdj struct {
	Pos           uint32
	Before, After int32
}
