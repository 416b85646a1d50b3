package pfsyncnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/pfsync"
)

func TestListenErrors(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	peers := func(s ...string) (list []netip.Addr) {
		for _, a := range s {
			list = append(list, addr(a))
		}
		return list
	}
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
		is   error
	}{
		{"no name", Config{}, "pfsyncnet: no interface given", nil},
		{"no such interface", Config{Interface: "eth9"}, "pfsyncnet: eth9: no such network interface", ErrNoInterface},
		{"not a group", Config{Interface: "lo", Group: addr("192.0.2.1")}, "pfsyncnet: 192.0.2.1 is not a multicast group", nil},
		{"a group as a peer", Config{Interface: "lo", Peers: peers("224.0.0.240")}, "pfsyncnet: peer 224.0.0.240 is not a unicast address", nil},
		{"no address", Config{Interface: "lo", Peers: make([]netip.Addr, 1)}, "pfsyncnet: peer invalid IP is not a unicast address", nil},
		{"two families", Config{Interface: "lo", Peers: peers("192.0.2.1", "2001:db8::1")},
			"pfsyncnet: peers 192.0.2.1 and 2001:db8::1 are not of the same family", nil},
		{"peers and a group", Config{Interface: "lo", Peers: peers("192.0.2.1"), Group: pfsync.Group4}, "pfsyncnet: both peers and a group, 224.0.0.240", nil},
		{"source of the other family", Config{Interface: "lo", Source: addr("::1")}, "pfsyncnet: cannot send to 224.0.0.240 from ::1", nil},
	} {
		var err error
		lab.NS("a").Do(func() { _, err = Listen(tt.cfg) })
		if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	c := listen(t, lab.NS("a"), Config{Interface: "lo", Peers: peers("::ffff:127.0.0.1")})
	for _, dst := range []netip.Addr{{}, addr("::1")} {
		if n, err := c.WritePackets(dst, [][]byte{frame}); n != 0 || err == nil {
			t.Errorf("sending to %v: %d, %v", dst, n, err)
		}
	}
}

func childWithoutPrivilege() {
	_, err4 := Listen(Config{Interface: "lan"})
	_, err6 := Listen(Config{Interface: "lan", Group: pfsync.Group6})
	side, sideErr := ListenSide(SideConfig{Interface: "lan"})
	fmt.Printf("%v\n%v\n%v\n", err4, err6, sideErr)
	if !errors.Is(err4, os.ErrPermission) || !errors.Is(err6, os.ErrPermission) || side == nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestNoPrivilege(t *testing.T) {
	t.Parallel()
	a, _, _ := nettest.Pair(t)
	refused := "pfsyncnet: opening a raw IP socket for lan needs CAP_NET_RAW: operation not permitted\n"
	if got, want := nettest.Unprivileged(t, a), refused+refused+"<nil>\n"; got != want {
		t.Errorf("child:\n got %s\nwant %s", got, want)
	}
}
