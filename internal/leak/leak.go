// Package leak finds goroutines that tests leave behind.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Run runs the tests of m and returns the code to exit with, which is not 0 either
// if a goroutine that runs code of this module outlives them by two seconds.
func Run(m *testing.M) int {
	code := m.Run()
	left := stacks()
	for deadline := time.Now().Add(2 * time.Second); len(left) > 0 && time.Now().Before(deadline); left = stacks() {
		time.Sleep(10 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	return code
}

// stacks are those of the goroutines that run code of this module, but for the one
// that asks.
func stacks() []string {
	buf := make([]byte, 1<<20)
	var list []string
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
		if strings.Contains(s, "github.com/gocarp/gocarp/") {
			list = append(list, s)
		}
	}
	return list
}
