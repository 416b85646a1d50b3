package carpnet

import (
	"time"

	"golang.org/x/sys/unix"
)

// Suspended is how long this host has been suspended since it booted: the time
// that timers did not see. When it grows, others were master meanwhile. It is
// always 0 on systems other than Linux.
func Suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	// The clocks are read one after the other. On a host that never was
	// suspended they are the same clock, and mono is the later one.
	return max(0, time.Duration(boot.Nano()-mono.Nano()))
}
