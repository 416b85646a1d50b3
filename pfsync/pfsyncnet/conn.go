package pfsyncnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/internal/netfollow"
	"github.com/gocarp/gocarp/internal/rawip"
	"github.com/gocarp/gocarp/pfsync"
)

var _ pfsync.Transport = (*Conn)(nil)

// sendWait bounds how long sending waits for room in the buffer: a few hundred
// packets on a slow link.
const sendWait = 20 * time.Millisecond

// A Conn is the [pfsync.Transport] of one interface. Its methods may be called from
// any goroutine, ReadPackets from one at a time.
type Conn struct {
	cfg    Config
	sock   socket
	follow *netfollow.Follower[pfsync.Link]

	writeMu sync.Mutex

	isClosed atomic.Bool
	close    func() error

	received, notForUs atomic.Uint64
}

// A socket is what carries the packets below a Conn.
type socket interface {
	// join makes the socket a member of the group on an interface, and of none on
	// the one before, which may be gone or be the same one.
	join(index int) error

	// read waits for packets, fills up to len(p) and returns how many; IfIndex is
	// 0 in those that cannot be made sense of.
	read(p []pfsync.Packet) (int, error)

	// write sends payloads from an interface, waits for room for sendWait at most,
	// and returns how many it sent. dst has no zone.
	write(index int, dst netip.Addr, payloads [][]byte) (int, error)

	// dropped is how many packets the kernel had no room for.
	dropped() uint64

	close() error
}

// newConn makes a Conn of a socket and the watch of its interface, which it closes if
// there is an error.
func newConn(cfg Config, sock socket, w *netfollow.Watcher) (*Conn, error) {
	c := &Conn{cfg: cfg, sock: sock}
	var err error
	if c.follow, err = netfollow.Follow(w, linkOf, func(i *netfollow.Interface) error { return sock.join(i.Index) }); err != nil {
		sock.close()
		return nil, fmt.Errorf("pfsyncnet: %s: %w", cfg.Interface, err)
	}
	c.close = sync.OnceValue(func() error {
		c.isClosed.Store(true)
		c.follow.Stop()
		return sock.close()
	})
	return c, nil
}

// Destinations are where packets are to be sent: the peers, or the group.
func (c *Conn) Destinations() []netip.Addr { return slices.Clone(c.cfg.destinations()) }

// Links delivers the state of the link: first the one found by [Listen], then
// changes. A slow reader misses intermediate states, never the latest one. The
// channel is not closed.
//
// On Linux the link is up if it has a carrier. Elsewhere only the administrative
// state is known, and looked at once a second.
func (c *Conn) Links() <-chan pfsync.Link { return c.follow.Links() }

// ReadPackets waits for packets that arrived on the interface: to the group, or,
// as with the kernels' pfsync, to any address of this host. While there is no
// interface it waits for its return.
func (c *Conn) ReadPackets(p []pfsync.Packet) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := c.sock.read(p)
		switch {
		case c.isClosed.Load():
			return 0, c.errClosed()
		case err != nil:
			return 0, fmt.Errorf("pfsyncnet: receiving on %s: %w", c.cfg.Interface, err)
		}
		if n = c.ours(c.follow.Now().Index, p[:n]); n > 0 {
			return n, nil
		}
	}
}

// ours moves the packets for us, on the interface with that index, to the front,
// counts all, and returns how many they are. Packets change places so that each
// keeps its buffer.
func (c *Conn) ours(index int, p []pfsync.Packet) int {
	n := 0
	for i := range p {
		switch q := &p[i]; {
		case q.IfIndex != index, index == 0:
		case q.Dst.IsMulticast() && q.Dst != c.cfg.Group:
		case q.Src == q.Dst, q.Src == c.cfg.Source: // we were given as a peer of ourselves
		default:
			p[i], p[n] = p[n], p[i]
			n++
		}
	}
	c.received.Add(uint64(n))
	c.notForUs.Add(uint64(len(p) - n))
	return n
}

// WritePackets sends to a peer or to the group, from the interface; only if the
// routing table has a better way to a peer than the interface, then BSD kernels, and
// Linux over IPv6 with a Source, take that. If the queue is full it waits a little,
// 20 ms at most, and the next time not at all if that did not help. A packet that is
// larger than the interface's MTU is an error.
func (c *Conn) WritePackets(dst netip.Addr, payloads [][]byte) (int, error) {
	dst = rawip.Plain(dst)
	n, err := c.write(dst, payloads)
	switch {
	case err == nil:
		return n, nil
	case c.isClosed.Load():
		return n, c.errClosed()
	}
	return n, fmt.Errorf("pfsyncnet: sending to %v on %s: %w", dst, c.cfg.Interface, explain(err))
}

func (c *Conn) write(dst netip.Addr, payloads [][]byte) (int, error) {
	index, err := sendIndex(c.follow.Now())
	switch {
	case err != nil:
		return 0, err
	case !dst.IsValid() || dst.Is4() != c.cfg.v4():
		return 0, errors.New("not an address of the family that was listened for")
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	return c.sock.write(index, dst, payloads)
}

// Close ends the Conn: all calls return an error that matches [net.ErrClosed].
func (c *Conn) Close() error { return c.close() }

func (c *Conn) errClosed() error {
	return fmt.Errorf("pfsyncnet: %s: %w", c.cfg.Interface, net.ErrClosed)
}

// Stats counts what a [Conn] received.
type Stats struct {
	Received uint64 // handed on
	NotForUs uint64 // from another interface or from ourselves, or to another group
	Dropped  uint64 // lost because the receive buffer was full; Linux only, modulo 1<<32
}

// Stats returns the counters. Those of a closed Conn have no Dropped.
func (c *Conn) Stats() Stats {
	return Stats{Received: c.received.Load(), NotForUs: c.notForUs.Load(), Dropped: c.sock.dropped()}
}

// explain adds what the kernel's words for a failure to send do not say.
func explain(err error) error {
	switch err = rawip.Errno(err); {
	case isFull(err):
		return fmt.Errorf("queue is full: %w", syscall.ENOBUFS)
	case errors.Is(err, os.ErrPermission): // the socket itself was permitted
		return fmt.Errorf("%w: refused by the firewall", err)
	}
	return err
}

// isFull reports whether there was no room for a packet.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded)
}
