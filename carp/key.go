package carp

import (
	"bytes"
	"crypto/fips140"
	"crypto/sha1"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"
	"net/netip"
	"slices"
)

// A Digest says which addresses enter the HMAC. Peers must agree.
type Digest uint8

const (
	// DigestOpenBSD leaves IPv6 link-local addresses out of what is sent and
	// accepts them in or out: every OpenBSD carp(4) interface with an IPv6
	// address has a link-local one made from its MAC (carp_hmac_verify).
	DigestOpenBSD Digest = iota

	// DigestAll takes every address, and nothing else is accepted: FreeBSD,
	// NetBSD and ucarp.
	DigestAll
)

// A KeyConfig is what the nodes of a virtual host agree on.
type KeyConfig struct {
	Secret Secret
	VHID   uint8

	// Addrs are the virtual addresses, in any order. As in the kernels,
	// repeated ones count once, 0.0.0.0, ::, and the all-ones addresses not at
	// all, and zones and the scope octets of link-local addresses are cleared.
	Addrs []netip.Addr

	// LLAddr is hashed too unless it is zero: OpenBSD does so for a virtual MAC
	// that was set by hand and is not that of the parent interface.
	LLAddr HardwareAddr

	Digest Digest
}

// A Key signs and verifies the adverts of one virtual host. It holds the hash
// states after everything that is the same in each advert, so that neither
// operation allocates or hashes more than two blocks. A Key has scratch space
// and is not safe for concurrent use.
type Key struct {
	hash  hash.Hash
	state encoding.BinaryUnmarshaler // hash

	outer []byte    // after the outer pad
	inner [2][]byte // after the inner pad and the fixed part of the message
	forms int       // how many of inner are in use; the first one signs

	counter [8]byte
	sum     [sha1.Size]byte
}

// NewKey prepares the hash states of c. It fails with [ErrFIPS] where Go is told
// to refuse SHA-1, GODEBUG=fips140=only, which would panic later otherwise.
func NewKey(c KeyConfig) (*Key, error) {
	if fips140.Enforced() {
		return nil, ErrFIPS
	}
	k := &Key{hash: sha1.New(), forms: 1}
	k.state = k.hash.(encoding.BinaryUnmarshaler)
	k.outer = k.after(pad(c.Secret, 0x5c))

	addrs := hashOrder(c.Addrs)
	global := slices.DeleteFunc(slices.Clone(addrs), linkLocal)
	switch {
	case c.Digest == DigestAll:
		k.inner[0] = k.after(pad(c.Secret, 0x36), message(c, addrs))
	default:
		k.inner[0] = k.after(pad(c.Secret, 0x36), message(c, global))
		if len(global) != len(addrs) {
			k.inner[1] = k.after(pad(c.Secret, 0x36), message(c, addrs))
			k.forms = 2
		}
	}
	return k, nil
}

// String keeps the key out of logs.
func (*Key) String() string { return "carp.Key" }

// Sign sets h.Digest for h.Counter.
func (k *Key) Sign(h *Header) {
	k.compute(k.inner[0], h.Counter)
	h.Digest = k.sum
}

// Verify reports, in constant time, whether h.Digest is one that the holders of
// the key make for h.Counter.
func (k *Key) Verify(h *Header) bool {
	ok := 0
	for i := range k.forms {
		k.compute(k.inner[i], h.Counter)
		ok |= subtle.ConstantTimeCompare(k.sum[:], h.Digest[:])
	}
	return ok == 1
}

// compute leaves HMAC-SHA1(key, message || counter) in k.sum.
func (k *Key) compute(inner []byte, counter uint64) {
	binary.BigEndian.PutUint64(k.counter[:], counter)
	k.restore(inner)
	k.hash.Write(k.counter[:])
	k.hash.Sum(k.sum[:0])
	k.restore(k.outer)
	k.hash.Write(k.sum[:])
	k.hash.Sum(k.sum[:0])
}

// after is the marshaled state of the hash once it has taken parts.
func (k *Key) after(parts ...[]byte) []byte {
	k.hash.Reset()
	for _, p := range parts {
		k.hash.Write(p)
	}
	b, err := k.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("carp: crypto/sha1 cannot save its state: " + err.Error()) // documented not to happen
	}
	return b
}

// restore sets the hash to a state made by after, which always fits.
func (k *Key) restore(state []byte) {
	if err := k.state.UnmarshalBinary(state); err != nil {
		panic("carp: crypto/sha1 refuses its own state: " + err.Error())
	}
}

// pad is the key block of HMAC, the key and zeros, each octet xored with c.
func pad(key Secret, c byte) []byte {
	b := bytes.Repeat([]byte{c}, sha1.BlockSize)
	subtle.XORBytes(b, b, key[:])
	return b
}

// message is what the HMAC covers, up to the counter (carp_hmac_prepare_ctx).
func message(c KeyConfig, addrs []netip.Addr) []byte {
	b := []byte{version, advert}
	if c.LLAddr != (HardwareAddr{}) {
		b = append(b, c.LLAddr[:]...)
	}
	b = append(b, c.VHID)
	for _, a := range addrs {
		b = append(b, a.AsSlice()...)
	}
	return b
}

// hashOrder is addrs as the kernels hash them: IPv4 by value, then IPv6 by
// octets, each address once.
func hashOrder(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if a = normalAddr(a); hashed(a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare) // IPv4 first
	return slices.Compact(out)
}

// hashed reports whether a enters the HMAC. The kernels' selection starts from
// the lowest address and stops at the highest, so neither is ever chosen.
func hashed(a netip.Addr) bool {
	ones := func(b byte) bool { return b != 0xff }
	return a.IsValid() && !a.IsUnspecified() && slices.ContainsFunc(a.AsSlice(), ones)
}

// normalAddr is a without zone, v4-in-v6 form and the scope that KAME stacks
// keep in the second pair of octets of link-local addresses.
func normalAddr(a netip.Addr) netip.Addr {
	a = plain(a)
	if linkLocal(a) {
		b := a.As16()
		b[2], b[3] = 0, 0
		a = netip.AddrFrom16(b)
	}
	return a
}

// linkLocal reports whether a is an IPv6 address that OpenBSD leaves out of the
// digest it sends: fe80::/10 and multicast of link or interface scope.
func linkLocal(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast())
}
