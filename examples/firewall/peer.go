package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/gocarp/gocarp/internal/peer"
)

// ErrNoPeer says that firewall.toml has no secret for a channel to the other host.
var ErrNoPeer = errors.New("there is no channel to the other host: firewall.toml has no [peer] secret-file")

// openPeer makes the channel to the other host, if there is to be one.
func (h *host) openPeer(s *setup) error {
	c := s.settings.peer
	if c.secret == nil {
		return nil
	}
	address, err := c.where(s.config.Pfsync)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	h.peerHandle(mux)
	ch, err := peer.Open(peer.Config{
		Interface: s.config.Pfsync.SyncDev, Peer: address, Port: c.port, Secret: c.secret, Handler: mux, Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.peer = &neighbour{channel: ch, address: address}
	return nil
}

// peerHandle registers what the other host may ask for. Each topic has its own
// function.
func (h *host) peerHandle(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/status", h.peerStatus)
	mux.HandleFunc("POST /v1/drain", h.peerDrain)
	h.handleSync(mux)
	h.handleWAN(mux)
}

// peerCall has the other host do something, see [peer.Channel.Call]. Without a channel
// it is ErrNoPeer.
func (h *host) peerCall(ctx context.Context, method, path string, in, out any) error {
	if h.peer == nil {
		return ErrNoPeer
	}
	return h.peer.channel.Call(ctx, method, path, in, out)
}

// runPeer answers the other host, and looks after it, until ctx is done.
func (h *host) runPeer(ctx context.Context) {
	if h.peer == nil {
		return
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		h.watchPeer(ctx)
	}()
	if err := h.peer.channel.Run(ctx); err != nil {
		h.fail(err)
	}
	<-watched
}
