package ifconfig

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
)

// A Kind of interfaces, by their names.
type Kind uint8

const (
	KindOther  Kind = 1 << iota // a real interface, or a group
	KindCarp                    // carp0, carp1, ...
	KindPfsync                  // pfsync0

	anyKind   = KindOther | KindCarp | KindPfsync
	addressed = KindOther | KindCarp
)

// KindOf is the kind of the interface called name.
func KindOf(name string) Kind {
	if unit(name, "carp") {
		return KindCarp
	}
	if unit(name, "pfsync") {
		return KindPfsync
	}
	return KindOther
}

// unit reports whether name is driver with a number.
func unit(name, driver string) bool {
	n, ok := strings.CutPrefix(name, driver)
	return ok && n != "" && strings.Trim(n, "0123456789") == "" && (n == "0" || n[0] != '0')
}

// A word is what ifconfig knows.
type word struct {
	op  Op
	on  Kind   // interfaces that have it
	arg string // what follows it; empty if nothing does
	// set takes the argument, and reports whether it is one. It may change the Op.
	set func(c *Change, arg string) bool
}

// Words about an address are not changes each, but make one together; see
// [parser.addressWord].
const (
	opInet      Op = "inet"
	opInet6     Op = "inet6"
	opNetmask   Op = "netmask"
	opPrefixLen Op = "prefixlen"
	opBroadcast Op = "broadcast"
)

// What is expected after a word, where more than one word or place says it.
const (
	wantInterface = "the name of an interface"
	wantGroup     = "the name of a group, of 1 to 15 characters and not ending in a digit"
	wantPeer      = "an IPv4 address"
	wantText      = "a text of 1 to 63 characters"
	wantAddress   = "an IPv4 or IPv6 address, alone or with its prefix length"
)

// words are all words of ifconfig that are understood.
var words = map[string]word{
	"create":  {op: Create, on: anyKind},
	"destroy": {op: Destroy, on: anyKind},
	"up":      {op: Up, on: anyKind},
	"down":    {op: Down, on: anyKind},

	"mtu":          {MTU, anyKind, "an MTU, 68 to 65535", number(68, 65535)},
	"description":  {Description, anyKind, wantText, text},
	"descr":        {Description, anyKind, wantText, text},
	"-description": {op: ClearDescription, on: anyKind},
	"-descr":       {op: ClearDescription, on: anyKind},
	"group":        {JoinGroup, anyKind, wantGroup, group},
	"-group":       {LeaveGroup, anyKind, wantGroup, group},
	"lladdr":       {LLAddr, addressed, "a unicast Ethernet address, as 02:00:5e:10:20:30", hardware},

	"inet":      {op: opInet, on: addressed},
	"inet6":     {op: opInet6, on: addressed},
	"-inet":     {op: ClearInet, on: addressed},
	"-inet6":    {op: ClearInet6, on: addressed},
	"alias":     {op: AddAddress, on: addressed},
	"delete":    {op: DeleteAddress, on: addressed},
	"-alias":    {op: DeleteAddress, on: addressed},
	"netmask":   {opNetmask, addressed, "an IPv4 netmask, as 255.255.255.0 or 0xffffff00", netmask},
	"prefixlen": {opPrefixLen, addressed, "a prefix length, 1 to 32 for IPv4, 1 to 128 for IPv6", number(1, 128)},
	"broadcast": {opBroadcast, addressed, "an IPv4 address", addr(netip.Addr.Is4)},

	"vhid":      {VHID, KindCarp, "a vhid, 1 to 255", number(1, 255)},
	"advbase":   {AdvBase, KindCarp, "seconds, 0 to 254", number(0, 254)},
	"advskew":   {AdvSkew, KindCarp, "units of 1/256 s, 0 to 254", number(0, 254)},
	"pass":      {Pass, KindCarp, "a passphrase without control characters", pass},
	"-pass":     {op: Pass, on: KindCarp},
	"passfile":  {PassFile, KindCarp, "the name of a file", file},
	"carpdev":   {CarpDev, KindCarp, wantInterface, name},
	"parent":    {CarpDev, KindCarp, wantInterface, name},
	"-carpdev":  {op: ClearCarpDev, on: KindCarp},
	"-parent":   {op: ClearCarpDev, on: KindCarp},
	"carppeer":  {CarpPeer, KindCarp, wantPeer, peer(carp.Group4, ClearCarpPeer)},
	"peer":      {CarpPeer, KindCarp, wantPeer, peer(carp.Group4, ClearCarpPeer)},
	"-carppeer": {op: ClearCarpPeer, on: KindCarp},
	"mcast":     {op: ClearCarpPeer, on: KindCarp},
	"state":     {State, KindCarp, "init, backup or master", state},
	"carpnodes": {CarpNodes, KindCarp, "up to 32 of vhid:advskew, with commas between them", nodes},
	"balancing": {Balancing, KindCarp, "none, ip, ip-stealth or ip-unicast", balancing},

	"syncdev":   {SyncDev, KindPfsync, wantInterface, name},
	"syncif":    {SyncDev, KindPfsync, wantInterface, name},
	"-syncdev":  {op: ClearSyncDev, on: KindPfsync},
	"-syncif":   {op: ClearSyncDev, on: KindPfsync},
	"syncpeer":  {SyncPeer, KindPfsync, "the address of a host", syncPeer},
	"-syncpeer": {op: ClearSyncPeer, on: KindPfsync},
	"maxupd":    {MaxUpd, KindPfsync, "a number, 0 to 255", number(0, 255)},
	"defer":     {op: Defer, on: KindPfsync},
	"-defer":    {op: NoDefer, on: KindPfsync},
	"version":   {Version, KindPfsync, "0, 1301, 1400 or 1500", version},
}

