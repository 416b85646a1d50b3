package carpnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
)

func TestListenErrors(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
		is   error
	}{
		{"no name", Config{}, "carpnet: no interface given", nil},
		{"no such interface", Config{Interface: "eth9"}, "carpnet: eth9: no such network interface", ErrNoInterface},
		{"not Ethernet", Config{Interface: "lo"}, "carpnet: lo: not an Ethernet interface", nil},
		{"not a group", Config{Interface: "lo", Groups: []netip.Addr{addr("192.0.2.1")}}, "carpnet: 192.0.2.1 is not a multicast group", nil},
	} {
		var err error
		lab.NS("a").Do(func() { _, err = Listen(tt.cfg) })
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	listen(t, lab.NS("a"), Config{Interface: "lo", RawIP: true}) // raw IP takes any link
}

func childWithoutPrivilege() {
	for _, raw := range []bool{false, true} {
		_, err := Listen(Config{Interface: "lan", RawIP: raw})
		fmt.Printf("%v|%v\n", err, errors.Unwrap(err))
		if !errors.Is(err, os.ErrPermission) {
			os.Exit(1)
		}
	}
	os.Exit(0)
}

func TestNoPrivilege(t *testing.T) {
	t.Parallel()
	a, _, _ := nettest.Pair(t)
	want := "carpnet: opening a packet socket on lan needs CAP_NET_RAW: operation not permitted|operation not permitted\n" +
		"carpnet: opening a raw IP socket for lan needs CAP_NET_RAW: operation not permitted|operation not permitted\n"
	if got := nettest.Unprivileged(t, a); got != want {
		t.Errorf("child:\n got %s\nwant %s", got, want)
	}
}

func TestSuspended(t *testing.T) {
	if first, second := Suspended(), Suspended(); first < 0 || second < first || second-first > 1e9 {
		t.Errorf("suspended for %v, then for %v", first, second)
	}
}
