package pfsyncnet

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
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

// childEnv tells the test binary that it is the child of TestNoPrivilege.
const childEnv = "PFSYNCNET_TEST_UNPRIVILEGED"

func childWithoutPrivilege() {
	_, err4 := Listen(Config{Interface: os.Getenv(childEnv)})
	_, err6 := Listen(Config{Interface: os.Getenv(childEnv), Group: pfsync.Group6})
	side, sideErr := ListenSide(SideConfig{Interface: os.Getenv(childEnv)})
	for _, err := range []error{err4, err6, sideErr} {
		what := "no error"
		if err != nil {
			what = err.Error()
		}
		os.Stdout.WriteString(what + "\n")
	}
	if !errors.Is(err4, os.ErrPermission) || !errors.Is(err6, os.ErrPermission) || side == nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestNoPrivilege(t *testing.T) {
	t.Parallel()
	a, _, _ := pair(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=lan")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out

	started := make(chan error)
	go func() {
		// Root gets back on exec what is in the bounding set, so take it out there.
		// The thread is never unlocked, and ends with the goroutine.
		runtime.LockOSThread()
		var err error
		a.Do(func() {
			for _, c := range []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN} {
				if err == nil {
					err = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
				}
			}
			if err == nil {
				err = cmd.Start()
			}
		})
		started <- err
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	refused := "pfsyncnet: opening a raw IP socket for lan needs CAP_NET_RAW: operation not permitted\n"
	if want := refused + refused + "no error\n"; err != nil || out.String() != want {
		t.Errorf("child: %v\n got %s\nwant %s", err, out.String(), want)
	}
}
