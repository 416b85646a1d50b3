package carp

import "errors"

// Why a packet was dropped, one error for each counter of [Stats]. Use [errors.Is].
var (
	ErrInterface = errors.New("received on another interface")                      // badif
	ErrTTL       = errors.New("TTL is not 255: the packet was routed")              // badttl
	ErrShort     = errors.New("packet shorter than 36 octets")                      // badlen
	ErrChecksum  = errors.New("wrong checksum")                                     // badsum
	ErrVersion   = errors.New("version is not 2")                                   // badver
	ErrType      = errors.New("type is not 1")                                      // badtype
	ErrVHID      = errors.New("no such virtual host here")                          // badvhid
	ErrPeer      = errors.New("sender is not an allowed peer")                      // badpeer
	ErrAuth      = errors.New("wrong digest: check passphrase, vhid and addresses") // badauth
	ErrLoop      = errors.New("our own packet came back")                           // loops
	ErrReplay    = errors.New("counter was seen before or is out of its time")      // replays
	ErrIgnored   = errors.New("adverts are not accepted (allow=0)")
)

// What a call can fail with.
var (
	ErrFIPS     = errors.New("carp: HMAC-SHA1 is needed and fips140=only forbids it")
	ErrStopped  = errors.New("carp: node is not running any more")
	ErrExists   = errors.New("carp: virtual host exists already")
	ErrNotFound = errors.New("carp: no such virtual host")
)
