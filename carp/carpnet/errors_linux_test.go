package carpnet

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

// childEnv tells the test binary that it is the child of TestNoPrivilege.
const childEnv = "CARPNET_TEST_UNPRIVILEGED"

func childWithoutPrivilege() {
	for _, raw := range []bool{false, true} {
		_, err := Listen(Config{Interface: os.Getenv(childEnv), RawIP: raw})
		os.Stdout.WriteString(strings.Join([]string{errString(err), errString(errors.Unwrap(err))}, "|") + "\n")
		if !errors.Is(err, os.ErrPermission) {
			os.Exit(1)
		}
	}
	os.Exit(0)
}

func errString(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestNoPrivilege(t *testing.T) {
	t.Parallel()
	a, _, _ := pair(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=lan")
	var out strings.Builder
	cmd.Stdout = &out

	started := make(chan error)
	go func() {
		// Root gets back on exec what is in the bounding set, so take it out there.
		// The thread is never unlocked, and ends with the goroutine.
		runtime.LockOSThread()
		var err error
		a.Do(func() {
			if err = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_RAW, 0, 0, 0); err == nil {
				err = cmd.Start()
			}
		})
		started <- err
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	want := "carpnet: opening a packet socket on lan needs CAP_NET_RAW: operation not permitted|operation not permitted\n" +
		"carpnet: opening a raw IP socket for lan needs CAP_NET_RAW: operation not permitted|operation not permitted\n"
	if err != nil || out.String() != want {
		t.Errorf("child: %v\n got %s\nwant %s", err, out.String(), want)
	}
}

func TestSuspended(t *testing.T) {
	if first, second := Suspended(), Suspended(); first < 0 || second < first || second-first > 1e9 {
		t.Errorf("suspended for %v, then for %v", first, second)
	}
}
