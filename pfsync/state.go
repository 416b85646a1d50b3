package pfsync

// A StateID says which state is meant: a state keeps the id and the creatorid
// that its first node gave it, wherever it goes. Both are opaque octets, printed
// as if they were big-endian numbers, as pfctl does.
type StateID struct {
	ID        uint64
	CreatorID uint32 // the hostid of the node that made it; never 0
}

// An Addr is an IPv4 address in the first 4 octets, with zeros behind, or an IPv6
// address. Which of them is said by the AF beside it.
type Addr [16]byte

// A Name is the name of an interface, up to the first NUL octet. All 16 octets
// are kept, since kernels send what happens to be behind the NUL.
type Name [16]byte

// A Tag is a pf tag, up to the first NUL octet.
type Tag [64]byte

// An AF is an address family. The BSDs number IPv6 differently; decoding and
// encoding translate it. Other numbers stay what they are, and are bad values.
type AF uint8

const (
	AFUnspec AF = 0
	AFInet   AF = 2
	AFInet6  AF = 10 // 24 on OpenBSD's wire, 28 on FreeBSD's
)

// A Direction is where the first packet of a state passed the interface.
type Direction uint8

const (
	In  Direction = 1
	Out Direction = 2
)

// A Key is one of the two views of a connection. Index 0 is the host on the far
// side of the interface, 1 the one on the side of the stack: for a state with
// [In], 0 is the source of the first packet; with [Out], the destination.
type Key struct {
	Addr    [2]Addr
	Port    [2]uint16
	RDomain uint16 // OpenBSD
	AF      AF     // 0 stands for State.AF
	Proto   uint8  // IP protocol, 0 for State.Proto; differs between the keys only if af-to changes ICMP
}

// A PeerState is how far one side of a connection has come. For TCP it is a state
// of its own from 0, CLOSED, to 12, PROXY:DST; for all others 0 to 2. See [PeerStateName].
type PeerState uint8

// The states that pf makes.
const (
	TCPClosed      PeerState = 0
	TCPListen      PeerState = 1
	TCPSynSent     PeerState = 2
	TCPSynReceived PeerState = 3
	TCPEstablished PeerState = 4
	TCPCloseWait   PeerState = 5
	TCPFinWait1    PeerState = 6
	TCPClosing     PeerState = 7
	TCPLastAck     PeerState = 8
	TCPFinWait2    PeerState = 9
	TCPTimeWait    PeerState = 10
	TCPProxySrc    PeerState = 11 // synproxy, handshake with the initiator
	TCPProxyDst    PeerState = 12 // synproxy, handshake with the responder

	NoTraffic PeerState = 0
	Single    PeerState = 1
	Multiple  PeerState = 2

	maxPeerState = TCPProxyDst // above it: a bad value
)

// Scrub is what scrub reassemble tcp knows of a peer. It is meaningful if Valid.
type Scrub struct {
	Flags uint16 // 1: timestamps are modulated
	TTL   uint8  // the lowest seen
	Valid uint8  // 1 on the wire if the other fields mean something
	TSMod uint32 // added to timestamps; FreeBSD 15: the verification tag of SCTP
}

// A Peer is one side of a connection. The fields but State are for TCP.
type Peer struct {
	Scrub   Scrub
	SeqLo   uint32 // highest sequence number sent
	SeqHi   uint32 // highest sequence number it may send
	SeqDiff uint32 // added to its sequence numbers, 0 for none
	MaxWin  uint16 // largest window advertised, not scaled
	MSS     uint16
	State   PeerState
	WScale  uint8 // 0x80 if the option was seen, shift in the low 4 bits
}

// A RouteType is what the rule of a state does with the route. OpenBSD's wire has
// 1 to 3 for these, FreeBSD's 2 to 4; decoding and encoding translate them.
type RouteType uint8

const (
	RouteNone RouteType = 0
	RouteFast RouteType = 1 // FreeBSD, obsolete
	RouteTo   RouteType = 2
	DupTo     RouteType = 3
	ReplyTo   RouteType = 4
)

// A StateFlags is a set of options of a state.
type StateFlags uint16

const (
	FlagAllowOpts     StateFlags = 0x0001
	FlagSloppy        StateFlags = 0x0002
	FlagPflow         StateFlags = 0x0004
	FlagNoSync        StateFlags = 0x0008
	FlagAck           StateFlags = 0x0010 // "please acknowledge": its first packet is held back
	FlagNoDF          StateFlags = 0x0020
	FlagSetTOS        StateFlags = 0x0040
	FlagRandomID      StateFlags = 0x0080
	FlagScrubTCP      StateFlags = 0x0100
	FlagSetPrio       StateFlags = 0x0200
	FlagInpUnlinked   StateFlags = 0x0400 // OpenBSD
	FlagDummynetPipe  StateFlags = 0x4000 // FreeBSD
	FlagDummynetQueue StateFlags = 0x8000 // FreeBSD
)

// A State is a connection as pf keeps it: one for each interface it passes, so two
// on a firewall that forwards. It is what all formats of the wire can say of it;
// a field that a format has no room for is lost on that wire, and zero after decoding.
//
// Times count from the moment of export: a state on the wire or from a [Store] is
// as old as it says then.
type State struct {
	StateID
	IfName Name // "all" if it is not bound to one

	Wire  Key // what the packets look like on the interface
	Stack Key // what they look like inside; the same unless addresses are translated
	Src   Peer
	Dst   Peer // Src is the initiator, whatever the direction

	RtAddr  Addr
	Rule    uint32 // number in the main ruleset, 0xffffffff: none
	Anchor  uint32
	NATRule uint32

	Creation uint32    // age in seconds
	Expire   uint32    // seconds left; 0 in an import stands for a whole timeout
	Packets  [2]uint64 // from the initiator, from the responder
	Bytes    [2]uint64

	RTableID [2]int32 // -1: none. OpenBSD: by key; FreeBSD has the first only
	MaxMSS   uint16

	AF        AF    // of Wire on OpenBSD
	Proto     uint8 // of Wire on OpenBSD
	RtAF      AF    // FreeBSD 1500
	Direction Direction
	Log       uint8 // 1 log, 2 all, 4 user
	Rt        RouteType
	Timeout   Timeout
	SyncFlags uint8 // 4: has a source node, 8: has one for NAT
	Updates   uint8 // always 0
	MinTTL    uint8
	SetTOS    uint8
	Flags     StateFlags
	SetPrio   [2]uint8

	QID, PQID       uint16 // FreeBSD: queues
	DNPipe, DNRPipe uint16 // FreeBSD: dummynet

	RtIfName   Name // FreeBSD 1400 and 1500
	OrigIfName Name // FreeBSD 1500: where it was made
	Tag        Tag  // FreeBSD 1500
}
