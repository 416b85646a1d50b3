//go:build linux || freebsd || openbsd || netbsd || darwin

package pfsyncnet

import (
	"fmt"
	"log/slog"

	"github.com/gocarp/gocarp/internal/netfollow"
)

// Listen opens the transport of an interface. The error matches
// [ErrNoInterface] or [os.ErrPermission] where that is the reason.
func Listen(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := watch(cfg.Interface, cfg.Logger)
	if err != nil {
		return nil, err
	}
	sock, err := openRaw(cfg)
	if err != nil {
		w.Close()
		return nil, err
	}
	return newConn(cfg, sock, w)
}

func watch(ifname string, log *slog.Logger) (*netfollow.Watcher, error) {
	w, err := netfollow.Watch(netfollow.Subject{Name: ifname, Log: log, Prefix: "pfsyncnet"})
	if err != nil {
		return nil, fmt.Errorf("pfsyncnet: %s: %w", ifname, err)
	}
	return w, nil
}
