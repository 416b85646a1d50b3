//go:build !linux && !freebsd && !openbsd && !netbsd && !darwin

package carpnet

import (
	"errors"
	"fmt"
	"runtime"
)

// Listen fails: there are no sockets here that could carry CARP.
func Listen(Config) (*Conn, error) {
	return nil, fmt.Errorf("carpnet: %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
