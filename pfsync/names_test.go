package pfsync_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

func TestStrings(t *testing.T) {
	name, ok := pfsync.MakeName("em0")
	if !ok {
		t.Error("em0 is no name")
	}
	copy(name[4:], "stray")
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{pfsync.ActUpdC, "UPD_C"}, {pfsync.ActUnknown, "UNKNOWN"}, {pfsync.ActEOF, "EOF"}, {pfsync.Action(200), "UNKNOWN"},
		{pfsync.AFInet, "inet"}, {pfsync.AFInet6, "inet6"}, {pfsync.AF(24), "AF(24)"},
		{pfsync.In, "in"}, {pfsync.Out, "out"}, {pfsync.Direction(3), "Direction(3)"},
		{pfsync.RouteTo, "route-to"}, {pfsync.RouteFast, "fastroute"}, {pfsync.RouteType(9), "RouteType(9)"},
		{pfsync.TCPFirst, "tcp.first"}, {pfsync.OtherMultiple, "other.multiple"}, {pfsync.Timeout(19), "tsdiff"},
		{pfsync.SCTPFirst, "sctp.first"}, {pfsync.SCTPClosed, "sctp.closed"}, {pfsync.Timeout(25), "Timeout(25)"},
		{name, "em0"}, {pfsync.Name{}, ""}, {pfsync.Name([]byte("0123456789abcdef")), "0123456789abcdef"},
		{pfsync.Tag{'t', 'a', 'g', 0, 'x'}, "tag"},
		{&pfsync.UpdC{StateID: pfsync.StateID{ID: 1, CreatorID: 2}, Src: pfsync.Peer{State: 4}, Timeout: 1}, "0000000000000001/00000002 4:0 tcp.opening"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%T: %q, want %q", c.got, got, c.want)
		}
	}
	if _, ok := pfsync.MakeName(strings.Repeat("x", 15)); !ok {
		t.Error("15 octets are too long for a name")
	}
	if n, ok := pfsync.MakeName(strings.Repeat("x", 16)); ok || n != (pfsync.Name{}) {
		t.Error("16 octets are a name, without a NUL")
	}
}

// TestTimeoutNames holds the number of classes that have a name against the kernels'.
func TestTimeoutNames(t *testing.T) {
	for n := range layout().TimeoutMax["freebsd14plus_with_sctp"] {
		if s := pfsync.Timeout(n).String(); strings.HasPrefix(s, "Timeout") {
			t.Errorf("class %d has no name", n)
		}
	}
}

func TestAddr(t *testing.T) {
	a := pfsync.Addr{10, 0, 0, 1}
	if got := a.Netip(pfsync.AFInet); got != netip.MustParseAddr("10.0.0.1") {
		t.Error(got)
	}
	if got := a.Netip(pfsync.AFInet6); got != netip.MustParseAddr("a00:1::") {
		t.Error(got)
	}
}
