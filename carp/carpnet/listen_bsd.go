//go:build freebsd || openbsd || netbsd || darwin

package carpnet

import "github.com/gocarp/gocarp/internal/netfollow"

func openSockets(cfg Config, _ netfollow.Interface) (sockets, error) { return openRaw(cfg) }
