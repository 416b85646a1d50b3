package vip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// locks keep a second Applier, in this or another process, from working on the
// same addresses of the same interface: each would take for leftovers what the
// other puts on. They are abstract Unix sockets, which the kernel keeps apart by
// network namespace and closes with the process, however it ends.
type locks map[netip.Addr]*net.UnixConn

// lock takes the locks of all addresses, or none.
func lock(ifname string, addrs []netip.Prefix) (locks, error) {
	l := make(locks)
	for _, p := range addrs {
		name := &net.UnixAddr{Name: fmt.Sprintf("@gocarp/vip/%s/%v", ifname, p.Addr()), Net: "unixgram"}
		conn, err := net.ListenUnixgram("unixgram", name)
		for range 10 {
			// A lock that was given up just now is still held by a child of this
			// process that has not come to execute its program yet.
			if !errors.Is(err, unix.EADDRINUSE) {
				break
			}
			time.Sleep(10 * time.Millisecond)
			conn, err = net.ListenUnixgram("unixgram", name)
		}
		if err != nil {
			l.Close()
			if errors.Is(err, unix.EADDRINUSE) {
				err = ErrInUse
			}
			return nil, fmt.Errorf("%v: %w", p.Addr(), err)
		}
		l[p.Addr()] = conn
	}
	return l, nil
}

// keep gives up the locks of all other addresses. There is no way to take more:
// a socket for a new address might be opened in another network namespace.
func (l locks) keep(addrs []netip.Prefix) {
	kept := make(map[netip.Addr]bool)
	for _, p := range addrs {
		kept[p.Addr()] = true
	}
	for addr, conn := range l {
		if !kept[addr] {
			conn.Close()
			delete(l, addr)
		}
	}
}

// Close gives up all locks.
func (l locks) Close() { l.keep(nil) }
