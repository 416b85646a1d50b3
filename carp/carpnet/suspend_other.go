//go:build !linux

package carpnet

import "time"

// Suspended is how long this host has been suspended since it booted: the time
// that timers did not see. When it grows, others were master meanwhile. It is
// always 0 on systems other than Linux.
func Suspended() time.Duration { return 0 }
