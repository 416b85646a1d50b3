package ifconfig

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gocarp/gocarp/carp"
)

// An Op is what a [Change] does: ifconfig's word for it, or a name of ours where
// ifconfig has several words or none.
type Op string

// The things that can change, and the fields of a [Change] that say to what.
const (
	Create  Op = "create"
	Destroy Op = "destroy"
	Up      Op = "up"
	Down    Op = "down"

	MTU              Op = "mtu"          // N: 68 to 65535
	Description      Op = "description"  // Name: 1 to 63 characters
	ClearDescription Op = "-description" //
	JoinGroup        Op = "group"        // Name; see demote.CheckName
	LeaveGroup       Op = "-group"       // Name
	LLAddr           Op = "lladdr"       // LLAddr

	// SetAddress puts Address in the place of the first IPv4 address, or adds
	// it if it is an IPv6 address. AddAddress adds it, DeleteAddress removes
	// Addr, or the first IPv4 address if there is no Addr.
	SetAddress    Op = "address"
	AddAddress    Op = "alias"
	DeleteAddress Op = "delete"
	ClearInet     Op = "-inet"  // all IPv4 addresses
	ClearInet6    Op = "-inet6" // all IPv6 addresses

	// Of carp interfaces only. State asks for a state now, it does not
	// configure one; Init does nothing.
	VHID          Op = "vhid"      // N: 1 to 255
	AdvBase       Op = "advbase"   // N: 0 to 254, seconds
	AdvSkew       Op = "advskew"   // N: 0 to 254, 1/256 s
	Pass          Op = "pass"      // Pass; "" as after -pass: none
	PassFile      Op = "passfile"  // Name: a file with it; to be made a Pass by the program
	CarpDev       Op = "carpdev"   // Name
	ClearCarpDev  Op = "-carpdev"  //
	CarpPeer      Op = "carppeer"  // Addr: IPv4, unicast or multicast
	ClearCarpPeer Op = "-carppeer" // also: Addr is 224.0.0.18
	State         Op = "state"     // State
	CarpNodes     Op = "carpnodes" // Nodes
	Balancing     Op = "balancing" // Name: none, ip, ip-stealth, ip-unicast

	// Of pfsync0 only.
	SyncDev       Op = "syncdev"   // Name
	ClearSyncDev  Op = "-syncdev"  //
	SyncPeer      Op = "syncpeer"  // Addr: unicast
	ClearSyncPeer Op = "-syncpeer" // also: Addr is 224.0.0.240
	MaxUpd        Op = "maxupd"    // N: 0 to 255
	Defer         Op = "defer"
	NoDefer       Op = "-defer"
	Version       Op = "version" // N: 1301, 1400, 1500, or 0 for the newest

	// Of hostname.if(5) files only, left to the program.
	Shell Op = "!"    // Name: a command, with $if replaced
	Dest  Op = "dest" // Addr: the other end, of the address before
)

// A Change is one thing that is asked for. Which fields count says the Op.
type Change struct {
	Pos     Pos // of the word
	Op      Op
	N       int
	Name    string
	Pass    Password
	Addr    netip.Addr
	Address Address
	State   carp.State
	Nodes   []Node
	LLAddr  carp.HardwareAddr
}

// A Node is a virtual host of a load balancing group.
type Node struct {
	VHID    uint8 // 1 to 255
	AdvSkew uint8 // 0 to 254
}

// Words are the words of ifconfig(8) that ask for c, the password among them,
// or of hostname.if(5) if ifconfig has none.
func (c Change) Words() []string {
	op := string(c.Op)
	switch c.Op {
	case MTU, VHID, AdvBase, AdvSkew, MaxUpd, Version:
		return []string{op, strconv.Itoa(c.N)}
	case Description, JoinGroup, LeaveGroup, PassFile, CarpDev, SyncDev, Balancing, Shell:
		return []string{op, c.Name}
	case Pass:
		return []string{op, string(c.Pass)}
	case CarpPeer, SyncPeer, Dest:
		return []string{op, c.Addr.String()}
	case State:
		return []string{op, strings.ToLower(c.State.String())}
	case LLAddr:
		return []string{op, c.LLAddr.String()}
	case CarpNodes:
		return []string{op, nodesString(c.Nodes)}
	case SetAddress:
		return strings.Fields(c.Address.String())
	case AddAddress:
		return slices.Insert(strings.Fields(c.Address.String()), 1, op)
	case DeleteAddress:
		if c.Addr.IsValid() {
			return []string{family(c.Addr), c.Addr.String(), op}
		}
	}
	return []string{op}
}

// String is the words of c, with a placeholder for the password.
func (c Change) String() string {
	words := c.Words()
	switch c.Op {
	case Shell:
		return "!" + c.Name
	case Pass:
		words[1] = redacted
		return strings.Join(words, " ")
	}
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

func nodesString(nodes []Node) string {
	var b strings.Builder
	for i, n := range nodes {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(n.VHID)) + ":" + strconv.Itoa(int(n.AdvSkew)))
	}
	return b.String()
}
