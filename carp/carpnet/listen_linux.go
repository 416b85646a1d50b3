package carpnet

import "github.com/gocarp/gocarp/internal/netfollow"

func openSockets(cfg Config, first netfollow.Interface) (sockets, error) {
	if cfg.RawIP {
		return openRaw(cfg)
	}
	return openPacket(cfg, first.Index)
}
