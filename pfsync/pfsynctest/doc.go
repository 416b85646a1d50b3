// Package pfsynctest has what tests of programs with package pfsync need: an
// in-memory sync network with faults.
//
// # Usage
//
//	seg := pfsynctest.NewSegment(1)
//	fw1 := seg.Attach("fw1", netip.MustParseAddr("10.0.0.1"))
//	fw2 := seg.Attach("fw2", netip.MustParseAddr("10.0.0.2"))
//
// A [Port] is a [pfsync.Transport], a [Side] from [Segment.AttachSide] a
// [pfsync.SideTransport]. The segment is a perfect hub until told otherwise, by
// [Segment.SetFaults], [Segment.SetSideFaults], [Segment.Cut] and
// [Segment.Partition]; a host stands still between [Port.Freeze] and
// [Port.Thaw]. An attacker is a port that uses [Port.SendRaw].
//
// # Time
//
// Everything works in real time and, better, inside of a testing/synctest
// bubble, where hours pass in microseconds. A segment has no goroutines; timers
// run only for packets on their way to an open port.
//
// # Determinism
//
// What happens to the n-th packet from one port to another depends on the seed,
// the two names and n alone, not on what other ports do; datagrams of the side
// channel are counted by themselves. Packets that arrive at the same instant are
// read in the order in which they were sent.
package pfsynctest
