package pfsync

import "time"

// An EventKind says what happened.
type EventKind uint8

const (
	EventTimer    EventKind = iota // the deadline of the last Output has come
	EventUp                        // take part from now on
	EventDown                      // take part no more
	EventLinkUp                    // the sync interface has a carrier
	EventLinkDown                  // the sync interface has none
	EventPacket                    // Packet arrived
	EventInsert                    // State was added to the table by this node
	EventUpdate                    // the state ID was changed by this node
	EventDelete                    // the state ID was removed by this node, or has expired
	EventClear                     // all states of ours on IfName, or on all, were removed by this node
	EventResync                    // ask for the whole table again
	EventFlush                     // send what waits to be sent
	EventResend                    // tell the peers about ID: UPD if it is in the table, DEL_C if not
)

// An Event is what a [Session] is told. Changes of the table are told after they
// were made. Before EventUp nothing is announced or answered.
type Event struct {
	Kind   EventKind
	Packet Packet  // EventPacket
	State  *State  // EventInsert; EventDelete, if at hand, in place of ID. It is not kept
	ID     StateID // EventUpdate, EventDelete, EventResend; EventInsert, if State is nil
	Proto  uint8   // EventUpdate: IP protocol; only updates of TCP states are counted against MaxUpd
	IfName Name    // EventClear
}

// An Output is what is to be done after a step.
type Output struct {
	// Frames are pfsync payloads to send, in order, to all peers. They are valid
	// until the next Step.
	Frames [][]byte

	// Deadline is when to call Step with EventTimer; zero: there is nothing to wait
	// for. During a bulk answer without pauses it is the time of the step itself.
	Deadline time.Time

	// Demotion is what the session adds to the demotion counter now, and
	// DemotionReason why it was changed last, in the kernels' words.
	Demotion       int
	DemotionReason string

	// Release are the states whose first packets, held back by defer, go now. With
	// [Config.Defer] each state of an EventInsert is released (or dropped) once: in
	// the same step if its packet is not to wait. Valid until the next Step.
	Release []StateID

	// Drop are those whose first packets are to be dropped, which only a FreeBSD
	// with KernelExact asks for. Valid until the next Step.
	Drop []StateID
}

// A Change is a change of the table that a peer has made.
type Change struct {
	Op    ChangeOp
	State *State // as it is now; on ChangeDelete the identity only. Not to be kept
}

// A ChangeOp says what became of a state.
type ChangeOp uint8

const (
	ChangeInsert ChangeOp = iota
	ChangeUpdate
	ChangeDelete
)
