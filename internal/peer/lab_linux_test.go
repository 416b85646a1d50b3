package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// TestLink: over a cable with nothing but link-local addresses, which is pulled out
// and replaced; and not from another one.
func TestLink(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ip")
	lab := netns.New(t, "fw1", "fw2", "lan")
	fw1, fw2 := lab.NS("fw1"), lab.NS("fw2")
	cable := func() {
		fw1.Veth("sync", fw2, "sync")
		fw1.IP("addr add fe80::1/64 dev sync nodad")
		fw2.IP("addr add fe80::2/64 dev sync nodad")
	}
	cable()
	lab.NS("lan").Veth("em0", fw2, "em0")
	lab.NS("lan").Addr("em0", "192.0.2.9/24")
	fw2.Addr("em0", "192.0.2.2/24")

	in := func(ns *netns.NS, peer string, h http.Handler) *Channel {
		c, err := Open(Config{Interface: "sync", Peer: netip.MustParseAddr(peer), Secret: []byte(secret), Handler: h})
		if err != nil {
			t.Fatal(err)
		}
		c.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			ns.Do(func() { conn, err = c.dial(ctx) })
			return conn, err
		}
		return c
	}
	c1, c2 := in(fw1, "fe80::2", nil), in(fw2, "fe80::1", echo())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); fw2.Do(func() { c2.Run(ctx) }) }()
	defer func() { cancel(); <-done }()
	answers := func(what string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			err := call(t, c1, "POST", "/v1/echo", 1, nil)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	answers("link-local")

	var conn net.Conn
	var err error
	lab.NS("lan").Do(func() { conn, err = net.DialTimeout("tcp", "192.0.2.2:7241", patience) })
	if err == nil {
		conn.Close()
		t.Error("it listens on the LAN, too")
	}

	fw1.IP("link delete sync")
	if err := call(t, c1, "POST", "/v1/echo", 1, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a cable: %v", err)
	}
	cable()
	answers("another cable")
}
