//go:build !linux

package peer

import "syscall"

// canBind says that sockets cannot be held to an interface here.
const canBind = false

func bindTo(string) func(network, address string, c syscall.RawConn) error { return nil }
