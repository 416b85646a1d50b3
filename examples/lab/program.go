//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// firewallPackage is what ours is built from.
const firewallPackage = "github.com/gocarp/gocarp/examples/firewall"

// firewall is the path of our program: the one that was named, or one that is built
// into dir.
func firewall(path, dir string) (string, error) {
	if path != "" {
		return filepath.Abs(path)
	}
	path = filepath.Join(dir, "firewall")
	cmd := exec.Command("go", "build", "-o", path, firewallPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the firewall (name one with -firewall): %w\n%s", err, out)
	}
	return path, nil
}
