package carp

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Addrs puts the addresses of a virtual host on this machine and takes them off.
// A [Node] calls it on its own goroutine, so a slow one delays the adverts.
//
// On the way to MASTER the addresses are acquired, then the advert goes out,
// whose virtual source MAC moves the switch and makes the old master yield, then
// they are announced, then hooks run. On the way from MASTER they are released
// before the hooks run. The contexts of Acquire and Announce end with that of
// [Node.Run]; Release has 5 seconds.
type Addrs interface {
	// Acquire puts all addresses on, or none. If it fails the node claims nothing:
	// it goes back to BACKUP and is demoted for 10 seconds, and tries again when
	// the election lets it.
	Acquire(context.Context) error

	// Announce tells the neighbours, by gratuitous ARP and unsolicited neighbour
	// advertisements.
	Announce(context.Context) error

	// Release takes the addresses off. Those that are gone already are no error.
	// If it fails it is called again, every second.
	Release(context.Context) error
}

// An AddrSetter is an [Addrs] whose addresses can be changed, while they are held
// or not: all of them or, if it fails, none. The addresses of a virtual host whose
// Addrs is none cannot be changed.
type AddrSetter interface {
	SetAddresses(context.Context, []netip.Prefix) error
}

// A Yielder is an [Addrs] that defends its addresses when others claim them. Yield
// tells it that a successor does so rightly: it keeps them until Release, but
// leaves its neighbours alone until the next Acquire. It is called before a bow-out
// and when a successor is heard.
type Yielder interface {
	Yield()
}

// A Silencer is an [Addrs] that can keep addresses unnoticed which share a hardware
// address with those of the successor: what still comes in for them is answered, but
// nothing leaves from that hardware address, which would turn a switch round. Silence
// is called instead of Yield, and implies it, when a successor is heard; it holds
// until Release or the next Acquire. If it fails, Release follows at once.
type Silencer interface {
	Silence() error
}

// A Demoter is the demotion counter of a virtual host: package demote has the
// host-wide counter of FreeBSD and the interface groups of OpenBSD.
type Demoter interface {
	// Value is the counter.
	Value() int

	// Set makes n the contribution of cause, 0 to take it back.
	Set(cause string, n int)

	// Watch calls changed after each change of the value, until stop is called.
	// It may be called on any goroutine, also from within Set.
	Watch(changed func()) (stop func())
}

// A Change is a change of state.
type Change struct {
	VHID      uint8
	Interface string // [NodeConfig.Interface]
	From, To  State
	Reason    Reason
	At        time.Time
	Seq       uint64 // counts the changes of this virtual host, from 1
}

// Subject is "VHID@INTERFACE", the first argument of FreeBSD's and OPNsense's
// event hooks.
func (c Change) Subject() string { return fmt.Sprintf("%d@%s", c.VHID, c.Interface) }

// String is a line for a log.
func (c Change) String() string {
	return fmt.Sprintf("%s: %v -> %v (%v)", c.Subject(), c.From, c.To, c.Reason)
}

// Hooks observe a [Node]. Any may be nil. They run on the node's goroutine, one
// at a time and in order, and delay the next advert for as long as they take:
// whoever has more to do queues it.
type Hooks struct {
	// StateChanged is called once for each change of state: to MASTER when the
	// addresses are there, have been advertised and announced; from MASTER when
	// they are gone.
	StateChanged func(Change)

	// PacketDropped is called with each packet that counted for nothing, and the
	// reason: [errors.Is] ErrTTL, ErrAuth and so on. The packet's Data is only
	// valid during the call.
	PacketDropped func(Packet, error)
}
