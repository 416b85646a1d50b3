package pfsync

import "net/netip"

// ProtocolNumber is pfsync's IP protocol number.
const ProtocolNumber = 240

// The groups that pfsync is sent to unless there is a syncpeer. Only FreeBSD 14
// and newer speak it over IPv6.
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 240})
	Group6 = netip.MustParseAddr("ff12::f0")
)

// A Packet is a pfsync payload with what is needed of the headers around it.
type Packet struct {
	// Data is the IP payload, from the pfsync header on. ReadPackets appends to
	// Data[:0] and so reuses its capacity.
	Data []byte

	// Src and Dst are the IP addresses, without a zone. On sending, Dst is a group
	// or the address of a peer, and Src is the transport's business.
	Src, Dst netip.Addr

	// TTL is the received TTL or hop limit. Packets are always sent with 255. The
	// Transport hands on packets with any; they are for the receiver to drop.
	TTL uint8

	// IfIndex is the interface a packet arrived on, 0 if the transport does not know.
	IfIndex int
}

// A Transport carries the pfsync packets of one interface.
//
// ReadPackets waits for at least one packet, fills up to len(p) of them and
// returns how many. WritePackets sends payloads to dst and returns how many went
// out before an error, which are all of them if there is none. ReadPackets is
// called from one goroutine, WritePackets from another. After Close both return
// an error that matches [net.ErrClosed].
//
// Every other error of ReadPackets ends the one that reads: a transport that can
// wait for its interface to return does so inside ReadPackets. An error of
// WritePackets is the loss of what was not sent, and nothing more. It must not wait
// for long: a node does nothing else meanwhile, and does not even end.
type Transport interface {
	ReadPackets(p []Packet) (int, error)
	WritePackets(dst netip.Addr, payloads [][]byte) (int, error) // must not keep payloads
	Close() error
}

// A Link is the state of the sync interface, for EventLinkUp and EventLinkDown.
type Link uint8

const (
	LinkUp   Link = iota // or not known to be down
	LinkDown             // no carrier, set down, or gone
)

// String is "up" or "down".
func (l Link) String() string {
	if l == LinkUp {
		return "up"
	}
	return "down"
}

// A SidePacket is a datagram of the side channel.
type SidePacket struct {
	// Data is the payload. ReadPacket appends to Data[:0] and so reuses its capacity.
	Data []byte

	// Src is the address it came from, without a zone.
	Src netip.Addr
}

// A SideTransport carries the datagrams of the side channel, up to [SideMTU]
// octets each, between nodes on one link: it delivers none that was routed, and
// none of this node's own. Its methods are called and behave as those of a
// [Transport] do.
type SideTransport interface {
	ReadPacket(p *SidePacket) error
	WritePacket(dst netip.Addr, b []byte) error // must not keep b
	Close() error
}
