package pfsyncnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
	"github.com/gocarp/gocarp/pfsync"
)

// DefaultSidePort is the UDP port of the side channel. It is assigned to nobody.
const DefaultSidePort = 7240

// A SideConfig says what [ListenSide] opens. All but Interface may be left out.
type SideConfig struct {
	// Interface is the name of the sync interface, which has to exist when
	// ListenSide is called.
	Interface string

	// Port is the UDP port of all nodes, this one and the others.
	// 0 stands for [DefaultSidePort].
	Port uint16

	// Source is the address to listen on and to send from; all nodes' are of one
	// family. The zero Addr stands for the interface's first IPv4 address, or IPv6
	// address if there is none, as of when ListenSide is called.
	Source netip.Addr

	// Logger is told when the interface could not be followed. nil discards.
	Logger *slog.Logger
}

func (c SideConfig) withDefaults() (SideConfig, error) {
	if c.Interface == "" {
		return c, errors.New("pfsyncnet: no interface given")
	}
	if c.Source = rawip.Plain(c.Source); c.Source.IsValid() && !unicast(c.Source) {
		return c, fmt.Errorf("pfsyncnet: cannot send from %v", c.Source)
	}
	if c.Port == 0 {
		c.Port = DefaultSidePort
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// choose takes the source that is given, or one of the interface's addresses.
func (c *SideConfig) choose(addrs []netip.Addr) error {
	if c.Source.IsValid() {
		return nil
	}
	for _, suits := range []func(netip.Addr) bool{
		netip.Addr.Is4,
		netip.Addr.IsGlobalUnicast,
		netip.Addr.IsLinkLocalUnicast,
	} {
		for _, a := range addrs {
			if suits(a) {
				c.Source = a
				return nil
			}
		}
	}
	return fmt.Errorf("pfsyncnet: %s has no address for the side channel", c.Interface)
}

var _ pfsync.SideTransport = (*SideConn)(nil)

// A SideConn is the [pfsync.SideTransport] of one interface. Its methods may be
// called from any goroutine, ReadPacket from one at a time.
type SideConn struct {
	cfg    SideConfig
	sock   sideSocket
	follow *netfollow.Follower[pfsync.Link]

	isClosed atomic.Bool
	close    func() error

	buf, oob                   []byte // ReadPacket's
	received, badTTL, notForUs atomic.Uint64
}

// A sideSocket is a UDP socket that tells of the IP header, too.
type sideSocket struct {
	conn *net.UDPConn
	// parse finds out about a datagram what the kernel says in control messages.
	parse func(oob []byte) sideInfo
	// via is control messages that send a datagram from an interface.
	via func(index int) []byte
}

// sideInfo is what is to be known of a datagram beside its source.
type sideInfo struct {
	index int
	dst   netip.Addr
	ttl   int
}

// newSide makes a SideConn of a socket and the watch of its interface, which it
// closes if there is an error.
func newSide(cfg SideConfig, sock sideSocket, w *netfollow.Watcher) (*SideConn, error) {
	c := &SideConn{cfg: cfg, sock: sock, buf: make([]byte, pfsync.SideMTU+1), oob: make([]byte, 256)}
	var err error
	if c.follow, err = netfollow.Follow(w, linkOf, func(*netfollow.Interface) error { return nil }); err != nil {
		sock.conn.Close()
		return nil, fmt.Errorf("pfsyncnet: %s: %w", cfg.Interface, err)
	}
	c.close = sync.OnceValue(func() error {
		c.isClosed.Store(true)
		c.follow.Stop()
		return rawip.Errno(sock.conn.Close())
	})
	return c, nil
}

// Addr is the address and port that the SideConn listens on and sends from.
func (c *SideConn) Addr() netip.AddrPort { return netip.AddrPortFrom(c.cfg.Source, c.cfg.Port) }

// ReadPacket waits for a datagram from the side channel of another node: to our
// address, by our interface, from the same port, and from a host on the same link,
// which is what a TTL of 255 says (RFC 5082).
func (c *SideConn) ReadPacket(p *pfsync.SidePacket) error {
	for {
		n, oobn, _, from, err := c.sock.conn.ReadMsgUDPAddrPort(c.buf, c.oob)
		switch {
		case c.isClosed.Load():
			return c.errClosed()
		case err != nil:
			return fmt.Errorf("pfsyncnet: receiving on %s: %w", c.cfg.Interface, rawip.Errno(err))
		}
		switch info := c.sock.parse(c.oob[:oobn]); {
		case info.index != c.follow.Now().Index, info.dst != c.cfg.Source, rawip.Plain(from.Addr()) == c.cfg.Source, from.Port() != c.cfg.Port, n > pfsync.SideMTU:
			c.notForUs.Add(1)
		case info.ttl != rawip.TTL:
			c.badTTL.Add(1)
		default:
			c.received.Add(1)
			p.Data = append(p.Data[:0], c.buf[:n]...)
			p.Src = rawip.Plain(from.Addr())
			return nil
		}
	}
}

// WritePacket sends a datagram to the side channel of another node, as
// [Conn.WritePackets] does to a peer. If the queue is full it waits a little, 40 ms
// at most.
func (c *SideConn) WritePacket(dst netip.Addr, b []byte) error {
	dst = rawip.Plain(dst)
	err := c.write(dst, b)
	switch {
	case err == nil:
		return nil
	case c.isClosed.Load():
		return c.errClosed()
	}
	return fmt.Errorf("pfsyncnet: sending to %v on %s: %w", dst, c.cfg.Interface, explain(err))
}

func (c *SideConn) write(dst netip.Addr, b []byte) error {
	index, err := sendIndex(c.follow.Now())
	switch {
	case err != nil:
		return err
	case !unicast(dst) || dst.Is4() != c.cfg.Source.Is4():
		return fmt.Errorf("cannot send there from %v", c.cfg.Source)
	case len(b) > pfsync.SideMTU:
		return fmt.Errorf("%d octets, the limit is %d", len(b), pfsync.SideMTU)
	}
	for range 2 { // on a busy machine the deadline may be over before anything was tried
		if err = c.sock.conn.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
			return err
		}
		_, _, err = c.sock.conn.WriteMsgUDPAddrPort(b, c.sock.via(index), netip.AddrPortFrom(dst, c.cfg.Port))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	return err
}

// Close ends the SideConn: all calls return an error that matches [net.ErrClosed].
func (c *SideConn) Close() error { return c.close() }

func (c *SideConn) errClosed() error {
	return fmt.Errorf("pfsyncnet: side channel on %s: %w", c.cfg.Interface, net.ErrClosed)
}

// SideStats counts what a [SideConn] received.
type SideStats struct {
	Received uint64 // handed on
	BadTTL   uint64 // routed, or sent by something else
	NotForUs uint64 // by another interface, to another address, from another port or ourselves, or too long
}

// Stats returns the counters.
func (c *SideConn) Stats() SideStats {
	return SideStats{Received: c.received.Load(), BadTTL: c.badTTL.Load(), NotForUs: c.notForUs.Load()}
}
