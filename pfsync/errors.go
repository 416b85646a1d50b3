package pfsync

import (
	"errors"
	"fmt"
)

// Why a packet, a section or a message was dropped, one error for each counter of
// the kernels. Use [errors.Is].
var (
	ErrInterface = errors.New("received on another interface")           // badif
	ErrTTL       = errors.New("TTL is not 255: the packet was routed")   // badttl
	ErrShort     = errors.New("packet shorter than its header")          // hdrops
	ErrVersion   = errors.New("version is not the one of the dialect")   // badver
	ErrLen       = errors.New("length does not fit the data")            // badlen
	ErrAction    = errors.New("unknown action")                          // badact
	ErrValue     = errors.New("bad value")                               // badval; see [State.Check]
	ErrState     = errors.New("no such state, or it cannot be inserted") // badstate
	ErrPeer      = errors.New("sender is not an allowed peer")           // badpeer
)

// ErrFormat is what decoding a state fails with if there is no such [Format].
var ErrFormat = errors.New("pfsync: no such format of states")

// A valueError is an ErrValue that says which. It is put into words only when
// somebody reads it, since strangers can make many of them.
type valueError struct {
	what  string
	value uint8
}

func (e *valueError) Error() string { return fmt.Sprintf("%v: %s %d", ErrValue, e.what, e.value) }
func (e *valueError) Unwrap() error { return ErrValue }
