package peer

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// Version is the first part of every path: "/v1/status".
	Version = 1

	// DefaultPort is the TCP port that both hosts listen on.
	DefaultPort = 7241

	// MaxBody is the most octets of JSON in a request or an answer.
	MaxBody = 4 << 20

	// CallTimeout is the longest that a call takes, if its context allows it.
	CallTimeout = time.Minute
)

// A Config says who speaks to whom.
type Config struct {
	// Interface is that of the link to the peer: nothing is received or sent on
	// another one. Empty means any; only Linux can restrict it.
	Interface string

	Listen  netip.Addr   // where this host listens; zero: on all addresses
	Peer    netip.Addr   // where the peer listens; the zone may be left out if there is an Interface
	Port    uint16       // of both; zero: DefaultPort
	Secret  []byte       // MinSecret octets or more, the same on both hosts
	Handler http.Handler // of the peer's calls; nil: there are none
	Logger  *slog.Logger // nil: silent
}

// A Channel is this host's end of the way to its peer.
type Channel struct {
	config   Config
	tls      *tls.Config
	client   *http.Client
	instance string // tells us from all others
}

// Open makes a channel that does not listen yet. It takes a moment, to make the key.
func Open(c Config) (*Channel, error) {
	switch {
	case len(c.Secret) < MinSecret:
		return nil, fmt.Errorf("peer: %w", ErrSecret)
	case !c.Peer.IsValid() || c.Peer.IsUnspecified() || c.Peer.IsMulticast():
		return nil, fmt.Errorf("peer: %q is no address of a host", c.Peer)
	case c.Interface != "" && !canBind:
		return nil, fmt.Errorf("peer: interface %s: %w", c.Interface, errors.ErrUnsupported)
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	if c.Handler == nil {
		c.Handler = http.NotFoundHandler()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Peer, c.Listen = c.Peer.Unmap(), c.Listen.Unmap()
	if zone := c.Peer.Zone(); zone != "" && c.Interface != "" && zone != c.Interface {
		return nil, fmt.Errorf("peer: %v is not on interface %s", c.Peer, c.Interface)
	}
	id, err := newIdentity(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	c.Secret = nil // the key is all that is left of it
	ch := &Channel{config: c, tls: tlsConfig(id), instance: rand.Text()}
	ch.client = ch.newClient()
	return ch, nil
}

// patrol is how often Run looks after its interface, and how long it waits before it
// tries again to listen.
const patrol = time.Second

// Run answers the peer until ctx is done; calls that are being answered then have a
// moment to end. Whatever keeps it from listening is logged once, and tried again. It
// must not run twice at a time.
func (c *Channel) Run(ctx context.Context) error {
	trouble := ""
	for ctx.Err() == nil {
		index, err := c.index()
		var l net.Listener
		if err == nil {
			l, err = c.listen(ctx, index)
		}
		if err == nil {
			if trouble != "" {
				c.config.Logger.Info("peer: listening again", "interface", c.config.Interface)
			}
			trouble = ""
			err = c.serve(ctx, l, index)
		}
		if err == nil {
			continue // the interface is another one, or the end has come
		}
		if ctx.Err() == nil && err.Error() != trouble {
			trouble = err.Error()
			c.config.Logger.Warn("peer: cannot listen, trying on", "interface", c.config.Interface, "err", err)
		}
		select {
		case <-time.After(patrol):
		case <-ctx.Done():
		}
	}
	return nil
}
