package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoLink says that there is no interface of that name or index.
var ErrNoLink = errors.New("no such network interface")

// A Link is a network interface as the kernel describes it.
type Link struct {
	Index   int
	Name    string
	MAC     [6]byte // zero if the link has no 48-bit address
	MTU     int
	AdminUp bool // IFF_UP: somebody wants it up

	// Running is IFF_RUNNING: up, with a carrier, and ready to pass packets. It
	// is the one to watch for "the cable is out".
	Running bool

	OperState   uint8  // RFC 2863: IF_OPER_UP is 6, LOWERLAYERDOWN is 3, DOWN is 2
	Kind        string // "macvlan", "bridge", "veth" ...; empty for hardware
	Alias       string
	Master      int // index of the bridge or bond it is a port of, or 0
	ParentIndex int // index of the link below (VLAN, macvlan) or of the other end (veth), or 0

	// Blackhole says that all that the link would send is dropped.
	Blackhole bool
}

// Links returns all links of the namespace.
func (c *Conn) Links() ([]Link, error) {
	req, err := encode(ifInfo(0, 0, 0), skipStats)
	if err != nil {
		return nil, fmt.Errorf("rtnl: list links: %w", err)
	}
	msgs, err := c.get(unix.RTM_GETLINK, netlink.Dump, req)
	if err != nil {
		return nil, fmt.Errorf("rtnl: list links: %w", err)
	}
	links := make([]Link, 0, len(msgs))
	for _, m := range msgs {
		l, err := parseLink(m.Data)
		if err != nil {
			return nil, fmt.Errorf("rtnl: list links: %w", err)
		}
		links = append(links, l)
	}
	return links, nil
}

// LinkByName returns the link with that name. The error matches [ErrNoLink] if
// there is none.
func (c *Conn) LinkByName(name string) (Link, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return Link{}, fmt.Errorf("rtnl: link %q: %w: a name has 1 to %d octets", name, ErrNoLink, unix.IFNAMSIZ-1)
	}
	return c.link(fmt.Sprintf("link %q", name), 0, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, name)
	})
}

// LinkByIndex returns the link with that index. The error matches [ErrNoLink]
// if there is none.
func (c *Conn) LinkByIndex(index int) (Link, error) {
	what := fmt.Sprintf("link with index %d", index)
	if index <= 0 {
		return Link{}, fmt.Errorf("rtnl: %s: %w", what, ErrNoLink)
	}
	return c.link(what, index, func(*netlink.AttributeEncoder) {})
}

func (c *Conn) link(what string, index int, fill func(*netlink.AttributeEncoder)) (Link, error) {
	req, err := encode(ifInfo(index, 0, 0), func(ae *netlink.AttributeEncoder) {
		skipStats(ae)
		fill(ae)
	})
	if err != nil {
		return Link{}, fmt.Errorf("rtnl: %s: %w", what, err)
	}
	msgs, err := c.get(unix.RTM_GETLINK, 0, req)
	switch {
	case errors.Is(err, unix.ENODEV):
		return Link{}, fmt.Errorf("rtnl: %s: %w", what, ErrNoLink)
	case err != nil:
		return Link{}, fmt.Errorf("rtnl: %s: %w", what, err)
	case len(msgs) == 0:
		return Link{}, fmt.Errorf("rtnl: %s: empty answer", what)
	}
	l, err := parseLink(msgs[0].Data)
	if err != nil {
		return Link{}, fmt.Errorf("rtnl: %s: %w", what, err)
	}
	return l, nil
}

// skipStats asks for descriptions without counters, which are most of the bytes.
func skipStats(ae *netlink.AttributeEncoder) {
	const rtextFilterSkipStats = 1 << 3 // linux/rtnetlink.h
	ae.Uint32(unix.IFLA_EXT_MASK, rtextFilterSkipStats)
}

