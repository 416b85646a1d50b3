// Package carp is the Common Address Redundancy Protocol, whole: the adverts and
// their HMAC, the state machine that elects a master, and the node that runs it.
// It follows the kernels of OpenBSD, FreeBSD (OPNsense, pfSense) and NetBSD and
// the program ucarp, and takes part in groups with any of them.
//
// # The protocol
//
// Hosts on one network segment that share a virtual host ID, a passphrase and a
// set of addresses form a redundancy group. One of them is MASTER: it holds the
// addresses and says so every advbase + advskew/256 seconds, to a multicast group
// or to its peers. The others are BACKUP: each waits for three times its own
// advbase, and its advskew, and becomes master if it has not heard one by then.
//
//	          up, link                nothing heard, or the
//	INIT ----------------> BACKUP ----------------------------> MASTER
//	      <----------------       <----------------------------
//	        down, no link             a better one is heard
//
// The better master is the one that is demoted less, if the dialect tells so, and
// then the one with the shorter interval. A backup that hears a worse master only
// takes over with Preempt. A master that leaves sends an advert with an endless
// interval, the bow-out, and the backups take over at once, unless their advbase
// is 0 or above 85: those wait for their time-out.
//
// The digest covers the version, the type, the vhid, all addresses in order and a
// counter, but not the interval nor the demotion: CARP authenticates membership,
// and belongs on a trusted segment. See [ReplayPolicy] for what can be had on top.
//
// # Usage
//
// A [Node] runs all virtual hosts of one interface on a [Transport]; package
// carpnet has transports for real interfaces, package carptest one in memory.
//
//	secret, _ := carp.Passphrase("mekmitasdigoat")
//	node, err := carp.NewNode(carp.NodeConfig{
//		Interface: "em0",
//		Transport: conn,
//		Groups: []carp.GroupConfig{{
//			HostConfig: carp.HostConfig{
//				Config:    carp.Config{VHID: 1, AdvSkew: 100},
//				Secret:    secret,
//				Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
//			},
//			Addrs: addrs,
//		}},
//	})
//	...
//	err = node.Run(ctx) // until ctx is done; a master bows out
//
// Those with an event loop of their own use a [VirtualHost], which turns packets
// and time into decisions and does nothing else, or a [Machine], which is the
// decisions alone.
//
// # Concurrency
//
// Nothing runs before [Node.Run] and nothing after it returned. One goroutine,
// Run's, owns a node; its other methods may be called from anywhere, but from
// hooks only Status. Keys, machines and virtual hosts are not safe for concurrent use.
//
// # Mixed groups
//
// Nodes of all dialects elect a master among them if they have IPv4 addresses
// only, or IPv6 global ones as well (ucarp: a single IPv4 address). A demotion
// reaches only those who understand it: OpenBSD reads octet 4, the others an
// advskew of 240. So a demoted OpenBSD node stays master for a FreeBSD backup, and
// a demoted FreeBSD node for an OpenBSD backup without preempt.
//
// # Limits
//
// 255 virtual hosts for each interface, 1024 addresses for each of them. Below an
// interval of 50 ms, or 10 ms with real-time scheduling, a busy machine makes
// masters out of its own lateness. A group with both families needs both: a
// backup that hears only one becomes master for want of the other, as the BSDs'
// do. OpenBSD's load balancing (carpnodes, balancing) and VRRP are not here.
package carp
