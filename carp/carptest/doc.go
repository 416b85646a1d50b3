// Package carptest has what tests of programs with package carp need: an
// in-memory network segment with faults, addresses that are only recorded, and a
// journal of what happened in which order.
//
// # Usage
//
//	seg := carptest.NewSegment(1)
//	node, err := carp.NewNode(carp.NodeConfig{
//		Transport: seg.Attach("fw1", netip.MustParseAddr("10.0.0.2")),
//		...
//
// A [Port] is a [carp.Transport] and a [carp.Drainer]. The segment is a perfect
// hub until told otherwise, by [Segment.SetFaults], [Segment.Cut],
// [Segment.Partition], [Segment.SetReflect], [Port.Freeze] and [Port.FailWrites].
// An attacker is a port that uses [Port.SendRaw].
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
// the two names and n alone, not on what other ports do. Packets that arrive at
// the same instant are read in the order in which they were sent.
package carptest
