package vip

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseClaim(t *testing.T) {
	addr := netip.MustParseAddr
	vmac, vmac42 := HardwareAddr{0, 0, 0x5e, 0, 1, 1}, HardwareAddr{0, 0, 0x5e, 0, 1, 0x42}
	fb1, fb2 := HardwareAddr{0x52, 0x54, 0, 1, 1, 1}, HardwareAddr{0x52, 0x54, 0, 2, 1, 1}
	ob := HardwareAddr{0x52, 0x54, 0, 0x0b, 1, 0}
	ucarp := HardwareAddr{0xc6, 0x6e, 0xc7, 0x5d, 0x63, 0x1a}
	tests := []struct {
		packet           string
		want             Claim
		foreign, harmful bool // to a master that has both virtual MACs
	}{
		{"openbsd-garp", Claim{addr("10.1.0.1"), vmac, vmac, broadcast}, false, false},
		{"freebsd-garp", Claim{addr("10.1.0.1"), vmac, fb1, broadcast}, false, false},
		{"freebsd-backup-reply", Claim{addr("10.1.0.1"), fb2, fb2, vmac}, true, false},
		{"freebsd-na-solicited", Claim{addr("2001:db8:1::1"), vmac, vmac, HardwareAddr{2, 0, 0, 0, 0x0a, 0x10}}, false, false},
		{"openbsd-na", Claim{addr("2001:db8:1::1"), vmac42, vmac42, allNodesMAC}, false, false},
		{"openbsd-na-physical", Claim{addr("2001:db8:1::11"), ob, ob, HardwareAddr{0x33, 0x33, 0, 0, 0, 2}}, true, true},
		{"ucarp-garp", Claim{addr("10.99.0.100"), ucarp, ucarp, broadcast}, true, true},
	}
	for _, tt := range tests {
		frame := captured(t, tt.packet)
		for _, f := range [][]byte{frame, padded(frame)} {
			got, ok := ParseClaim(f)
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); !ok || diff != "" {
				t.Errorf("%s: %t (-want +got):\n%s", tt.packet, ok, diff)
			}
		}
		if got := tt.want.Foreign(vmac, vmac42); got != tt.foreign {
			t.Errorf("%s: foreign is %t", tt.packet, got)
		}
		if got := tt.want.Harmful(vmac, vmac42); got != tt.harmful {
			t.Errorf("%s: harmful is %t", tt.packet, got)
		}
	}
}

// An advertisement without the option is about the frame's own sender.
func TestClaimWithoutOption(t *testing.T) {
	f := captured(t, "openbsd-na")[:14+40+24]
	f[14+5] = 24
	fixChecksum(f)
	c, ok := ParseClaim(f)
	if want := (HardwareAddr{0, 0, 0x5e, 0, 1, 0x42}); !ok || c.MAC != want {
		t.Errorf("%+v, %t, want MAC %v", c, ok, want)
	}
}

// TestParseClaimRefuses changes one thing at a time in frames that are fine.
func TestParseClaimRefuses(t *testing.T) {
	const ip, icmp = 14, 14 + 40
	tests := []struct {
		what, packet string
		change       func([]byte) []byte
	}{
		{"another Ethernet type", "openbsd-garp", func(b []byte) []byte { b[13] = 0; return b }},
		{"ARP for something else than IPv4", "openbsd-garp", func(b []byte) []byte { b[17] = 1; return b }},
		{"ARP operation 3", "openbsd-garp", func(b []byte) []byte { b[21] = 3; return b }},
		{"ARP probe", "openbsd-garp", func(b []byte) []byte { copy(b[28:32], "\x00\x00\x00\x00"); return b }},
		{"short ARP", "openbsd-garp", func(b []byte) []byte { return b[:14+27] }},
		{"hop limit 254", "openbsd-na", func(b []byte) []byte { b[ip+7]--; return b }},
		{"another next header", "openbsd-na", func(b []byte) []byte { b[ip+6] = 17; return b }},
		{"IP version 5", "openbsd-na", func(b []byte) []byte { b[ip] = 0x50; return b }},
		{"bad checksum", "openbsd-na", func(b []byte) []byte { b[icmp+23]++; return b }},
		{"a solicitation", "openbsd-na", func(b []byte) []byte { b[icmp] = 135; return fixChecksum(b) }},
		{"code 1", "openbsd-na", func(b []byte) []byte { b[icmp+1] = 1; return fixChecksum(b) }},
		{"option of length 0", "openbsd-na", func(b []byte) []byte { b[icmp+25] = 0; return fixChecksum(b) }},
		{"option beyond the end", "openbsd-na", func(b []byte) []byte { b[icmp+25] = 2; return fixChecksum(b) }},
		{"payload length beyond the end", "openbsd-na", func(b []byte) []byte { b[ip+5]++; return b }},
		{"payload length too small", "openbsd-na", func(b []byte) []byte { b[ip+5] = 23; return b }},
		{"no frame at all", "openbsd-na", func(b []byte) []byte { return b[:13] }},
	}
	for _, tt := range tests {
		if c, ok := ParseClaim(tt.change(captured(t, tt.packet))); ok || c != (Claim{}) {
			t.Errorf("%s: accepted as %+v", tt.what, c)
		}
	}
}

// fixChecksum makes the checksum of an NA without extension headers right.
func fixChecksum(b []byte) []byte {
	header, msg := b[14:14+ipv6Len], b[14+ipv6Len:]
	msg[2], msg[3] = 0, 0
	sum := icmpv6Checksum(header, msg)
	msg[2], msg[3] = byte(sum>>8), byte(sum)
	return b
}

// FuzzParseClaim holds that no input panics, that nothing beyond the input is
// read, and that what we would announce from a claim parses as that claim.
func FuzzParseClaim(f *testing.F) {
	for _, name := range []string{"openbsd-garp", "openbsd-na", "freebsd-backup-reply", "ucarp-garp"} {
		f.Add(captured(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := ParseClaim(bytes.Clone(b)[:len(b):len(b)])
		if !ok {
			return
		}
		var made []byte
		var err error
		if c.Addr.Is4() {
			made, err = GratuitousARP(ARPReply, c.MAC, c.Addr)
		} else if made, err = UnsolicitedNA(c.MAC, c.Addr, c.Addr, true); err != nil {
			return // an advertisement for a multicast address
		}
		again, ok := ParseClaim(made)
		if err != nil || !ok || again.Addr != c.Addr || again.MAC != c.MAC {
			t.Errorf("%+v announced and parsed again is %+v, %t, %v", c, again, ok, err)
		}
	})
}
