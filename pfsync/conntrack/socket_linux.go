package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/oneshot"
)

// A socket is a netlink socket to the kernel's netfilter. The kernel carries
// requests out before send returns, so answers need not be waited for.
type socket struct {
	conn *oneshot.Conn
	port uint32 // the kernel's name for this socket: nlmsg_pid of what it causes

	// gate is held while the kernel carries a request out, nil if there is no other
	// socket of ours that would have to wait for it. See call.
	gate  *sync.Mutex
	brief bool // its requests are

	// Arguments and results of the calls below, whose closures are made once.
	buf                []byte
	n                  int
	err                error
	sendOnce, readOnce func(fd uintptr)
}

// writeBuffer is more than the messages of a full batch.
const writeBuffer = maxBatch * 512

// openSocket opens a socket in the network namespace of the calling thread.
func openSocket(readBuffer int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("conntrack: open a netlink socket: %w", err)
	}
	s, err := newSocket(fd)
	if err != nil {
		return nil, err
	}
	if err := s.setUp(fd, readBuffer); err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("conntrack: set up a netlink socket: %w", err)
	}
	return s, nil
}

// newSocket takes over a descriptor.
func newSocket(fd int) (*socket, error) {
	conn, err := oneshot.New(fd, "netlink")
	if err != nil {
		return nil, fmt.Errorf("conntrack: %w", err)
	}
	s := &socket{conn: conn}
	s.sendOnce = func(fd uintptr) { s.n, s.err = s.call(unix.SYS_SENDTO, fd) }
	s.readOnce = func(fd uintptr) { s.n, s.err = s.call(unix.SYS_RECVFROM, fd) }
	return s, nil
}

func (s *socket) setUp(fd, readBuffer int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	s.port = name.(*unix.SockaddrNetlink).Pid
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, writeBuffer); err != nil {
		return err
	}
	// Without the privilege to force it, which the table itself takes as well, it
	// is cut to net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, readBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, readBuffer); err != nil {
			return err
		}
	}
	// Acknowledgements without a copy of the request.
	return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
}

// shortCall is how many octets of messages the kernel carries out in some tenths of a
// millisecond.
const shortCall = 16 << 10

// call is a send or a receive of s.buf, without waiting.
//
// Go's scheduler is not told of brief ones: to make room for others, and to wake its
// monitor each time, would take a tenth of what a standby computes that has little to do
// at a time. To begin a dump takes long, and all requests wait for that in the kernel: a
// thread that the scheduler does not know to be waiting would hold up timers. So such
// sockets have a gate, and wait there.
func (s *socket) call(number, fd uintptr) (int, error) {
	do := unix.Syscall6
	if s.brief && (number == unix.SYS_RECVFROM || len(s.buf) <= shortCall) {
		do = unix.RawSyscall6
	}
	for {
		n, _, errno := do(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.buf))), uintptr(len(s.buf)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// send sends messages.
func (s *socket) send(b []byte) error {
	if s.gate != nil {
		s.gate.Lock()
		defer s.gate.Unlock()
	}
	s.buf = b
	if s.conn.Control(s.sendOnce) != nil {
		return net.ErrClosed
	}
	return s.err
}

// receive reads one datagram, if there is one (EAGAIN).
func (s *socket) receive(b []byte) (int, error) {
	s.buf = b
	if s.conn.Control(s.readOnce) != nil {
		return 0, net.ErrClosed
	}
	return s.n, s.err
}

// drain throws away all there is to read.
func (s *socket) drain() error {
	var b [1]byte // the rest of each datagram is cut off
	for {
		if _, err := s.receive(b[:]); err == unix.EAGAIN {
			return nil
		} else if err != nil && err != unix.ENOBUFS {
			return err
		}
	}
}

func (s *socket) close() error {
	if err := s.conn.Close(); errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	} else if err != nil {
		return fmt.Errorf("conntrack: close: %w", err)
	}
	return nil
}

// A message is what stands between two netlink headers.
type message struct {
	typ, flags uint16
	seq        uint32
	body       []byte
}

// nextMessage cuts the first message off b, which is not empty.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < nlHeaderLen {
		return message{}, nil, fmt.Errorf("%w: %d octets", ErrMalformed, len(b))
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < nlHeaderLen || n > len(b) {
		return message{}, nil, fmt.Errorf("%w: length %d, there are %d octets", ErrMalformed, n, len(b))
	}
	m = message{
		typ:   binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		body:  b[nlHeaderLen:n:n],
	}
	return m, b[min((n+3)&^3, len(b)):], nil
}

// errno is the error number that NLMSG_ERROR and NLMSG_DONE begin with; 0 is success.
func (m *message) errno() unix.Errno {
	if len(m.body) < 4 {
		return 0
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.body)))
}
