package fuzz

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/gocarp/gocarp/carp"
)

// FuzzKey holds the digests against a second reading of the protocol.
func FuzzKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, secret []byte, vhid uint8, addrs, lladdr []byte, all bool, counter uint64, flip uint16) {
		c := carp.KeyConfig{VHID: vhid}
		copy(c.Secret[:], secret)
		copy(c.LLAddr[:], lladdr)
		for in := tape(addrs); !in.done(); {
			c.Addrs = append(c.Addrs, in.addr())
		}
		if all {
			c.Digest = carp.DigestAll
		}
		given := slices.Clone(c.Addrs)
		key := newKey(t, c)
		if !slices.Equal(c.Addrs, given) {
			t.Fatalf("NewKey changed the addresses to %v", c.Addrs)
		}

		h := carp.Header{VHID: vhid, AdvSkew: 1, AdvBase: 2, Demote: 3, Counter: counter}
		signed := h
		key.Sign(&signed)
		h.Digest = reference(&c, counter, all)
		if signed != h {
			t.Fatalf("%+v, counter %x: signed %+v, want digest %x", given, counter, signed, h.Digest)
		}
		if !key.Verify(&h) {
			t.Fatalf("%+v: its own digest is refused", given)
		}
		other := h
		other.Digest = reference(&c, counter, true)
		if !key.Verify(&other) {
			t.Fatalf("%+v: the digest over all addresses is refused", given)
		}
		other.Digest = reference(&c, counter, false)
		if want := !all || other.Digest == h.Digest; key.Verify(&other) != want {
			t.Fatalf("%+v: the digest without link-local addresses is accepted: %v", given, !want)
		}

		// What is not hashed does not matter, and what is does.
		h.VHID, h.AdvSkew, h.AdvBase, h.Demote = ^h.VHID, 255, 255, 255
		if !key.Verify(&h) {
			t.Fatal("a field that is not hashed made the digest wrong")
		}
		bad := h
		if flip &= 0xff; flip < 64 {
			bad.Counter ^= 1 << flip
		} else {
			bad.Digest[flip%20] ^= 1 << (flip / 20 % 8)
		}
		if key.Verify(&bad) {
			t.Fatalf("bit %d is wrong and nobody minds", flip)
		}

		// Neither order nor repetition of the addresses matters.
		slices.Reverse(c.Addrs)
		c.Addrs = append(c.Addrs, given...)
		if k := newKey(t, c); !k.Verify(&h) {
			t.Fatalf("%v: refused if the addresses are %v", given, c.Addrs)
		}
	})
}

func newKey(t *testing.T, c carp.KeyConfig) *carp.Key {
	key, err := carp.NewKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// reference is the digest of an advert, as the kernels' hashing reads on paper.
func reference(c *carp.KeyConfig, counter uint64, all bool) [20]byte {
	var v4, v6 []string
	for _, a := range c.Addrs {
		if b := wireForm(a); len(b) == 4 {
			v4 = append(v4, b)
		} else if len(b) == 16 && (all || !local(b)) {
			v6 = append(v6, b)
		}
	}
	mac := hmac.New(sha1.New, c.Secret[:])
	mac.Write([]byte{2, 1})
	if c.LLAddr != (carp.HardwareAddr{}) {
		mac.Write(c.LLAddr[:])
	}
	mac.Write([]byte{c.VHID})
	for _, list := range [][]string{v4, v6} {
		slices.Sort(list)
		for _, b := range slices.Compact(list) {
			mac.Write([]byte(b))
		}
	}
	mac.Write(binary.BigEndian.AppendUint64(nil, counter))
	return [20]byte(mac.Sum(nil))
}

// wireForm is the octets of a as they are hashed, none if they are not.
func wireForm(a netip.Addr) string {
	b := a.Unmap().AsSlice()
	if local(string(b)) {
		b[2], b[3] = 0, 0
	}
	sum := 0
	for _, x := range b {
		sum += int(x)
	}
	if sum == 0 || sum == 255*len(b) {
		return ""
	}
	return string(b)
}

// local reports whether the IPv6 address b is link-local or of interface scope.
func local(b string) bool {
	return len(b) == 16 && (b[0] == 0xfe && b[1]>>6 == 2 || b[0] == 0xff && (b[1]%16 == 1 || b[1]%16 == 2))
}
