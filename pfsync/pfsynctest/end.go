package pfsynctest

import (
	"net/netip"

	"github.com/gocarp/gocarp/internal/memnet"
	"github.com/gocarp/gocarp/pfsync"
)

// DefaultQueue is the number of packets that may wait to be read from a [Port]
// or a [Side].
const DefaultQueue = 4096

// An end is what a [Port] and a [Side] have in common.
type end struct{ mem *memnet.End[pfsync.Packet] }

// Name is the name that it was attached with.
func (e end) Name() string { return e.mem.Name() }

// Close disconnects. What was not read is lost; a second time it fails with
// [net.ErrClosed].
func (e end) Close() error { return e.mem.Close() }

// Freeze keeps arriving packets in the queue, as if nothing on this host ran,
// until Thaw. It does not stop what is sent.
func (e end) Freeze() { e.mem.Freeze(true) }

// Thaw delivers what was kept.
func (e end) Thaw() { e.mem.Freeze(false) }

// FailWrites makes writing fail with err and send nothing; nil ends that.
func (e end) FailWrites(err error) { e.mem.FailWrites(err) }

// SetQueue sets how many packets may wait to be read. What arrives at a full
// queue is lost.
func (e end) SetQueue(n int) { e.mem.SetQueue(n) }

// Queued is how many packets wait to be read.
func (e end) Queued() int { return e.mem.Queued() }

// Dropped is how many packets were lost for want of room in the queue.
func (e end) Dropped() int { return e.mem.Dropped() }

// at picks the ends that have an address.
func at(dst netip.Addr) func(to *memnet.End[pfsync.Packet]) bool {
	return func(to *memnet.End[pfsync.Packet]) bool { return to.Has(dst) }
}

// everywhere picks all ends.
func everywhere(*memnet.End[pfsync.Packet]) bool { return true }
