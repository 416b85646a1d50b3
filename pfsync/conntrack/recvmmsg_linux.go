package conntrack

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxDatagrams is how many one system call reads. Beyond, there is nothing to gain.
	maxDatagrams = 64

	// room is for one of them. Events are of a few hundred octets, but for names of
	// any length in them; what is not used of the room stays untouched memory.
	room = 16 << 10
)

// datagrams is what one recvmmsg(2) has read. To read and to decode an event takes a
// quarter less processor time than with a read(2) for each.
type datagrams struct {
	msgs [maxDatagrams]mmsghdr
	iovs [maxDatagrams]unix.Iovec
	bufs [maxDatagrams][room]byte
	n    int
}

// An mmsghdr is struct mmsghdr.
type mmsghdr struct {
	unix.Msghdr
	n uint32 // octets received
}

func newDatagrams() *datagrams {
	d := new(datagrams)
	for i := range d.msgs {
		d.iovs[i].Base = &d.bufs[i][0]
		d.iovs[i].SetLen(room)
		d.msgs[i].Iov = &d.iovs[i]
		d.msgs[i].SetIovlen(1)
	}
	return d
}

// receive reads the datagrams that are there (EAGAIN if there is none). An error that
// comes behind some of them is for the next call. It waits for nothing, so Go's scheduler
// need not know of it.
func (d *datagrams) receive(fd uintptr) error {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&d.msgs)), maxDatagrams, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			d.n = int(n)
			return nil
		case unix.EINTR:
		default:
			d.n = 0
			return errno
		}
	}
}

// at returns one of the n datagrams, until the next receive.
func (d *datagrams) at(i int) []byte { return d.bufs[i][:d.msgs[i].n] }
