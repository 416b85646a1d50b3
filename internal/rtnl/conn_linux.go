package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Conn is one rtnetlink socket for requests. It is safe for concurrent use;
// requests are answered one at a time.
type Conn struct {
	nl *netlink.Conn
}

// Dial opens a Conn in the network namespace of the calling thread.
func Dial() (*Conn, error) {
	// A fixed receive buffer saves the extra system call that asks for the size
	// of each answer. The kernel never makes a dump's datagram larger than 32 KiB.
	nl, err := dial(32 << 10)
	if err != nil {
		return nil, err
	}
	return &Conn{nl: nl}, nil
}

// dial opens a socket. With a bufferSize of 0 it takes datagrams of any size.
// Acknowledgements repeat the request (no NETLINK_CAP_ACK): the netlink library
// does not find the kernel's explanation in capped ones.
func dial(bufferSize int) (*netlink.Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true, MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("rtnl: open socket: %w", err)
	}
	return nl, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return c.nl.Close() }

// do sends a request that is answered by an acknowledgement alone.
func (c *Conn) do(typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) error {
	_, err := c.nl.Execute(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   data,
	})
	return kernelError(err)
}

// get sends a request that is answered by one message, or by a dump. A dump
// that the kernel says is inconsistent, because something changed while it was
// taken, is taken again.
func (c *Conn) get(typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	const attempts = 10
	for range attempts {
		msgs, err := c.nl.Execute(netlink.Message{
			Header: netlink.Header{Type: typ, Flags: netlink.Request | flags},
			Data:   data,
		})
		if err != nil {
			return nil, kernelError(err)
		}
		if !interrupted(msgs) {
			return msgs, nil
		}
	}
	return nil, fmt.Errorf("dump was interrupted %d times in a row", attempts)
}

func interrupted(msgs []netlink.Message) bool {
	for _, m := range msgs {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}

// kernelError reduces an error of the netlink library to what an operator
// wants to read: the errno, and the kernel's explanation if it gave one.
func kernelError(err error) error {
	var op *netlink.OpError
	if errors.As(err, &op) && op.Message != "" {
		return fmt.Errorf("%w (%s)", op.Err, op.Message)
	} else if op != nil {
		return op.Err
	}
	return err
}

// encode appends the attributes that fill writes to a fixed header.
func encode(header []byte, fill func(*netlink.AttributeEncoder)) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	fill(ae)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	return append(header, attrs...), nil
}

// ifInfo is struct ifinfomsg, with those interface flags changed that are in change.
func ifInfo(index int, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], change)
	return b
}
