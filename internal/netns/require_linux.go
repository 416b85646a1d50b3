package netns

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Require skips the test, or fails it if the environment has GOCARP_REQUIRE=1,
// unless namespaces can be made here and all the tools are installed. New asks
// for "ip" itself.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("GOCARP_REQUIRE") == "1" {
		skip = t.Fatalf
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			skip("needs the tool %s: %v", tool, err)
		}
	}
	if err := canUnshare(); err != nil {
		skip("needs root to make network namespaces: %v", err)
	}
}

// canUnshare tries it, on a thread that is thrown away.
func canUnshare() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- unix.Unshare(unix.CLONE_NEWNET)
	}()
	return <-done
}
