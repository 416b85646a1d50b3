package carpnet

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
)

var (
	_ carp.Transport = (*Conn)(nil)
	_ carp.Drainer   = (*Conn)(nil)
)

// ErrNoInterface says that the interface does not exist, or not any more.
var ErrNoInterface = netfollow.ErrNoInterface

// errNotForUs is sockets' word for a packet of another interface.
var errNotForUs = errors.New("packet of another interface")

// A Conn is the [carp.Transport], and [carp.Drainer], of one interface. Its
// methods may be called from any goroutine, ReadPacket from one at a time.
//
// Multicast packets without a source get the interface's first address of the
// family, over IPv6 its link-local one, that is not a virtual address; or the
// unspecified address if there is none. Packets to a peer are routed, from an
// address that over IPv6 the kernel chooses.
type Conn struct {
	cfg    Config
	sock   sockets
	follow *netfollow.Follower[carp.Link]

	tryMu  sync.Mutex
	tried  carp.Packet // what TryReadPacket reads before it knows if it is for us
	closed chan struct{}
	close  func() error

	received, malformed, notForUs atomic.Uint64
}

// sockets are what carries the packets below a Conn.
type sockets interface {
	// attach binds to an interface, instead of the one before, which may be gone
	// or be the same one. It is not called concurrently with itself.
	attach(*netfollow.Interface) error

	// read waits for a packet, whatever it is, until close is called. tryRead
	// does not wait. The error is ParseFrame's, errNotForUs or the kernel's.
	read(*carp.Packet) error
	tryRead(*carp.Packet) (bool, error)

	// write sends a packet. Its addresses have no zones; Src may be invalid.
	write(carp.Packet, *netfollow.Interface) error

	close() error
}

// newConn makes a Conn of sockets and the watch of their interface, which it closes
// if there is an error.
func newConn(cfg Config, sock sockets, w *netfollow.Watcher) (*Conn, error) {
	c := &Conn{cfg: cfg, sock: sock, closed: make(chan struct{})}
	var err error
	if c.follow, err = netfollow.Follow(w, linkOf, sock.attach); err != nil {
		sock.close()
		return nil, fmt.Errorf("carpnet: %s: %w", cfg.Interface, err)
	}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		c.follow.Stop()
		return sock.close()
	})
	return c, nil
}

// Links delivers the state of the link: first the one found by [Listen], then
// changes. A slow reader misses intermediate states, never the latest one. The
// channel is not closed.
//
// On Linux the link is up or down. Elsewhere only the administrative state is
// known, and looked at once a second: the link is down, or unknown.
func (c *Conn) Links() <-chan carp.Link { return c.follow.Links() }

// ReadPacket waits for a packet that an IP stack would deliver to CARP, to one
// of the groups or of the interface's addresses. While there is no interface it
// waits for its return.
func (c *Conn) ReadPacket(p *carp.Packet) error {
	for {
		before := c.follow.Now()
		err := c.sock.read(p)
		if c.isClosed() {
			return c.errClosed()
		}
		if errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) {
			// The socket has lost its interface. If it was attached to another one
			// since, before is out of date and says that it changed.
			select {
			case <-before.Changed():
			case <-c.closed:
			}
			continue
		}
		ok, err := c.take(p, err)
		if ok || err != nil {
			return err
		}
	}
}

// TryReadPacket implements [carp.Drainer].
func (c *Conn) TryReadPacket(p *carp.Packet) (bool, error) {
	c.tryMu.Lock()
	defer c.tryMu.Unlock()
	for {
		read, err := c.sock.tryRead(&c.tried)
		switch {
		case c.isClosed():
			return false, c.errClosed()
		case !read, errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
			return false, nil
		}
		ok, err := c.take(&c.tried, err)
		if ok {
			data := append(p.Data[:0], c.tried.Data...)
			*p = c.tried
			p.Data = data
		}
		if ok || err != nil {
			return ok, err
		}
	}
}

// take judges and counts what was read with err. It reports true for a packet
// to hand on; an error means that the socket is of no more use.
func (c *Conn) take(p *carp.Packet, err error) (bool, error) {
	i := c.follow.Now()
	switch {
	case err == errNotForUs:
		c.notForUs.Add(1)
	case err == ErrNotCARP, err == ErrLinkUnicast, err == ErrShort, err == ErrIPChecksum, err == ErrFragment:
		c.malformed.Add(1)
	case errors.Is(err, syscall.ENETDOWN): // once when it goes down; the socket lives on
	case err != nil:
		return false, fmt.Errorf("carpnet: receiving on %s: %w", c.cfg.Interface, err)
	case i.Index == 0 || !slices.Contains(c.cfg.Groups, p.Dst) && !slices.Contains(i.Addrs, p.Dst):
		c.notForUs.Add(1)
	default:
		c.received.Add(1)
		p.IfIndex = i.Index
		return true, nil
	}
	return false, nil
}

// WritePacket sends p: to a group on the interface, to a peer as the routing
// table says for packets that leave by the interface; a Linux kernel that has no
// such route looks for the peer on the interface itself. It does not wait: if the
// kernel's queue is full that is an error.
func (c *Conn) WritePacket(p carp.Packet) error {
	if c.isClosed() {
		return c.errClosed()
	}
	i := c.follow.Now()
	err := ErrNoInterface
	if i.Index != 0 {
		p.Src, p.Dst = rawip.Plain(p.Src), rawip.Plain(p.Dst)
		err = c.sock.write(p, i)
	}
	switch {
	case err == nil:
		return nil
	case c.isClosed():
		return c.errClosed()
	}
	return fmt.Errorf("carpnet: sending to %v on %s: %w", p.Dst, c.cfg.Interface, err)
}

// Close ends the Conn: all calls return an error that matches [net.ErrClosed].
func (c *Conn) Close() error { return c.close() }

func (c *Conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *Conn) errClosed() error {
	return fmt.Errorf("carpnet: %s: %w", c.cfg.Interface, net.ErrClosed)
}

// Stats counts what a [Conn] received.
type Stats struct {
	Received  uint64 // handed on
	Malformed uint64 // ParseFrame had an error
	NotForUs  uint64 // to another group or host, or from another interface
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	return Stats{Received: c.received.Load(), Malformed: c.malformed.Load(), NotForUs: c.notForUs.Load()}
}