// wordsOf lists what an interface understands.
func wordsOf(k Kind) string {
	all := slices.Sorted(maps.Keys(words))
	return strings.Join(slices.DeleteFunc(all, func(w string) bool { return words[w].on&k == 0 }), " ")
}

func number(low, high int) func(*Change, string) bool {
	return func(c *Change, s string) bool {
		n, err := strconv.ParseUint(s, 10, 31)
		c.N = int(n)
		return err == nil && c.N >= low && c.N <= high
	}
}

func version(c *Change, s string) bool {
	return number(0, 1500)(c, s) && slices.Contains([]int{0, 1301, 1400, 1500}, c.N)
}

func addr(fits func(netip.Addr) bool) func(*Change, string) bool {
	return func(c *Change, s string) bool {
		var err error
		c.Addr, err = netip.ParseAddr(s)
		return err == nil && fits(c.Addr)
	}
}

// peer takes the address of an IPv4 host or group. The default one is the same
// as none.
func peer(group netip.Addr, none Op) func(*Change, string) bool {
	fits := func(a netip.Addr) bool { return a.Is4() && !a.IsUnspecified() && a != limited }
	return func(c *Change, s string) bool {
		ok := addr(fits)(c, s)
		if c.Addr == group {
			c.Op, c.Addr = none, netip.Addr{}
		}
		return ok
	}
}

// pfsyncGroup is where pfsync packets go without a syncpeer.
var pfsyncGroup = netip.AddrFrom4([4]byte{224, 0, 0, 240})

func syncPeer(c *Change, s string) bool {
	if peer(pfsyncGroup, ClearSyncPeer)(c, s) {
		return !c.Addr.IsMulticast()
	}
	return addr(func(a netip.Addr) bool {
		return a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast()
	})(c, s)
}

func pass(c *Change, s string) bool {
	c.Pass = Password(s)
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func file(c *Change, s string) bool {
	c.Name = s
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// maxText is the length of a description, IFDESCRSIZE without its NUL.
const maxText = 63

func text(c *Change, s string) bool {
	c.Name = s
	return s != "" && len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func name(c *Change, s string) bool {
	c.Name = s
	return isInterface(s)
}

// maxName is the length of the name of an interface, IFNAMSIZ without its NUL.
const maxName = 15

// isInterface reports whether s can be the name of an interface, here or on Linux.
func isInterface(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == ':' }
	return s != "" && len(s) <= maxName && s[0] != '-' && strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, odd)
}

func group(c *Change, s string) bool {
	c.Name = s
	return demote.CheckName(s) == nil
}

func state(c *Change, s string) bool {
	for c.State = carp.Init; c.State <= carp.Master; c.State++ {
		if strings.EqualFold(s, c.State.String()) {
			return true
		}
	}
	return false
}

func balancing(c *Change, s string) bool {
	c.Name = strings.ToLower(s)
	return slices.Contains([]string{"none", "ip", "ip-stealth", "ip-unicast"}, c.Name)
}

// maxNodes is CARP_MAXNODES.
const maxNodes = 32

func nodes(c *Change, s string) bool {
	var seen [256]bool
	for node := range strings.SplitSeq(s, ",") {
		v, skew, ok := strings.Cut(node, ":")
		vhid, err1 := strconv.ParseUint(v, 10, 8)
		advskew, err2 := strconv.ParseUint(skew, 10, 8)
		if !ok || err1 != nil || err2 != nil || vhid == 0 || advskew > 254 || seen[vhid] {
			return false
		}
		seen[vhid] = true
		c.Nodes = append(c.Nodes, Node{uint8(vhid), uint8(advskew)})
	}
	return len(c.Nodes) <= maxNodes
}

// hardware takes an Ethernet address as ether_aton(3) does. "random" is not one:
// all hosts of a group must have the same.
func hardware(c *Change, s string) bool {
	octets := strings.Split(s, ":")
	if len(octets) != len(c.LLAddr) {
		return false
	}
	for i, octet := range octets {
		n, err := strconv.ParseUint(octet, 16, 8)
		if err != nil {
			return false
		}
		c.LLAddr[i] = byte(n)
	}
	return c.LLAddr[0]&1 == 0 && c.LLAddr != carp.HardwareAddr{}
}

func netmask(c *Change, s string) bool {
	var ok bool
	c.N, ok = parseMask(s)
	return ok && c.N > 0
}
