//go:build !linux

// Command lab proves how a pair of firewalls fails over, on Linux.
package main

import (
	"fmt"
	"os"

	"github.com/gocarp/gocarp/internal/cli"
)

func main() {
	fmt.Fprintln(os.Stderr, "lab: it takes Linux to make network namespaces; examples/demo runs everywhere")
	os.Exit(cli.Failure)
}
