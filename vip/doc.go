// Package vip puts the addresses of a virtual host on an interface while this
// machine is its master, tells the neighbours about it, and takes them off
// again. It knows nothing of elections: package carp says when.
//
// # Frames
//
// [GratuitousARP] and [UnsolicitedNA] make announcements, [ParseClaim] reads
// those of others, and [Announcer] decides when to send. They are values in and
// values out and work on every system.
//
// # Applier
//
// An [Applier] does the work on Linux. Open it in the network namespace it
// shall work in, have its Run running for as long as it may hold addresses, and
// Close it at the end:
//
//	a, err := vip.Open(vip.Config{
//		Interface: "lan",
//		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
//	})
//	if err != nil {
//		return err
//	}
//	defer a.Close()
//	go a.Run(ctx)
//
// Acquire, Announce and Release are what package carp calls Addrs. Yield makes it a
// Yielder and Silence a Silencer: a master that has a successor keeps the addresses
// for a moment, answers what was on its way, and is noticed by nobody else.
//
// Addresses are put on as host addresses (/32 and /128) with a lifetime of a few
// seconds, which Run keeps renewing. If the process is killed, or hangs for
// longer than that, the kernel takes the addresses off by itself: two machines
// never own one address for long. Run also repairs what others break: an
// address that was deleted, IPv6 addresses that went with a link that was set
// down, an interface that was removed and made again.
//
// With [RealMAC] the addresses sit on the interface itself and clients learn
// its own hardware address. This works everywhere.
//
// With [VirtualMAC] they sit on a macvlan link with the shared hardware address,
// so that clients and their ARP caches need not notice a failover at all; but
// firewall rules see that link, not the interface, as the one that packets come
// in on. With [RewrittenMAC] they sit on the interface and two small eBPF
// programs give them the shared hardware address: firewall rules see what they
// always saw, and nothing needs to be configured besides. Neither works where a
// hypervisor does not let frames with other hardware addresses through.
//
// # What is changed on the machine
//
// Addresses carry the mark 112 (IFA_PROTO, shown by "ip -d addr" as proto 0x70),
// the macvlan an alias that starts with "gocarp vip". Nothing without these
// marks is ever changed or deleted. An address that somebody else has put on
// already is not taken over: Acquire fails with [ErrForeign].
//
// VirtualMAC also raises arp_ignore to 1 and arp_announce to 2 on the interface,
// so that it does not answer for the macvlan. The last Applier of a process that
// needs them puts the old values back when it is closed. The macvlan's alias
// repeats the old values, and the next Open after a crash finds them there. While
// it is silent, for a moment after a hand-over, the macvlan has the queueing
// discipline "blackhole".
package vip
