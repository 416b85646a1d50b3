// Package gocarp is the map of this module: CARP, addresses that two hosts share
// so that one is always there, for Linux and for programs that embed it,
// compatible with OpenBSD, FreeBSD, NetBSD and ucarp.
//
// Read the packages in this order:
//
//   - carp: the protocol. Header and Key are the packet, Machine the election,
//     VirtualHost both together, and Node runs them on a transport.
//   - carp/carpnet: the transports of real interfaces; carp/carptest: one in
//     memory, with faults, for your tests.
//   - vip: putting addresses on an interface, announcing them and taking them off.
//   - demote: the demotion counter, made of named contributions, and the interface
//     groups of OpenBSD; demote/check: links and services that demote.
//   - examples: carpd shares an address between hosts, dump reads packets, demo
//     shows a failover without touching the network.
//
// The protocol packages are functions of what happened and when: they open no
// socket, read no clock and start no goroutine, but for carp.Node, which runs when
// you say so. Whatever touches the operating system stands behind an interface.
package gocarp
