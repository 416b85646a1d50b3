package pfsyncnet

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// An mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32 // octets received or sent
}

// mmsg calls recvmmsg or sendmmsg once, without waiting, and again if a signal came
// in between. Everything that msgs point to is in memory that Go keeps, and does not
// move, as long as msgs do.
//
// The call is a raw one, since it waits neither for packets nor for room: Go's scheduler
// would prepare for that and wake its monitor, at the price of a tenth of what a node
// computes when it has little to do at a time.
func mmsg(call uintptr, fd int, msgs []mmsghdr) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// socketDrops is how many packets did not fit into the receive buffer.
func socketDrops(fd int) (uint32, error) {
	const drops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
	var info [drops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return 0, e
	}
	return info[drops], nil
}
