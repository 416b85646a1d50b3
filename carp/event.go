package carp

import (
	"fmt"
	"time"
)

// A State is what a virtual host is.
type State uint8

// The states, with ifconfig(8)'s names.
const (
	Init   State = iota // not taking part
	Backup              // listening to a master
	Master              // holding the addresses and advertising
)

// String is the state's name in capitals.
func (s State) String() string {
	switch s {
	case Init:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Master:
		return "MASTER"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText is the name, for JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Families is a set of address families.
type Families uint8

// The families of a virtual host's addresses.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// An EventKind says what happened.
type EventKind uint8

// The events, and the field of [Event] that goes with each.
const (
	EventTimer   EventKind = iota // the deadline may have passed; early is harmless
	EventUp                       // the virtual host is to take part
	EventDown                     // it is to leave: a master bows out
	EventLink                     // Link: the state of the interface
	EventAllow                    // Allow: net.inet.carp.allow
	EventAdvert                   // Advert, Family, Lower: one that was checked and authenticated
	EventDemote                   // Demote: the demotion counter
	EventForce                    // Force: ifconfig's "state"; only BACKUP and MASTER do anything
	EventConfig                   // Config: same VHID and Dialect, and valid
	EventKey                      // the passphrase is another one
	EventAddrs                    // Families, Added: the address set is another one
	EventTaken                    // the addresses are on: the first advert of a master goes out now
	EventRefused                  // the addresses could not be taken: no master after all
	EventStall                    // this host stood still, so what is known of the peers is stale
)

// An Event is what a [Machine] is told.
type Event struct {
	Kind     EventKind
	Advert   Header
	Family   Families // of the advert: IPv4 or IPv6
	Lower    bool     // the advert's sender beats us in a tie by ucarp's rule
	Demote   int
	Force    State
	Link     Link
	Allow    bool
	Config   Config
	Families Families // of all addresses
	Added    bool     // an address is new, rather than only gone
}

// A Reason says why a state changed.
type Reason uint8

// The reasons of a state change.
const (
	ReasonNone          Reason = iota
	ReasonUp                   // up and running
	ReasonDown                 // taken down
	ReasonLinkDown             // interface down
	ReasonForbidden            // allow=0
	ReasonMasterTimeout        // nothing heard from the master
	ReasonMasterSlow           // the master will time out by what it advertises
	ReasonMasterLeft           // the master bowed out
	ReasonMasterDemoted        // the master is demoted more than we are
	ReasonPreempt              // we are faster than the master
	ReasonBetterMaster         // a faster master
	ReasonEqualMaster          // a master just as fast
	ReasonLessDemoted          // a master that is demoted less
	ReasonForced               // somebody said so
	ReasonAddrs                // the address set changed
	ReasonRefused              // the addresses could not be taken
	ReasonStalled              // this host stood still
	ReasonHandedOver           // left, and a successor has taken over
	ReasonNoSuccessor          // left, and nobody has taken over in time
)

var reasons = [...]string{
	ReasonNone:          "no change",
	ReasonUp:            "up and running",
	ReasonDown:          "taken down",
	ReasonLinkDown:      "interface down",
	ReasonForbidden:     "not allowed (allow=0)",
	ReasonMasterTimeout: "master timed out",
	ReasonMasterSlow:    "master advertises too slowly",
	ReasonMasterLeft:    "master bowed out",
	ReasonMasterDemoted: "master is demoted more",
	ReasonPreempt:       "preempting a slower master",
	ReasonBetterMaster:  "heard a faster master",
	ReasonEqualMaster:   "heard an equal master",
	ReasonLessDemoted:   "heard a less demoted master",
	ReasonForced:        "forced",
	ReasonAddrs:         "addresses changed",
	ReasonRefused:       "could not take the addresses",
	ReasonStalled:       "this host stood still",
	ReasonHandedOver:    "handed over",
	ReasonNoSuccessor:   "left without a successor",
}

// String is the reason in words, for a log.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// MarshalText is the reason in words, for JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// An Output is what a [Machine] wants done about an event. The order that keeps
// clients connected is in the comment of [Addrs].
type Output struct {
	From, To State  // equal if nothing changed
	Reason   Reason // why To differs from From

	// Send asks to transmit Advert for each family in use. Its Counter and
	// Digest are not set.
	Send   bool
	Advert Header

	// Announce asks for gratuitous ARP and unsolicited neighbour advertisements:
	// on becoming master and with the second advert after that, as OpenBSD does.
	// Reassert asks for the same because another master was heard; the BSDs stay
	// silent there, ucarp does it.
	Announce, Reassert bool

	// Deadline is when to step the machine with EventTimer; zero means never.
	Deadline time.Time
}
