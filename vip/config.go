package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Errors a caller may branch on.
var (
	// ErrForeign says that an address, or the name of the macvlan, is in use
	// already by somebody else on this machine. It is left alone.
	ErrForeign = errors.New("in use on this machine already, and not put there by gocarp")

	// ErrInUse says that another Applier, in this process or another one, works
	// on the same address of the same interface.
	ErrInUse = errors.New("another process is in charge of it already")

	// ErrNoInterface says that the interface does not exist (any more).
	ErrNoInterface = errors.New("no such network interface")
)

// A Mode says where the addresses live and which hardware address they have.
type Mode uint8

// The modes.
const (
	// RealMAC puts the addresses on the interface itself; clients use its own
	// hardware address.
	RealMAC Mode = iota

	// VirtualMAC puts them on a macvlan above the interface that has the shared
	// hardware address and is up only while the addresses are held. On the
	// interface itself, arp_ignore and arp_announce are raised.
	VirtualMAC

	// RewrittenMAC puts them on the interface itself, too, and has eBPF programs
	// put the shared hardware address into what it says in ARP and neighbour
	// discovery, and accept frames to that address, while they are held. Needs
	// Linux 6.6 and CAP_BPF.
	RewrittenMAC
)

// String is "real MAC", "virtual MAC" or "rewritten MAC".
func (m Mode) String() string {
	switch m {
	case RealMAC:
		return "real MAC"
	case VirtualMAC:
		return "virtual MAC"
	case RewrittenMAC:
		return "rewritten MAC"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Forever as a lifetime makes addresses stay until they are released, even if
// the process dies.
const Forever time.Duration = -1

// The bounds of Config.Lifetime, and its default: less than the three seconds
// after which a backup takes over from a silent master, with the default
// intervals, so that the addresses of a dead process are gone by then.
const (
	defaultLifetime = 2 * time.Second
	minLifetime     = time.Second
	maxLifetime     = time.Hour
)

// A Config describes the addresses of a virtual host on one interface.
type Config struct {
	// Interface is the name of the interface, which must exist. Required.
	Interface string

	// Addresses are the shared addresses. They need not be inside a subnet of
	// the interface. At least one is required.
	Addresses []netip.Prefix

	// KeepPrefixLen puts the addresses on with the prefix lengths in Addresses,
	// so that the subnet becomes reachable through them. The default is to use
	// /32 and /128 whatever they say, because Linux makes an address in the same
	// subnet as another one a secondary, and deletes it with the other one.
	KeepPrefixLen bool

	// Mode is RealMAC by default.
	Mode Mode

	// MAC is the shared hardware address for VirtualMAC and RewrittenMAC, which
	// require it. RealMAC ignores it.
	MAC HardwareAddr

	// LinkName names the macvlan of VirtualMAC. The default is made of up to 12
	// octets of Interface and the last octet of MAC: "lan-07". Firewall rules
	// must let in what comes in on it.
	LinkName string

	// Lifetime is how long the kernel keeps an address that is no longer
	// renewed, in whole seconds, rounded up: 1 s to 1 h, or Forever. The default
	// is 2 s; 1 s is short for a busy machine. Run renews four times per Lifetime,
	// and once a second with Forever.
	Lifetime time.Duration

	// RepeatAnnouncements is the time after which held addresses are announced
	// again, at least 1 s. The default, 0, announces only when told to and when
	// somebody else claims an address.
	RepeatAnnouncements time.Duration

	// RequestsOnly leaves out the reply form of gratuitous ARP, which a few old
	// hosts need and some security software takes for an attack.
	RequestsOnly bool

	// KeepSysctls leaves arp_ignore and arp_announce of the interface alone for
	// operators who set them themselves. VirtualMAC does not work without.
	KeepSysctls bool

	// Claimed, if not nil, is told of every claim to a held address by another
	// hardware address. It is called from Run and delays it.
	Claimed func(Claim)

	// Fault, if not nil, is told when addresses that should be held cannot be
	// kept in place, with the reason, and with nil when all is well again. It is
	// called from Run and delays it. A virtual host may demote itself meanwhile.
	Fault func(error)

	// Logger is told of repairs, claims and leftovers. The default is silent.
	Logger *slog.Logger
}

// Validate returns everything that is wrong with c, joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("vip: "+format, args...)) }

	if !validLinkName(c.Interface) {
		bad("Interface %q is not the name of a network interface", c.Interface)
	}
	errs = append(errs, validateAddresses(c.Addresses)...)
	switch c.Mode {
	case RealMAC:
	case VirtualMAC, RewrittenMAC:
		if c.MAC == (HardwareAddr{}) || c.MAC[0]&1 != 0 {
			bad("MAC %v is not the hardware address of one machine", c.MAC)
		}
		if c.LinkName != "" && (!validLinkName(c.LinkName) || c.LinkName == c.Interface) {
			bad("LinkName %q cannot name a macvlan on %q", c.LinkName, c.Interface)
		}
	default:
		bad("Mode is unknown: %v", c.Mode)
	}
	if c.Lifetime != 0 && c.Lifetime != Forever && (c.Lifetime < minLifetime || c.Lifetime > maxLifetime) {
		bad("Lifetime %v is not Forever and not between %v and %v", c.Lifetime, minLifetime, maxLifetime)
	}
	if c.RepeatAnnouncements != 0 && c.RepeatAnnouncements < time.Second {
		bad("RepeatAnnouncements %v is less than %v", c.RepeatAnnouncements, time.Second)
	}
	return errors.Join(errs...)
}

// validLinkName is the kernel's dev_valid_name.
func validLinkName(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." && !strings.ContainsAny(name, "/: \t\n\v\f\r")
}

func validateAddresses(prefixes []netip.Prefix) []error {
	var errs []error
	if len(prefixes) == 0 {
		errs = append(errs, errors.New("vip: Addresses is empty"))
	}
	seen := make(map[netip.Addr]bool)
	for _, p := range prefixes {
		a := p.Addr()
		switch {
		case !p.IsValid() || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() ||
			a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			errs = append(errs, fmt.Errorf("vip: address %v is not an IPv4 or IPv6 unicast address with a prefix length", p))
		case seen[a]:
			errs = append(errs, fmt.Errorf("vip: address %v is there twice", a))
		}
		seen[a] = true
	}
	return errs
}

// linkName is the name of the macvlan.
func (c *Config) linkName() string {
	if c.LinkName != "" {
		return c.LinkName
	}
	return fmt.Sprintf("%.12s-%02x", c.Interface, c.MAC[5])
}

// lifetime is the lifetime of addresses in whole seconds; 0 is for ever.
func (c *Config) lifetime() uint32 {
	switch c.Lifetime {
	case Forever:
		return 0
	case 0:
		return uint32(defaultLifetime / time.Second)
	}
	return uint32((c.Lifetime + time.Second - 1) / time.Second)
}

// renewal is the time between two renewals of the lifetime.
func (c *Config) renewal() time.Duration {
	if s := c.lifetime(); s != 0 {
		return time.Duration(s) * time.Second / 4
	}
	return time.Second
}

// effective is what is put on the link for the addresses that were configured.
func (c *Config) effective(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		if !c.KeepPrefixLen {
			p = netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
		}
		out[i] = p
	}
	return out
}
