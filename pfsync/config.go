package pfsync

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Config is how a [Session] speaks and behaves. Zero values are the defaults.
type Config struct {
	Dialect Dialect

	// Format of whole states to send; 0 is the newest of the dialect, which is
	// what version 0 means to FreeBSD's ifconfig.
	Format Format

	// HostID is the creatorid of the states made here. It must not be 0, and no
	// other node may have it.
	HostID uint32

	// MTU of a packet with its IP header, in octets. 0 means 1500.
	MTU int

	// MaxUpd is how many updates of one TCP state are collapsed into one message
	// before it is sent at once. nil means 128; 0 and 1 are alike. Range 0 to 255.
	MaxUpd *uint8

	// Flush is how long a message may wait for others. 0 means 1 s, the kernels' value.
	Flush time.Duration

	// Slices is the number of frames that are filled side by side, each with a
	// flush timer of its own: a state always goes into the same one, by its id. 0
	// means 1, and 16 is the most. The kernels have two or more, for their CPUs'
	// sake; that matters only to those who compare frames with them.
	Slices int

	// Peers are the addresses that packets are accepted from; those of others are
	// counted as badpeer. nil: anybody, as the kernels do, even with a syncpeer.
	Peers []netip.Addr

	// IfIndex is the sync interface: packets that are known to have come in on
	// another one are counted as badif. 0: any.
	IfIndex int

	// Defer holds the first packet of a new outbound connection back until a peer
	// has acknowledged its state, for DeferDelay at most (0 means 20 ms), and for
	// DeferLimit connections at a time (0 means 128). See [Output.Release].
	Defer      bool
	DeferDelay time.Duration
	DeferLimit int

	Bulk BulkConfig

	// Demote is added to the demotion while the first bulk update is outstanding.
	// 0 means 32 for OpenBSD, 240 for FreeBSD; negative: nothing.
	Demote int

	// RequestRate is how many states per second are sent to peers that ask for them
	// one by one, which cost them 12 octets and us up to 360. 0 means 10000.
	RequestRate int

	// Interfaces maps the names of the peers' interfaces to ours, for nodes that
	// are not built alike. Names that are not in it stay as they are.
	Interfaces map[string]string

	// Known says whether there is an interface here; nil: all of them are. FreeBSD
	// skips states whose interface it does not know. It is not asked about "all".
	Known func(ifname string) bool

	// Filter says whether a state is to be announced. nil: all but those with
	// FlagNoSync. Those of pfsync itself never are.
	Filter func(*State) bool

	// Removed says whether a state was removed by this node, lately and not because
	// it had expired. A peer that has not heard of that yet may still send it; then
	// it is not taken back, and the peer is told again. nil: none was. The kernels
	// do not remember.
	Removed func(StateID) bool

	// Watch is told of each change that a peer has made to the table, during Step. It
	// must not call the session. What a CLR removes it is told within Store.Clear.
	Watch func(Change)

	// KernelExact makes the session do what the kernel of the dialect does also
	// where that is a mistake, and without the bounds that the kernels lack; see
	// [Session]. It is for replaying recorded kernels.
	KernelExact bool
}

// BulkConfig is about bulk updates: how a node that starts gets the whole table.
type BulkConfig struct {
	// Interval is the time between two frames of an answer. 0 is the dialect's:
	// 20 ms for OpenBSD (250 states a second at an MTU of 1500), 1 ms for FreeBSD.
	// Negative: no pause at all.
	Interval time.Duration

	// Burst is the number of frames sent each Interval, or in one step if there is
	// no pause. 0 means 1, or 64 without a pause.
	Burst int

	// Deadline bounds how long a bulk update may be outstanding in all, lost
	// messages and slow peers included: then the demotion ends and nothing more is
	// asked for. 0 means 60 s. (The kernels wait for as long as their state limit
	// says, which is up to half an hour.)
	Deadline time.Duration

	// MinInterval is the least time between the starts of two answers to whole bulk
	// requests, which cost a peer 36 octets and us the table. 0 means 1 s.
	// Requests that come earlier are answered later, all of them together. If
	// there is no pause between frames, answering takes half of the time at most.
	MinInterval time.Duration
}

// The limits of a Config.
const (
	maxSlices     = 16
	maxDeferLimit = 4096
	maxBurst      = 1024
)

// Validate reports everything that is wrong with c.
func (c *Config) Validate() error {
	if int(c.Dialect) >= len(dialects) {
		return fmt.Errorf("pfsync: %v is not a dialect", c.Dialect)
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("pfsync: "+format, args...)) }
	if c.HostID == 0 {
		bad("hostid 0: want a number that no other node has")
	}
	t := c.Dialect.traits()
	if c.Format != 0 && !slices.Contains(t.formats, c.Format) {
		bad("format %d: %v has %v", c.Format, c.Dialect, t.formats)
	}
	d := c.withDefaults()
	if least := t.base + subheaderLen + d.Format.Size(); d.MTU < least || d.MTU > maxLen {
		bad("mtu %d: want %d to %d", d.MTU, least, maxLen)
	}
	if c.Slices < 0 || c.Slices > maxSlices {
		bad("slices %d: want 1 to %d", c.Slices, maxSlices)
	}
	if c.DeferLimit < 0 || c.DeferLimit > maxDeferLimit {
		bad("defer limit %d: want 1 to %d", c.DeferLimit, maxDeferLimit)
	}
	if c.Bulk.Burst < 0 || c.Bulk.Burst > maxBurst {
		bad("bulk burst %d: want 1 to %d", c.Bulk.Burst, maxBurst)
	}
	if c.RequestRate < 0 {
		bad("request rate %d: want 1 or more", c.RequestRate)
	}
	for _, v := range [...]struct {
		name string
		d    time.Duration
	}{
		{"flush", c.Flush}, {"defer delay", c.DeferDelay},
		{"bulk deadline", c.Bulk.Deadline}, {"bulk least interval", c.Bulk.MinInterval},
	} {
		if v.d < 0 {
			bad("%s %v: want a positive time", v.name, v.d)
		}
	}
	for _, a := range c.Peers {
		if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
			bad("peer %v: want the address of a host", a)
		}
	}
	for theirs, ours := range c.Interfaces {
		for _, name := range [...]string{theirs, ours} {
			if _, ok := MakeName(name); !ok || name == "" {
				bad("interface %q: want a name of 1 to %d octets", name, len(Name{})-1)
			}
		}
	}
	return errors.Join(errs...)
}

// withDefaults is c with its defaults filled in.
func (c Config) withDefaults() Config {
	h := c.Dialect.habits()
	or(&c.Format, c.Dialect.traits().send)
	or(&c.MTU, 1500)
	or(&c.Flush, time.Second)
	or(&c.Slices, 1)
	or(&c.DeferDelay, 20*time.Millisecond)
	or(&c.DeferLimit, 128)
	or(&c.Demote, h.demote)
	c.Demote = max(c.Demote, 0)
	or(&c.RequestRate, 10000)
	or(&c.Bulk.Interval, h.pause)
	if c.Bulk.Interval < 0 {
		or(&c.Bulk.Burst, 64)
	}
	or(&c.Bulk.Burst, 1)
	or(&c.Bulk.Deadline, time.Minute)
	or(&c.Bulk.MinInterval, time.Second)
	if c.MaxUpd == nil {
		n := uint8(128)
		c.MaxUpd = &n
	}
	return c
}

// or sets *v if it is zero.
func or[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
