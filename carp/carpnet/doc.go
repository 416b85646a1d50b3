// Package carpnet carries CARP packets over the operating system's sockets: it
// has the [carp.Transport] for real networks, and the Ethernet and IP framing
// around a CARP payload, which is also of use without a socket.
//
// # Usage
//
//	conn, err := carpnet.Listen(carpnet.Config{Interface: "eth0"})
//
// One [Conn] serves all virtual hosts of an interface. It follows the interface
// by name: it may go down, lose its carrier, be deleted and made again, and
// readers just wait until it is back.
//
// # Systems
//
// On Linux a Conn is a packet socket. Adverts leave with the virtual MAC as
// their Ethernet source, which is what moves the address in a switch. Packet
// sockets stand before the firewall: rules for protocol 112 do not apply to
// what is received, nor to multicast that is sent.
//
// [Config.RawIP] takes raw IP sockets instead, and FreeBSD, OpenBSD, NetBSD and
// macOS have nothing else. The firewall applies, and any kind of link will do,
// but adverts carry the interface's own MAC: peers do not mind, a switch learns
// nothing from them. Elsewhere Listen fails with [errors.ErrUnsupported].
//
// # Namespaces and privileges
//
// On Linux a Conn belongs to the network namespace of the thread that called
// Listen. Listen needs CAP_NET_RAW (elsewhere, root); what comes later does not.
//
// # Security
//
// Nothing here is authenticated. TTL, length, checksum, virtual host and digest
// are for the receiver, package carp, to check.
package carpnet
