package pfsync

import (
	"encoding/json"
	"errors"
)

// Stats are the counters of a [Session]. Those up to OutActions are the kernels'
// struct pfsyncstats, as netstat -s -p pfsync shows them, and have its names in
// JSON; the others count what the kernels do not tell apart.
type Stats struct {
	InPackets   uint64 `json:"ipackets"`  // received over IPv4, before any check
	InPackets6  uint64 `json:"ipackets6"` // received over IPv6
	BadIf       uint64 `json:"badif"`     // received on another interface
	BadTTL      uint64 `json:"badttl"`    // TTL or hop limit not 255
	HdrDrops    uint64 `json:"hdrops"`    // shorter than the header
	BadVersion  uint64 `json:"badver"`    // of another system
	BadAction   uint64 `json:"badact"`    // unknown action, the rest of the packet was dropped
	BadLen      uint64 `json:"badlen"`    // lengths do not fit, the rest of the packet was dropped
	BadAuth     uint64 `json:"badauth"`   // never counted, by nobody
	Stale       uint64 `json:"stale"`     // updates behind what we know
	BadValue    uint64 `json:"badval"`    // states with impossible values
	BadState    uint64 `json:"badstate"`  // unknown states, and whole ones that cannot be inserted
	OutPackets  uint64 `json:"opackets"`  // frames to be sent; see OutPackets6
	OutPackets6 uint64 `json:"opackets6"` // those over IPv6, if whoever sends them says so
	OutNoMem    uint64 `json:"onomem"`    // not sent for want of a buffer, counted by who sends
	OutErrors   uint64 `json:"oerrors"`   // not sent, counted by who sends

	InActions  Histogram `json:"iacts"` // messages received
	OutActions Histogram `json:"oacts"` // messages to be sent

	BadPeer     uint64 `json:"badpeer"`     // packets of a source that is not allowed
	Returned    uint64 `json:"returned"`    // states of peers that were removed here for good; see [Config.Removed]
	Refused     uint64 `json:"refused"`     // INS that the import rules or the table refused
	ClrDenied   uint64 `json:"clrdenied"`   // CLR of our own states, and too many CLR
	BulkHeld    uint64 `json:"bulkheld"`    // bulk requests that came during or soon after an answer
	ReqDropped  uint64 `json:"reqdropped"`  // requests for single states above RequestRate
	BulkStarted uint64 `json:"bulkstarted"` // bulk updates asked for
	BulkDone    uint64 `json:"bulkdone"`    // of these, those that came to their end
	BulkFailed  uint64 `json:"bulkfailed"`  // of these, those that were given up
	BulkSent    uint64 `json:"bulksent"`    // bulk updates sent, whole
}

// A Histogram counts messages by [Action].
type Histogram [ActEOF + 1]uint64

// MarshalJSON writes the counters that are not zero as an object, by the names of
// the actions.
func (h Histogram) MarshalJSON() ([]byte, error) {
	m := make(map[string]uint64)
	for a, n := range h {
		if n != 0 {
			m[Action(a).String()] = n
		}
	}
	return json.Marshal(m)
}

// drop counts why a packet, or the rest of it, was dropped.
func (s *Stats) drop(err error) {
	for _, d := range [...]struct {
		err error
		n   *uint64
	}{
		{ErrInterface, &s.BadIf}, {ErrTTL, &s.BadTTL}, {ErrPeer, &s.BadPeer}, {ErrShort, &s.HdrDrops},
		{ErrVersion, &s.BadVersion}, {ErrLen, &s.BadLen}, {ErrAction, &s.BadAction},
	} {
		if errors.Is(err, d.err) {
			*d.n++
		}
	}
}
