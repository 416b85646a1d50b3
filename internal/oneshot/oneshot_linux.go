// Package oneshot waits for a socket to become readable, and has the kernel tell of that
// only while somebody waits.
//
// Go's netpoller is told of each packet that comes, and of each one sent whose memory is
// free again, for as long as a socket is open: an idle thread wakes up for it and finds
// that it is nobody's business. Where packets are read every now and then, all that
// are there at once, this is a fifth of what a process computes.
package oneshot

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Conn is a socket, whose calls are to be made with MSG_DONTWAIT: it may be in
// blocking mode. Its methods may be called from any goroutine, Wait from one at a time.
//
// Beside it there is an epoll instance with nothing in it but the socket. That is what the
// netpoller watches, and it is silent unless it was armed, by Wait, for one message; but
// for errors before the first one.
type Conn struct {
	sock, poll     *os.File
	sockRC, pollRC syscall.RawConn

	// Of the Wait that is running, whose closure is made once.
	ready func(epfd uintptr) bool
	armed bool
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
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
	}
	c.poll = os.NewFile(uintptr(epfd), name)
	if err == nil {
		err = c.poll.SetReadDeadline(time.Time{}) // says whether the netpoller has taken it
	}
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
	c.ready = func(epfd uintptr) bool {
		if !c.armed {
			// If there is something to read already, the instance is ready at once.
			c.armed, c.err = true, unix.EpollCtl(int(epfd), unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
		}
		var event unix.EpollEvent
		n, _, _ := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epfd, uintptr(unsafe.Pointer(&event)), 1, 0, 0, 0)
		return n == 1 || c.err != nil
	}
	return c, nil
}

// Wait waits until there is something to read, or an error to be told. Once the Conn is
// closed or past its deadline it fails with [os.ErrClosed] or [os.ErrDeadlineExceeded].
func (c *Conn) Wait() error {
	c.armed, c.err = false, nil
	if err := c.read(c.ready); err != nil {
		return err
	}
	if c.err != nil && c.Control(func(uintptr) {}) != nil {
		return os.ErrClosed // before it was armed
	}
	return os.NewSyscallError("epoll_ctl", c.err)
}

// Check fails as Wait would, but does not wait.
func (c *Conn) Check() error { return c.read(func(uintptr) bool { return true }) }

func (c *Conn) read(ready func(epfd uintptr) bool) error {
	err := c.pollRC.Read(ready)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return os.ErrClosed
	}
	return err
}

// Control calls f with the socket, which is not closed meanwhile.
// It fails with [os.ErrClosed].
func (c *Conn) Control(f func(fd uintptr)) error {
	if c.sockRC.Control(f) != nil {
		return os.ErrClosed
	}
	return nil
}

// SetReadDeadline ends waiting, also one that has begun, when t has come. The zero time
// is none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.poll.SetReadDeadline(t) }

// Close closes the socket, and ends waiting.
func (c *Conn) Close() error {
	err := c.poll.Close()
	if serr := c.sock.Close(); err == nil {
		err = serr
	}
	return err
}
