// Package pfsync is the protocol by which firewalls with pf keep the same table of
// states: its frames and messages, the session that decides what to send and what
// to believe, a state table, and the node that runs them. It speaks to the kernels
// of OpenBSD 7.4 and newer and of FreeBSD 12 to 15, so OPNsense and pfSense.
//
// # The protocol
//
// A state is a connection as pf sees it on one interface: two [Key] values, what
// the packets look like outside and inside of a translation, and for each of the
// two hosts how far it has come. The node that made it gives it a [StateID], which
// it keeps wherever it goes. Nodes tell each other
//
//	INS      of a new state, whole
//	UPD_C    of a state that has changed, only what changes: many into one message
//	DEL_C    of one that is gone
//	CLR      that all states of a node are gone
//	UPD_REQ  to send a state that was changed and is not known here, or all of them
//	UPD      a state, whole, for an UPD_REQ
//	BUS      around the answer to a request for all of them, the bulk update
//	INS_ACK  that a state is known now whose first packet waits for that (defer)
//
// in frames of many messages, each sent once, to a multicast group or a syncpeer.
// Nothing is repeated: what is lost is mended by the next update, by UPD_REQ, or by
// the end of the state's life.
//
// The systems are alike in this and in nothing else: see [Dialect] and [Format].
// OpenBSD and FreeBSD do not read each other's frames; a [State] holds all that
// either has to say of one.
//
// # Usage
//
// A [Node] runs the protocol on a [Transport]; package pfsyncnet has transports for
// real interfaces, package pfsynctest one in memory. The states are in a [Store]:
// a [Memory], or an embedder's own. Those with an event loop of their own use a
// [Session], which turns packets, local changes and time into frames and changes of
// the store, and does nothing else.
//
// Below that are the frames. [Parse] checks one, once; then nothing fails but the
// messages' values, which [State.Check] judges as the kernels do:
//
//	f, err := pfsync.Parse(pfsync.OpenBSD, payload)
//	for s := range f.Sections() { // those before the failure, if there is one
//		for msg := range s.Messages() {
//			switch s.Action {
//			case pfsync.ActIns, pfsync.ActUpd:
//				err = st.Unmarshal(s.Format, msg)
//			case pfsync.ActDelC:
//				err = id.UnmarshalBinary(msg)
//			...
//
// and a [Writer] fills them up to the MTU. Neither allocates.
//
// # Agreement
//
// What pfsync loses stays lost until a state changes again, and a lost DEL_C leaves
// a state behind for as long as it may live. Nodes of this package do better among
// themselves if they are given a [SideTransport] beside the [Transport]: a
// [Converger] numbers the frames, asks for what was in those that got lost,
// compares digests of the tables, and has what differs repaired by ordinary
// messages. [Node.Status] says whether the tables are identical, or how many states
// differ. A peer that does not answer on the side channel, as a BSD, gets nothing
// on the wire that it would not get otherwise.
//
// # Concurrency
//
// Nothing runs before [Node.Run] and nothing after it returned. Frames, writers
// and sessions are not safe for concurrent use; stores and nodes are.
//
// # Security
//
// Nothing is authenticated. Who can send a packet with a TTL of 255 to the sync
// interface can make states, which are holes in the ruleset, and remove them. It
// belongs on a cable of its own, or into a tunnel. What there is beside that, and
// the kernels have not, is a list of peers and bounds on what a peer can ask for.
//
// # Limits
//
// IPsec counters (TDB) are decoded and not applied. Ruleset digests, by which
// FreeBSD finds the rule of a state, are zero on sending and shown on receiving:
// only pf can make one.
package pfsync
