package carp_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails if a test has left a goroutine of this module behind, or if
// GOCARP_CAPTURES names nothing.
func TestMain(m *testing.M) {
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" && !exists(dir) {
		fmt.Printf("GOCARP_CAPTURES: no %s\n", dir)
		os.Exit(1)
	}
	code := m.Run()
	var left []string
	for range 100 {
		if left = ours(); len(left) == 0 {
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("%d goroutines left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
	os.Exit(1)
}

// ours are the stacks of the goroutines that run code of this module, but for
// the one that asks.
func ours() []string {
	buf := make([]byte, 1<<20)
	var stacks []string
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(s, "github.com/gocarp/gocarp/") && !strings.Contains(s, "TestMain") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}
