package oneshot

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a Conn and the other end of it.
func pair(t *testing.T) (*Conn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(fds[0], "pair")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); unix.Close(fds[1]) })
	return c, fds[1]
}

// receive reads a datagram without waiting, and reports whether there was one.
func (c *Conn) receive(t *testing.T) bool {
	t.Helper()
	var err error
	if cerr := c.Control(func(fd uintptr) {
		_, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT)
	}); cerr != nil {
		t.Error(cerr)
	}
	if err != nil && err != unix.EAGAIN {
		t.Error(err)
	}
	return err == nil
}

func send(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		t.Error(err)
	}
}

// TestWait: each datagram is waited for, whether it is there already, or comes in
// between, or later.
func TestWait(t *testing.T) {
	c, other := pair(t)
	const n = 20_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for got := 0; got < n; {
			for c.receive(t) {
				got++
			}
			if got < n {
				if err := c.Wait(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	late := time.Now().Add(20 * time.Second)
	for i := range n {
		for {
			_, err := unix.Write(other, []byte{1})
			if err == nil {
				break
			} else if err != unix.EAGAIN {
				t.Fatal(err)
			} else if time.Now().After(late) {
				t.Fatal("it waits for what is there")
			}
			time.Sleep(time.Millisecond)
		}
		if i%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	select {
	case <-done:
	case <-time.After(time.Until(late)):
		t.Fatal("it waits for what is there")
	}
}

// TestSilence: nobody is woken unless somebody waits. The poll instance says so: it is
// what the netpoller watches.
func TestSilence(t *testing.T) {
	c, other := pair(t)
	awake := func() bool {
		t.Helper()
		var n int
		var err error
		if cerr := c.pollRC.Control(func(epfd uintptr) {
			for n, err = 0, unix.EINTR; err == unix.EINTR; {
				n, err = unix.Poll([]unix.PollFd{{Fd: int32(epfd), Events: unix.POLLIN}}, 0)
			}
		}); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		return n > 0
	}
	send(t, other)
	if awake() {
		t.Error("nobody has waited yet, and the netpoller is told")
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	send(t, other)
	if awake() {
		t.Error("nobody waits any more, and the netpoller is told")
	}
}

// TestDeadline: waiting ends when it comes, and goes on without it.
func TestDeadline(t *testing.T) {
	c, other := pair(t)
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := c.Check(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	c.SetReadDeadline(time.Time{})
	time.AfterFunc(10*time.Millisecond, func() { send(t, other) })
	if err := c.Wait(); err != nil || !c.receive(t) {
		t.Error(err)
	}
}

// TestClose ends who waits, and all that comes later. The socket is closed: its other
// end is told.
func TestClose(t *testing.T) {
	c, other := pair(t)
	var waiting sync.WaitGroup
	var ended atomic.Value
	waiting.Go(func() { ended.Store(c.Wait()) })
	time.Sleep(10 * time.Millisecond)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	if err := ended.Load().(error); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := c.Wait(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := c.Control(func(uintptr) { t.Error("called") }); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if _, err := unix.Write(other, []byte{1}); err != unix.ECONNREFUSED && err != unix.EPIPE && err != unix.ENOTCONN {
		t.Error(err)
	}
}

// TestAllocs: waiting allocates nothing.
func TestAllocs(t *testing.T) {
	c, other := pair(t)
	var b [1]byte
	read := func(fd uintptr) { unix.Read(int(fd), b[:]) }
	if n := testing.AllocsPerRun(100, func() {
		unix.Write(other, b[:])
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		c.Control(read)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
