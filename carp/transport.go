package carp

import (
	"fmt"
	"net/netip"
)

// ProtocolNumber is CARP's IP protocol number, which it shares with VRRP.
const ProtocolNumber = 112

// The groups adverts are sent to unless a virtual host has peers of its own.
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Group6 = netip.MustParseAddr("ff02::12")
)

// A HardwareAddr is an Ethernet address as a comparable value.
type HardwareAddr [6]byte

// String is the colon-separated hex form.
func (a HardwareAddr) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}

// A Packet is a CARP payload with what is needed of the headers around it.
type Packet struct {
	// Data is the IP payload, from the CARP header on.
	// ReadPacket appends to Data[:0] and so reuses its capacity.
	Data []byte

	// Src and Dst are the IP addresses. On sending, an invalid Src lets the
	// transport choose; Dst is a group or the address of a peer. Neither has a zone.
	Src, Dst netip.Addr

	// TTL is the received TTL or hop limit. Packets are always sent with 255.
	TTL uint8

	// IfIndex is the interface a packet arrived on, 0 if the transport does not know.
	IfIndex int

	// LinkSrc is the Ethernet source address. On sending, zero stands for the
	// interface's own address; unicast packets are routed like any other and
	// always carry that one, as the BSDs' do.
	LinkSrc HardwareAddr
}

// A Transport carries the CARP packets of one interface.
//
// ReadPacket is called from one goroutine, WritePacket from another. After
// Close both return an error that matches [net.ErrClosed]. Every other error of
// ReadPacket ends the [Node] that reads: a transport that can wait for its
// interface to return does so inside ReadPacket. An error of WritePacket counts
// as a send error, three of which demote the virtual host.
type Transport interface {
	ReadPacket(*Packet) error
	WritePacket(Packet) error // must not keep Data
	Close() error
}

// A Drainer is a [Transport] that can be asked for what has arrived but was not
// read yet. TryReadPacket may run while ReadPacket waits in another goroutine.
// It reports false, and leaves the packet alone, if nothing is queued. A Node
// uses it to look once more before it declares a master dead: on a busy machine
// the advert is often there and only its reader is late.
type Drainer interface {
	TryReadPacket(*Packet) (bool, error)
}

// A Link is the state of the interface below a virtual host.
type Link uint8

// The states of a link. OpenBSD's CARP runs on a link that is not known to be
// down; FreeBSD's only on one that is known to be up.
const (
	LinkUp Link = iota
	LinkUnknown
	LinkDown // no carrier, set down, or gone
)

// String is "up", "unknown" or "down".
func (l Link) String() string {
	switch l {
	case LinkUp:
		return "up"
	case LinkUnknown:
		return "unknown"
	}
	return "down"
}
