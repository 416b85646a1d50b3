package peer

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// canBind says that sockets can be held to an interface.
const canBind = true

// bindTo holds sockets to an interface; an empty name leaves them alone.
func bindTo(name string) func(network, address string, c syscall.RawConn) error {
	if name == "" {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); cerr != nil {
			return cerr
		}
		return err
	}
}
