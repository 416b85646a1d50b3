// Package sched gives a process real-time scheduling.
package sched

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// marker tells the process that was started again that it was.
const marker = "GOCARP_SCHED_FIFO"

// FIFO makes every thread of this process, which was started with args, run under
// SCHED_FIFO with priority prio, 1 to 99. Threads inherit it from the one that starts them, so it must be
// set before the runtime starts any: FIFO sets it on one thread and executes the
// program again, and only returns if that fails or has been done already.
//
// A runaway real-time process leaves the rest of the machine what the kernel
// keeps back, sched_rt_runtime_us: 5 % unless it was changed.
func FIFO(prio int, args []string) error {
	if os.Getenv(marker) == strconv.Itoa(prio) {
		return os.Unsetenv(marker)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("sched: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(prio)}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("sched: SCHED_FIFO %d needs CAP_SYS_NICE: %w", prio, err)
	}
	env := append(os.Environ(), marker+"="+strconv.Itoa(prio))
	return fmt.Errorf("sched: exec %s: %w", exe, syscall.Exec(exe, append(os.Args[:1:1], args...), env))
}
