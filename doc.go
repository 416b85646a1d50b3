// Package gocarp is the map of this module: CARP, addresses that two hosts share
// so that one is always there, and pfsync, the connections that survive it, for
// Linux and for programs that embed them, compatible with OpenBSD, FreeBSD, NetBSD
// and ucarp.
//
// Read the packages in this order:
//
//   - carp: the protocol. Header and Key are the packet, Machine the election,
//     VirtualHost both together, and Node runs them on a transport.
//   - carp/carpnet: the transports of real interfaces; carp/carptest: one in
//     memory, with faults, for your tests.
//   - vip: putting addresses on an interface, announcing them and taking them off.
//   - pfsync: the other protocol, built alike. Parse and Writer are the frames,
//     Session what is sent and believed, Memory a state table, Converger what makes
//     two tables agree, and Node runs them on a transport.
//   - pfsync/pfsyncnet and pfsync/pfsynctest: as above; pfsync/conntrack: the
//     connections of a Linux kernel as a state table.
//   - demote: the demotion counter, made of named contributions, and the interface
//     groups of OpenBSD; demote/check: links and services that demote.
//   - examples: carpd shares an address between hosts, dump reads packets, demo
//     shows a failover without touching the network, firewall runs a pair by the
//     words of ifconfig, lab breaks pairs and measures.
//
// The protocol packages are functions of what happened and when: they open no
// socket, read no clock and start no goroutine, but for carp.Node and pfsync.Node,
// which run when you say so. Whatever touches the operating system stands behind an interface.
package gocarp
