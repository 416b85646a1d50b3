//go:build linux || freebsd || openbsd || netbsd || darwin

package carpnet

import (
	"fmt"

	"github.com/gocarp/gocarp/internal/netfollow"
)

// Listen opens the transport of an interface. The error matches
// [ErrNoInterface] or [os.ErrPermission] where that is the reason.
func Listen(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := netfollow.Watch(netfollow.Subject{Name: cfg.Interface, Log: cfg.Logger, Prefix: "carpnet"})
	if err != nil {
		return nil, fmt.Errorf("carpnet: %s: %w", cfg.Interface, err)
	}
	sock, err := openSockets(cfg, w.Interface())
	if err != nil {
		w.Close()
		return nil, err
	}
	return newConn(cfg, sock, w)
}