// parseLink decodes struct ifinfomsg and the attributes behind it.
func parseLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("link message of %d octets", len(b))
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l := Link{
		Index:   int(int32(binary.NativeEndian.Uint32(b[4:]))),
		AdminUp: flags&unix.IFF_UP != 0,
		Running: flags&unix.IFF_RUNNING != 0,
	}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return Link{}, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.Name = ad.String()
		case unix.IFLA_ADDRESS:
			if hw := ad.Bytes(); len(hw) == len(l.MAC) {
				l.MAC = [6]byte(hw)
			}
		case unix.IFLA_MTU:
			l.MTU = int(ad.Uint32())
		case unix.IFLA_OPERSTATE:
			l.OperState = ad.Uint8()
		case unix.IFLA_QDISC:
			l.Blackhole = ad.String() == blackhole
		case unix.IFLA_IFALIAS:
			l.Alias = ad.String()
		case unix.IFLA_MASTER:
			l.Master = int(ad.Uint32())
		case unix.IFLA_LINK:
			l.ParentIndex = int(ad.Uint32())
		case unix.IFLA_LINKINFO:
			ad.Nested(func(info *netlink.AttributeDecoder) error {
				for info.Next() {
					if info.Type() == unix.IFLA_INFO_KIND {
						l.Kind = info.String()
					}
				}
				return nil
			})
		}
	}
	return l, ad.Err()
}

// macvlanModeBridge is MACVLAN_MODE_BRIDGE of linux/if_link.h. In private mode
// the link below would no longer hear frames from the MAC of the macvlan, which
// the other node of a virtual host sends its adverts with.
const macvlanModeBridge = 4

// AddMacvlan makes a macvlan in bridge mode above the link with index parent
// and leaves it down. IPv6 makes no link-local address of its own on it: the
// nodes of a virtual host share the MAC and would all make the same one. The
// alias says whose link it is.
func (c *Conn) AddMacvlan(name string, parent int, mac [6]byte, alias string) (Link, error) {
	fail := func(err error) (Link, error) {
		return Link{}, fmt.Errorf("rtnl: add macvlan %q: %w", name, err)
	}
	req, err := encode(ifInfo(0, 0, 0), func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, name)
		ae.Uint32(unix.IFLA_LINK, uint32(parent))
		ae.Bytes(unix.IFLA_ADDRESS, mac[:])
		ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
			info.String(unix.IFLA_INFO_KIND, "macvlan")
			info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
				data.Uint32(unix.IFLA_MACVLAN_MODE, macvlanModeBridge)
				return nil
			})
			return nil
		})
	})
	if err != nil {
		return fail(err)
	}
	if err := c.do(unix.RTM_NEWLINK, netlink.Create|netlink.Excl, req); err != nil {
		return fail(err)
	}
	l, err := c.LinkByName(name)
	if err != nil {
		return fail(err)
	}
	// These two are refused or ignored while the link is being created.
	req, err = encode(ifInfo(l.Index, 0, 0), func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFALIAS, alias)
		ae.Nested(unix.IFLA_AF_SPEC, func(spec *netlink.AttributeEncoder) error {
			const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
			spec.Nested(unix.AF_INET6, func(inet6 *netlink.AttributeEncoder) error {
				inet6.Uint8(unix.IFLA_INET6_ADDR_GEN_MODE, addrGenModeNone)
				return nil
			})
			return nil
		})
	})
	if err == nil {
		err = c.do(unix.RTM_SETLINK, 0, req)
	}
	if err != nil {
		return fail(errors.Join(err, c.DeleteLink(l.Index)))
	}
	l.Alias = alias
	return l, nil
}

// SetUp sets a link administratively up or down.
func (c *Conn) SetUp(index int, up bool) error {
	var flags uint32
	if up {
		flags = unix.IFF_UP
	}
	if err := c.do(unix.RTM_NEWLINK, 0, ifInfo(index, flags, unix.IFF_UP)); err != nil {
		return fmt.Errorf("rtnl: set link with index %d up=%t: %w", index, up, noLink(err))
	}
	return nil
}

// SetMAC changes the hardware address of a link.
func (c *Conn) SetMAC(index int, mac [6]byte) error {
	req, err := encode(ifInfo(index, 0, 0), func(ae *netlink.AttributeEncoder) {
		ae.Bytes(unix.IFLA_ADDRESS, mac[:])
	})
	if err == nil {
		err = c.do(unix.RTM_SETLINK, 0, req)
	}
	if err != nil {
		return fmt.Errorf("rtnl: set address of link with index %d to %s: %w",
			index, net.HardwareAddr(mac[:]), noLink(err))
	}
	return nil
}

// DeleteLink removes a link. One that is gone already is no error.
func (c *Conn) DeleteLink(index int) error {
	err := c.do(unix.RTM_DELLINK, 0, ifInfo(index, 0, 0))
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("rtnl: delete link with index %d: %w", index, err)
	}
	return nil
}

// noLink gives the kernel's ENODEV this package's name.
func noLink(err error) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", ErrNoLink, err)
	}
	return err
}
