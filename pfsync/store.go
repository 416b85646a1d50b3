package pfsync

import (
	"errors"
	"time"
)

// What [Store.Insert] can fail with.
var (
	ErrExists = errors.New("pfsync: state exists already")
	ErrFull   = errors.New("pfsync: state table is full")
)

// A Cursor is a place in a [Store]. Zero is the beginning, and the end.
type Cursor uint64

// A Store is a state table. [Memory] is one; an embedder who has a table of his
// own gives that.
//
// Its methods may be called from any goroutine. Times are those of the caller:
// states that go in and out count their age and what is left of them from now.
type Store interface {
	// Get copies a state to st and reports whether there is one.
	Get(now time.Time, id StateID, st *State) bool

	// Insert adds a copy of st, which is then Creation seconds old, and due in Expire
	// seconds, or after the whole time-out of its class if that is 0 or more than
	// the time-out (pf_state_import). It fails with ErrExists if there is one with
	// that identity, or another one with the same key, direction and interface, which
	// it replaces if that is a TCP state with both sides at FIN_WAIT_2 or beyond
	// (pf_state_key_attach); and with ErrFull rather than let another one go. What
	// it replaces it reports to replaced unless that is nil: an embedder who inserts
	// tells his node [Node.Deleted] then. replaced must not call the Store.
	Insert(now time.Time, st *State, replaced func(StateID)) error

	// Update changes a state: f gets the state as Get would give it, and says
	// what to keep. f may change Src, Dst, Timeout, Packets and Bytes only and must
	// not call the Store. Update reports whether there is such a state.
	Update(now time.Time, id StateID, f func(st *State) Keep) bool

	// Delete removes a state and reports whether there was one.
	Delete(id StateID) bool

	// Clear removes the states of a creator, those on one interface only unless
	// ifname is empty, and reports each to deleted unless that is nil. Names count
	// up to their first NUL.
	Clear(creator uint32, ifname Name, deleted func(StateID)) int

	// Scan copies states to buf, which is not empty, from c on, and returns how many,
	// and where to go on, which is zero at the end. A state that is there from the
	// first to the last call is seen once; others may be.
	Scan(now time.Time, c Cursor, buf []State) (int, Cursor)

	// Len is the number of states.
	Len() int
}

// A Recaller is a [Store] that tells two kinds of updates apart: that packets have
// passed at a peer, and what a peer says when it is asked, for one state or for all.
type Recaller interface {
	Store

	// Recall is Update for the second kind.
	Recall(now time.Time, id StateID, f func(st *State) Keep) bool
}

// Keep is what remains of a change to a state in [Store.Update].
type Keep uint8

const (
	KeepNothing Keep = iota // leave the state as it was
	KeepPeers               // take Src and Dst; class, time left and counters stay as they are
	KeepAll                 // take Timeout, Packets and Bytes, too; the state was active just now
)

// DigestBuckets is the number of buckets that a [Digester] sorts states into, by
// the hash of their identity.
const DigestBuckets = 4096

// A Digester is a [Store] that can say cheaply what is in it. With two of them
// nodes find out what they hold differently; see [Converger]. All use the hashes
// [StateID.Bucket] and [State.Digest].
type Digester interface {
	Store

	// Digest sets each element to the digest of a bucket, the exclusive or of the
	// digests of its states.
	Digest(buckets *[DigestBuckets]uint64)

	// Bucket reports each state of a bucket, with its digest and the time since
	// it was inserted or last changed.
	Bucket(now time.Time, bucket int, f func(id StateID, digest uint64, idle time.Duration))
}
