package vip

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// captured reads a captured frame from testdata.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "packet", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// padded is what a frame that was captured before it was padded looks like on the wire.
func padded(b []byte) []byte { return append(b, make([]byte, max(0, 60-len(b)))...) }

func TestAnnouncementsAreThoseOfOpenBSD(t *testing.T) {
	const mac1, mac42 = "\x00\x00\x5e\x00\x01\x01", "\x00\x00\x5e\x00\x01\x42"
	addr := netip.MustParseAddr
	linkLocal := addr("fe80::200:5eff:fe00:142")
	tests := []struct {
		packet string
		make   func() ([]byte, error)
	}{
		{"openbsd-garp", func() ([]byte, error) {
			return GratuitousARP(ARPRequest, HardwareAddr([]byte(mac1)), addr("10.1.0.1"))
		}},
		{"openbsd-na", func() ([]byte, error) {
			return UnsolicitedNA(HardwareAddr([]byte(mac42)), linkLocal, addr("2001:db8:1::1"), false)
		}},
		{"openbsd-na-linklocal", func() ([]byte, error) {
			return UnsolicitedNA(HardwareAddr([]byte(mac42)), linkLocal, linkLocal, false)
		}},
	}
	for _, tt := range tests {
		got, err := tt.make()
		if err != nil {
			t.Errorf("%s: %v", tt.packet, err)
		}
		if diff := cmp.Diff(padded(captured(t, tt.packet)), got); diff != "" {
			t.Errorf("%s (-captured +made):\n%s", tt.packet, diff)
		}
	}
}

// The reply form is UCarp's request with another operation: target equals sender.
func TestGratuitousReply(t *testing.T) {
	want := padded(captured(t, "ucarp-garp"))
	want[21] = 2
	got, err := GratuitousARP(ARPReply, HardwareAddr(want[6:12]), netip.MustParseAddr("10.99.0.100"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n got %x\nwant %x", err, got, want)
	}
}

func TestRouterFlag(t *testing.T) {
	src := netip.MustParseAddr("fe80::1")
	host, err1 := UnsolicitedNA(HardwareAddr{2}, src, src, false)
	router, err2 := UnsolicitedNA(HardwareAddr{2}, src, src, true)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	const flags = 14 + 40 + 4
	if host[flags] != 0x20 || router[flags] != 0xa0 {
		t.Errorf("flags %#x and %#x, want 0x20 and 0xa0", host[flags], router[flags])
	}
	if _, ok := ParseClaim(router); !ok {
		t.Error("the checksum does not cover the router flag")
	}
}

func TestAnnouncementErrors(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, a := range []netip.Addr{{}, v6, netip.MustParseAddr("::ffff:192.0.2.1")} {
		if _, err := GratuitousARP(ARPRequest, HardwareAddr{}, a); err == nil {
			t.Errorf("an ARP for %v was made", a)
		}
	}
	if _, err := GratuitousARP(3, HardwareAddr{}, v4); err == nil {
		t.Error("an ARP of form 3 was made")
	}
	for _, a := range []netip.Addr{{}, v4, netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("ff02::1"), netip.IPv6Unspecified()} {
		if _, err := UnsolicitedNA(HardwareAddr{}, v6, a, false); err == nil {
			t.Errorf("an NA for %v was made", a)
		}
		if _, err := UnsolicitedNA(HardwareAddr{}, a, v6, false); err == nil {
			t.Errorf("an NA from %v was made", a)
		}
	}
}
