package vip

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// privileged reports why addresses cannot be put on, if that is so: a backup would
// otherwise learn of it when it is needed.
func privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("reading our capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return fmt.Errorf("putting addresses on needs CAP_NET_ADMIN: %w", unix.EPERM)
	}
	return nil
}
