package carp

import (
	"errors"
	"fmt"
	"time"
)

// SubSecond as [Config.AdvBase] is an advbase of 0: only advskew counts then,
// and the interval is a fraction of a second. OpenBSD alone understands it.
const SubSecond = -1

// defaultDeadRatio is how many advbases of silence make a master dead.
const defaultDeadRatio = 3

// A Config is what decides a virtual host's elections. Its zero value, with a
// VHID, is OpenBSD's default.
type Config struct {
	// VHID is the virtual host ID, 1 to 255, unique on the network segment and
	// not the VRID of a VRRP router there.
	VHID uint8

	// AdvBase is the advertisement base in seconds: 0 means 1, and [SubSecond]
	// means 0. OpenBSD and NetBSD take up to 254, FreeBSD and ucarp up to 255.
	// Give all nodes the same.
	AdvBase int

	// AdvSkew is added to the interval in units of 1/256 s, 0 to 254. The node
	// with the lowest AdvBase and AdvSkew is preferred as master.
	AdvSkew uint8

	// Dialect is whose rules to follow: OpenBSD's unless set.
	Dialect Dialect

	// Preempt makes a node take over from a master that advertises more slowly
	// than it would itself, as net.inet.carp.preempt=1 does.
	Preempt bool

	// DeadRatio is ucarp's --deadratio: the number of advbases after which a
	// silent master is dead. 0 means 3, what the kernels use; other values need
	// the dialect UCarp.
	DeadRatio int

	// Linger is how long a master that was told to leave keeps its addresses
	// after its bow-out, unless a successor shows up before, 10 minutes at most. 0
	// and less leave at once, as the kernels do. A [Node] takes 0 for
	// [DefaultLinger], plus the master-down time if AdvBase is SubSecond, since
	// backups do not act on a bow-out then.
	Linger time.Duration

	// Seed makes the jitter of this node differ from that of its equals; see
	// [Machine]. A Node draws one if it is 0.
	Seed uint64
}

// DefaultLinger is how long a [Node] waits for its successor.
const DefaultLinger = time.Second

const maxLinger = 10 * time.Minute

// Validate reports everything that is wrong with c.
func (c *Config) Validate() error {
	if !c.Dialect.valid() {
		return fmt.Errorf("carp: %v is not a dialect", c.Dialect)
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("carp: "+format, args...))
	}
	if c.VHID == 0 {
		bad("vhid 0: want 1 to 255")
	}
	t := c.Dialect.traits()
	if b := c.advBase(); c.AdvBase < SubSecond || b < t.baseMin || b > t.baseMax {
		bad("vhid %d: advbase %d: %v takes %d to %d", c.VHID, b, c.Dialect, t.baseMin, t.baseMax)
	}
	if c.AdvSkew == Infinite {
		bad("vhid %d: advskew 255: want 0 to 254", c.VHID)
	}
	switch r := c.deadRatio(); {
	case r < 1 || r > 255:
		bad("vhid %d: deadratio %d: want 1 to 255", c.VHID, r)
	case r != defaultDeadRatio && c.Dialect != UCarp:
		bad("vhid %d: deadratio %d: only ucarp has one, the kernels use 3", c.VHID, r)
	}
	if c.Linger > maxLinger {
		bad("vhid %d: linger %v: want at most %v", c.VHID, c.Linger, maxLinger)
	}
	return errors.Join(errs...)
}

// advBase is the advbase that goes on the wire.
func (c *Config) advBase() int {
	switch c.AdvBase {
	case 0:
		return 1
	case SubSecond:
		return 0
	}
	return c.AdvBase
}

func (c *Config) deadRatio() int {
	if c.DeadRatio == 0 {
		return defaultDeadRatio
	}
	return c.DeadRatio
}

// MasterDown is how long after the last advert of its master this node takes
// over: 3 advbases and its own skew, or 3 skews if advbase is 0. A demotion does
// not change it (carp_setrun).
func (c *Config) MasterDown() time.Duration {
	if c.advBase() == 0 {
		return 3 * time.Duration(max(c.AdvSkew, 1)) * skewUnit
	}
	return pace{c.deadRatio() * c.advBase(), int(c.AdvSkew)}.duration()
}
