package carp_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gocarp/gocarp/internal/leak"
)

// TestMain fails if a test has left a goroutine of this module behind, or if
// GOCARP_CAPTURES names nothing.
func TestMain(m *testing.M) {
	if dir := os.Getenv("GOCARP_CAPTURES"); dir != "" && !exists(dir) {
		fmt.Printf("GOCARP_CAPTURES: no %s\n", dir)
		os.Exit(1)
	}
	os.Exit(leak.Run(m))
}
