//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// packages are those of Debian that have the tools.
var packages = map[string]string{
	"ip": "iproute2", "nft": "nftables", "ucarp": "ucarp", "keepalived": "keepalived", "conntrackd": "conntrackd",
	"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
	"unshare": "util-linux", "dnsmasq": "dnsmasq-base", "udhcpc": "udhcpc", "go": "golang",
}

// A missingError says what to install.
type missingError struct{ tool string }

func (e missingError) Error() string {
	return fmt.Sprintf("%s is not installed: apt-get install %s", e.tool, packages[e.tool])
}

// lookTool is the path of a tool, also of one that is not in PATH because it is for root.
func lookTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", missingError{name}
}

// lookTools fails for all tools that are missing.
func lookTools(names ...string) error {
	var errs []error
	for _, name := range names {
		_, err := lookTool(name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
