//go:build !linux && !freebsd && !openbsd && !netbsd && !darwin

package pfsyncnet

import (
	"errors"
	"fmt"
	"runtime"
)

// Listen fails: there are no sockets here that could carry pfsync.
func Listen(Config) (*Conn, error) {
	return nil, fmt.Errorf("pfsyncnet: %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// ListenSide fails: there is no pfsync here that it could be of use to.
func ListenSide(SideConfig) (*SideConn, error) {
	return nil, fmt.Errorf("pfsyncnet: %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
