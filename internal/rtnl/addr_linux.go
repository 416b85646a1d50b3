package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO of linux/if_addr.h (Linux 5.18 and newer): a number
// that says who put an address on. The kernel itself uses 1 to 3.
const ifaProto = 11

// An Addr is an address on a link.
type Addr struct {
	Index  int          // of the link
	Prefix netip.Prefix // the address itself, with its prefix length; without zone
	Flags  uint32       // IFA_F_*
	Proto  uint8        // IFA_PROTO: who put it there; 0 is unsaid

	// Lifetime is how many seconds the kernel keeps the address, as valid and as
	// preferred lifetime. 0 is for ever.
	Lifetime uint32
}

// AddAddr puts a on its link. The error matches EEXIST if its address is there
// already, whoever put it there.
func (c *Conn) AddAddr(a Addr) error {
	if err := c.newAddr(a, netlink.Create|netlink.Excl); err != nil {
		return fmt.Errorf("rtnl: add %v to link with index %d: %w", a.Prefix, a.Index, noLink(err))
	}
	return nil
}

// ReplaceAddr puts a on its link, or gives the one that is there the flags and
// the lifetime of a.
func (c *Conn) ReplaceAddr(a Addr) error {
	if err := c.newAddr(a, netlink.Create|netlink.Replace); err != nil {
		return fmt.Errorf("rtnl: replace %v on link with index %d: %w", a.Prefix, a.Index, noLink(err))
	}
	return nil
}

// DeleteAddr takes a.Prefix off its link. An address, or a link, that is gone
// already is no error.
func (c *Conn) DeleteAddr(a Addr) error {
	req, err := encodeAddr(a)
	if err == nil {
		err = c.do(unix.RTM_DELADDR, 0, req)
	}
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("rtnl: delete %v from link with index %d: %w", a.Prefix, a.Index, err)
	}
	return nil
}

// Addrs returns the IPv4 and IPv6 addresses of a link, or of all links if
// index is 0. The error matches [ErrNoLink] if there is no such link.
func (c *Conn) Addrs(index int) ([]Addr, error) {
	req := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(req[4:], uint32(index))
	msgs, err := c.get(unix.RTM_GETADDR, netlink.Dump, req)
	if err != nil {
		return nil, fmt.Errorf("rtnl: list addresses of link with index %d: %w", index, noLink(err))
	}
	addrs := make([]Addr, 0, len(msgs))
	for _, m := range msgs {
		a, err := parseAddr(m.Data)
		if err != nil {
			return nil, fmt.Errorf("rtnl: list addresses of link with index %d: %w", index, err)
		}
		if a.Prefix.IsValid() {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

func (c *Conn) newAddr(a Addr, flags netlink.HeaderFlags) error {
	req, err := encodeAddr(a)
	if err != nil {
		return err
	}
	return c.do(unix.RTM_NEWADDR, flags, req)
}

// encodeAddr is struct ifaddrmsg and its attributes. The scope is left at
// "universe": for IPv6 the kernel goes by the address itself.
func encodeAddr(a Addr) ([]byte, error) {
	ip := a.Prefix.Addr()
	if !a.Prefix.IsValid() || ip.Is4In6() {
		return nil, fmt.Errorf("%v is not an IPv4 or IPv6 address with a prefix length", a.Prefix)
	}
	h := make([]byte, unix.SizeofIfAddrmsg)
	h[0] = unix.AF_INET
	if ip.Is6() {
		h[0] = unix.AF_INET6
	}
	h[1] = uint8(a.Prefix.Bits())
	binary.NativeEndian.PutUint32(h[4:], uint32(a.Index))
	return encode(h, func(ae *netlink.AttributeEncoder) {
		ae.Bytes(unix.IFA_LOCAL, ip.AsSlice())
		ae.Bytes(unix.IFA_ADDRESS, ip.AsSlice())
		ae.Uint32(unix.IFA_FLAGS, a.Flags)
		if a.Proto != 0 {
			ae.Uint8(ifaProto, a.Proto)
		}
		if a.Lifetime != 0 {
			ci := make([]byte, 16) // struct ifa_cacheinfo: preferred, valid, two timestamps
			binary.NativeEndian.PutUint32(ci, a.Lifetime)
			binary.NativeEndian.PutUint32(ci[4:], a.Lifetime)
			ae.Bytes(unix.IFA_CACHEINFO, ci)
		}
	})
}

// parseAddr decodes struct ifaddrmsg and the attributes behind it. The Prefix
// is invalid if the message has none of our two families.
func parseAddr(b []byte) (Addr, error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return Addr{}, fmt.Errorf("address message of %d octets", len(b))
	}
	a := Addr{Index: int(int32(binary.NativeEndian.Uint32(b[4:]))), Flags: uint32(b[2])}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfAddrmsg:])
	if err != nil {
		return Addr{}, err
	}
	var local, address netip.Addr
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_FLAGS:
			a.Flags = ad.Uint32() // has the low octet of the header's flags, too
		case ifaProto:
			a.Proto = ad.Uint8()
		case unix.IFA_CACHEINFO:
			if ci := ad.Bytes(); len(ci) >= 8 {
				if valid := binary.NativeEndian.Uint32(ci[4:]); valid != 1<<32-1 {
					a.Lifetime = valid
				}
			}
		}
	}
	if !local.IsValid() {
		local = address // IPv6 says IFA_LOCAL only if the link has a peer address
	}
	if local.IsValid() {
		a.Prefix = netip.PrefixFrom(local, int(b[1]))
	}
	return a, ad.Err()
}
