package nettest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

// childEnv tells a test binary that it is the child of [Unprivileged].
const childEnv = "GOCARP_TEST_UNPRIVILEGED"

// Child reports whether this process is the child of [Unprivileged]. TestMain asks.
func Child() bool { return os.Getenv(childEnv) != "" }

// Unprivileged runs the test binary as a child in a namespace, without the
// privileges to open raw sockets and to change the network, and returns what it
// prints.
func Unprivileged(t *testing.T, ns *netns.NS) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out

	started := make(chan error)
	go func() {
		// Root gets back on exec what is in the bounding set, so take it out there.
		// The thread is never unlocked, and ends with the goroutine.
		runtime.LockOSThread()
		var err error
		ns.Do(func() {
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
	err := <-started
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Errorf("child: %v", err)
	}
	return out.String()
}
