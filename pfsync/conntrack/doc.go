// Package conntrack reads and writes Linux's connection tracking table, which is
// the state table of its firewall. It speaks ctnetlink itself: several times
// faster than libraries do, and with translations, which they lose.
//
// An [Entry] is one connection. It is a plain value, that is read from and
// written to netlink messages on any system. What has a socket is for Linux: a
// [Dumper] lists the table, a [Listener] hears of its changes, a [Writer] changes
// it. [Sysctl] and [Probe] tell whether a network namespace is fit for it.
//
// A [Table] does all of that for a firewall: it is the state table of a
// [pfsync.Node], and the kernel's. A [Mapping] says how entries and states
// correspond.
//
// # A firewall
//
//	table, err := conntrack.OpenTable(conntrack.TableConfig{HostID: id, Addrs: own})
//	...
//	node, err := pfsync.NewNode(pfsync.NodeConfig{Store: table, ...})
//	...
//	table.SetSink(node)
//	go table.Run(ctx)
//	go node.Run(ctx)
//	...
//	table.Adopted()           // once the node is in sync; at the latest by itself
//	err = table.Commit(ctx)   // before the addresses of a new master
//	err = table.CatchUp()     // and node.Flush(ctx), before a planned hand-over,
//	table.Yield(true)         // before they are given up,
//	table.Yield(false)        // and when they are gone
//
// What a pf peer is told of TCP was found by experiments with kernels of OpenBSD and
// FreeBSD 12: both sides CLOSED, with a window scale, which pf takes for "learn from
// the next packets". Our own kind reads from the time-out class how far the connection
// is. FIN_WAIT and CLOSE_WAIT are one to it, and windows, marks, zones and helpers are not
// told.
//
// What passes is counted if the sysctl nf_conntrack_acct is on. The counters of a state are
// as old as the last look at it, which for TCP may be a minute. They are in the messages
// that have whole states, and cause none. Whoever takes a state in begins at 0, as pf does.
//
// How long states live: at the peers for pf's time-outs, 20 s (ICMP) to a day (TCP);
// in the kernel for its own. Every [TableConfig.Refresh], 15 s, a dump finds what of UDP,
// ICMP and the like is in use, and of TCP if the table is small or traffic has moved, else
// every fourth time. What would be gone at the peers before the next round but one is told
// again. A standby's kernel entry is renewed when a quarter of its time is over.
//
// # The parts
//
//	writer, err := conntrack.OpenWriter(conntrack.WriterConfig{Failed: failed})
//	...
//	listener, err := conntrack.Listen(conntrack.ListenConfig{
//		Ignore: []uint32{writer.PortID()},
//	})
//	...
//	dumper, err := conntrack.OpenDumper(conntrack.Filter{})
//	...
//	err = dumper.Dump(ctx, mirror)
//	for err == nil {
//		err = listener.Read(func(ev *conntrack.Event) {
//			switch ev.Kind {
//			case conntrack.New, conntrack.Update, conntrack.Destroy:
//				send(ev)
//			case conntrack.Overrun:
//				resync = true // dump again
//			}
//		})
//	}
//
// Listen first and dump then, or what happens in between is missed. All of it
// takes CAP_NET_ADMIN, and works on the network namespace of the thread that
// opened it for as long as it lives.
//
// # Concurrency
//
// There are no goroutines and no locks in waiting: each of them belongs to one
// goroutine, only their Close, and a Writer's Stats, may be called from others.
// A Dumper and a Writer do their work in slices of under a millisecond, with a
// chance for other goroutines in between, so that adverts are sent in time.
//
// # What to know before writing entries
//
// The kernel accepts entries that do not work. All of the following was tried on
// Linux 6.18, and all but the last two points are held by the tests of this
// package, with sessions that are moved from one firewall to another.
//
//   - A translation is asked for, with NAT_SRC and NAT_DST; it is not described.
//     The tuple of the answers must be the plain inverse of the original one. With
//     the translated one, as a dump has it, the kernel takes the entry for one that
//     needs no rewriting, and packets leave with their private addresses. So what
//     was read cannot be written back as it is; [AppendCreate] does it right.
//   - Nothing is tracked unless a rule of the namespace uses conntrack. Then nothing
//     is translated unless there is a NAT chain, too; one without rules, of any
//     hook, will do, but it does not make the kernel track. See [Probe].
//   - A fast TCP stream dies unless both of its ends are marked liberal, because
//     where their windows are cannot be told. Thin sessions survive without, and so
//     do small tests. [AppendCreate] and [AppendUpdate] always mark them. The
//     kernel's own entries of a host that gets its connections back are not marked:
//     see [Sysctl.EnableLiberal].
//   - With the sysctl nf_conntrack_tcp_loose, sessions without translation survive
//     although nothing was mirrored, and a test of it proves nothing.
//   - The status must have the bit CONFIRMED, and must not lose others, or the
//     kernel says EBUSY; a translation in an update is EOPNOTSUPP, and one that
//     another connection has is EEXIST, like an entry that is there already. A
//     [Writer] sorts this out.
//   - A message to delete an entry that does not name one empties the table. There
//     is no way to make this package do that.
//   - Entries on a standby grow old, as no packets renew them. The master must tell
//     the time that is left before it is half over; and as packets make no events,
//     only a dump tells it. TCP sessions (days) hardly need that, UDP (seconds) does.
//   - Rules with "masquerade" do not go with a virtual address: they use the
//     interface's own, and the kernel deletes their entries with that. Use "snat".
//
// # What to know before reading events
//
//   - By default, connections that are older than the first listener make none. See
//     [Sysctl.EnableEvents].
//   - Packets make none, but for those that change the state of a connection.
//   - What a Writer does comes back as events. See [ListenConfig].
//   - When events are lost, the kernel goes on to drop them until the queue has
//     been read to its end. [Overrun] is reported then, not earlier.
//
// # Limits
//
// Helpers and what they expect, labels, the windows of TCP, and the states of SCTP
// and DCCP are not mirrored; connections of the latter two were not tried. Whether traffic with sequence adjustments (SeqAdj) survives was
// not tried, only that the kernel takes them. Host and network byte order are told
// apart, but only little-endian machines were tried.
package conntrack
