package inet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
)

// Headers of adverts that FreeBSD 12.1 and an OpenBSD of 2025 sent or took.
const (
	ip4     = "4510003800014000ff7090ce0a010063e0000012"
	ip6     = "60000000000470fffe800000000000000000000000000099ff020000000000000000000000000012"
	ip4Opts = "4600001c00004000ff708e590a010003e000001201010101" // four NOPs
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIPAppend(t *testing.T) {
	v4 := IP{Src: netip.MustParseAddr("10.1.0.99"), Dst: netip.MustParseAddr("224.0.0.18"), Protocol: 112, TTL: 255, TOS: 0x10, ID: 1}
	if got, want := v4.Append([]byte{1}, 36), append([]byte{1}, unhex(t, ip4)...); !bytes.Equal(got, want) {
		t.Errorf("IPv4: got %x, want %x", got, want)
	}
	v6 := IP{Src: netip.MustParseAddr("fe80::99"), Dst: netip.MustParseAddr("ff02::12"), Protocol: 112, TTL: 255}
	if got, want := v6.Append([]byte{1}, 4), append([]byte{1}, unhex(t, ip6)...); !bytes.Equal(got, want) {
		t.Errorf("IPv6: got %x, want %x", got, want)
	}
	v6.TOS = 0xe1
	if h, _, err := ParseIP(append(v6.Append(nil, 4), 1, 2, 3, 4)); err != nil || h != v6 {
		t.Errorf("IPv6 with a traffic class: got %+v, %v", h, err)
	}
	for _, dst := range []string{"224.0.0.18", "ff02::12"} {
		h := IP{Dst: netip.MustParseAddr(dst)}
		if got, _, err := ParseIP(h.Append(nil, 0)); err != nil || !got.Src.IsUnspecified() {
			t.Errorf("no source to %s: got %v, %v", dst, got.Src, err)
		}
	}
}

func TestParseIP(t *testing.T) {
	edit := func(s string, f func([]byte) []byte) []byte { return f(unhex(t, s)) }
	resum := func(b []byte) []byte {
		b[10], b[11] = 0, 0
		sum := Checksum(b[:20])
		b[10], b[11] = byte(sum>>8), byte(sum)
		return b
	}
	pad := func(b []byte, n int) []byte { return append(b, make([]byte, n)...) }

	for _, tt := range []struct {
		name    string
		b       []byte
		payload int // octets, with no error
		err     error
	}{
		{"IPv4", pad(unhex(t, ip4), 36), 36, nil},
		{"IPv4 with link padding", pad(unhex(t, ip4), 46), 36, nil},
		{"IPv4 with options", pad(unhex(t, ip4Opts), 4), 4, nil},
		{"IPv6", pad(unhex(t, ip6), 4), 4, nil},
		{"IPv6 with link padding", pad(unhex(t, ip6), 9), 4, nil},
		{"nothing", nil, 0, ErrIPHeader},
		{"version 5", []byte{0x50}, 0, ErrIPHeader},
		{"IPv4 header cut off", unhex(t, ip4)[:19], 0, ErrIPHeader},
		{"IPv6 header cut off", unhex(t, ip6)[:39], 0, ErrIPHeader},
		{"IHL 4", edit(ip4, func(b []byte) []byte { b[0] = 0x44; return resum(pad(b, 36)) }), 0, ErrIPHeader},
		{"IHL beyond the length", edit(ip4, func(b []byte) []byte { b[0], b[3] = 0x4f, 56; return resum(pad(b, 36)) }), 0, ErrIPHeader},
		{"IPv4 payload cut off", pad(unhex(t, ip4), 35), 0, ErrIPShort},
		{"IPv6 payload cut off", pad(unhex(t, ip6), 3), 0, ErrIPShort},
		{"checksum", edit(ip4, func(b []byte) []byte { b[8]--; return pad(b, 36) }), 0, ErrIPChecksum},
		{"checksum covers options", edit(ip4Opts, func(b []byte) []byte { b[20]++; return pad(b, 4) }), 0, ErrIPChecksum},
		{"first fragment", edit(ip4, func(b []byte) []byte { b[6] = 0x20; return resum(pad(b, 36)) }), 0, ErrFragment},
		{"last fragment", edit(ip4, func(b []byte) []byte { b[6], b[7] = 0, 1; return resum(pad(b, 36)) }), 0, ErrFragment},
		{"no DF", edit(ip4, func(b []byte) []byte { b[6] = 0; return resum(pad(b, 36)) }), 36, nil},
	} {
		h, payload, err := ParseIP(tt.b)
		if !errors.Is(err, tt.err) || len(payload) != tt.payload {
			t.Errorf("%s: got %d octets and error %v, want %d and %v", tt.name, len(payload), err, tt.payload, tt.err)
		}
		if err != ErrIPHeader && h.Protocol != 112 {
			t.Errorf("%s: got protocol %d, want 112", tt.name, h.Protocol)
		}
		if cap(payload) != len(payload) {
			t.Errorf("%s: payload has %d octets behind it", tt.name, cap(payload)-len(payload))
		}
	}
}
