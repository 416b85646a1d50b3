// Package pfsyncnet carries pfsync over the operating system's sockets: it has
// the [pfsync.Transport] and the [pfsync.SideTransport] for real networks.
//
// # Usage
//
//	conn, err := pfsyncnet.Listen(pfsyncnet.Config{Interface: "sync0"})
//	...
//	for _, dst := range conn.Destinations() {
//		_, err := conn.WritePackets(dst, frames)
//	}
//
// Without peers it speaks to the group 224.0.0.240, as pfsync does unless there
// is a syncpeer. A [Conn] follows its interface by name: it may go down, lose its
// carrier, be deleted and made again, and the reader just waits until it is back.
//
// # Systems
//
// A Conn is one raw IP socket, of the family of its destinations. The kernel
// checks the IP header, puts fragments together, finds peers, reports the group to
// switches, and applies the firewall: rules have to let protocol 240 pass on the
// interface, or the local node hears nothing and its sending fails. On the other
// hand any kind of link will do, an encrypted tunnel for one, which is the best
// that can be had in front of a protocol without any authentication.
//
// Linux sends and receives many packets with one system call. On FreeBSD, NetBSD
// and macOS it is one each; where the kernel has a pfsync of its own (OpenBSD, and
// FreeBSD when the module is loaded) that one takes what arrives, and nothing comes
// here. Elsewhere Listen fails with [errors.ErrUnsupported].
//
// # Namespaces and privileges
//
// On Linux a Conn belongs to the network namespace of the thread that called
// Listen. Listen needs CAP_NET_RAW (elsewhere, root), and CAP_NET_ADMIN for the
// large receive buffer that it asks for, but does without; what comes later needs
// nothing. The side channel needs no privilege.
//
// # Security
//
// pfsync has no authentication. A Conn takes packets that arrived on its interface
// only; their TTL, source and contents are for the receiver, package pfsync, to
// check. A [SideConn] drops what did not come from the side channel of a host on
// the same link, which whoever is on that link can still forge.
package pfsyncnet
