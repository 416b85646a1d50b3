// Package oneshot waits for a socket to become readable, and has the kernel tell of that
// only while somebody waits.
//
// Go's netpoller is told of each packet that comes, and of each one sent whose memory is
// free again, for as long as a socket is open: an idle thread wakes up for it and finds
// that it is nobody's business. Where packets are read every now and then, all that
// are there at once, this is a fifth of what a process computes.
package oneshot

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Conn is a socket. Its calls never wait but for Read's. They are to be made with
// MSG_DONTWAIT: the socket itself may be in blocking mode.
//
// In between there is an epoll instance with nothing but the socket. That is what the
// netpoller watches, and it is silent unless it was armed, by Read, for one message.
type Conn struct {
	sock, poll     *os.File
	sockRC, pollRC syscall.RawConn

	// Of the Read that is running, whose closures are made once.
	try   func(fd uintptr) bool
	once  func(fd uintptr)
	armed func(epfd uintptr) bool
	done  bool
	err   error
}

// New takes over a socket, also if there is an error.
func New(fd int, name string) (*Conn, error) {
	if err := unix.SetNonblock(fd, false); err != nil { // or os would have the netpoller watch it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	c := &Conn{sock: os.NewFile(uintptr(fd), name)}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		c.sock.Close()
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(epfd, true); err == nil {
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)})
	}
	c.poll = os.NewFile(uintptr(epfd), name)
	if err == nil {
		c.sockRC, err = c.sock.SyscallConn()
	}
	if err == nil {
		c.pollRC, err = c.poll.SyscallConn()
	}
	if err != nil {
		c.Close()
		return nil, os.NewSyscallError("epoll", err)
	}
	c.once = func(fd uintptr) {
		if c.done = c.try(fd); !c.done {
			c.err = unix.EpollCtl(epfd, unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
		}
	}
	c.armed = func(epfd uintptr) bool {
		var event unix.EpollEvent // if it was armed, it is not any more
		unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epfd, uintptr(unsafe.Pointer(&event)), 1, 0, 0, 0)
		if err := c.sockRC.Control(c.once); err != nil {
			c.err = err
		}
		return c.done || c.err != nil
	}
	return c, nil
}

// Read calls try until it returns true, each time when there is something to read: as
// that of a [syscall.RawConn], for one goroutine at a time. Once closed or past its
// deadline it fails with [os.ErrClosed] or [os.ErrDeadlineExceeded].
func (c *Conn) Read(try func(fd uintptr) bool) error {
	c.try, c.err, c.done = try, nil, false
	if err := c.pollRC.Read(c.armed); err != nil {
		return err
	}
	return c.err
}

// Control calls f with the socket.
func (c *Conn) Control(f func(fd uintptr)) error { return c.sockRC.Control(f) }

// SetReadDeadline ends reads, also one that is waiting, when t has come. The zero time
// is none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.poll.SetReadDeadline(t) }

// Close closes the socket, and ends reads.
func (c *Conn) Close() error {
	err := c.poll.Close()
	if serr := c.sock.Close(); err == nil {
		err = serr
	}
	return err
}
