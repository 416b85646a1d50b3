package carp

import (
	"errors"
	"sync/atomic"
)

// Stats are the counters of a [Node]. Those up to Preempt are OpenBSD's and
// FreeBSD's struct carpstats, as netstat -s -p carp shows them, and have its
// names in JSON; the others count what the kernels do not tell apart.
type Stats struct {
	InPackets   uint64 `json:"ipackets"`  // received over IPv4, before any check
	InPackets6  uint64 `json:"ipackets6"` // received over IPv6
	BadIf       uint64 `json:"badif"`     // received on another interface
	BadTTL      uint64 `json:"badttl"`    // TTL or hop limit not 255
	BadSum      uint64 `json:"badsum"`    // wrong checksum
	BadVersion  uint64 `json:"badver"`    // version not 2
	BadLen      uint64 `json:"badlen"`    // shorter than 36 octets
	BadAuth     uint64 `json:"badauth"`   // wrong digest
	BadVHID     uint64 `json:"badvhid"`   // no such virtual host, or not running
	OutPackets  uint64 `json:"opackets"`  // sent over IPv4, failed ones included
	OutPackets6 uint64 `json:"opackets6"` // sent over IPv6, failed ones included
	OutNoMem    uint64 `json:"onomem"`    // not sent for want of a buffer
	Preempt     uint64 `json:"preempt"`   // transitions to MASTER
	OutErrors   uint64 `json:"oerrors"`   // not sent, for any reason
	BadType     uint64 `json:"badtype"`   // type not 1
	BadPeer     uint64 `json:"badpeer"`   // from a source that is not allowed
	Loops       uint64 `json:"loops"`     // our own adverts, sent back (OpenBSD: badauth)
	Replays     uint64 `json:"replays"`   // refused by ReplayStrict
	Ignored     uint64 `json:"ignored"`   // came while allow=0
	Stalls      uint64 `json:"stalls"`    // times this host was seen to have stood still
	Refused     uint64 `json:"refused"`   // times the addresses could not be taken
}

// counters are Stats that can be read while the node counts.
type counters struct {
	in, in6, badIf, badTTL, badSum, badVersion, badLen, badAuth, badVHID,
	out, out6, outNoMem, preempt, outErrors, badType, badPeer, loops, replays,
	ignored, stalls, refused atomic.Uint64
}

// load is a copy; counters that change meanwhile may be of different moments.
func (c *counters) load() Stats {
	return Stats{
		InPackets: c.in.Load(), InPackets6: c.in6.Load(),
		BadIf: c.badIf.Load(), BadTTL: c.badTTL.Load(), BadSum: c.badSum.Load(),
		BadVersion: c.badVersion.Load(), BadLen: c.badLen.Load(),
		BadAuth: c.badAuth.Load(), BadVHID: c.badVHID.Load(),
		OutPackets: c.out.Load(), OutPackets6: c.out6.Load(), OutNoMem: c.outNoMem.Load(),
		Preempt: c.preempt.Load(), OutErrors: c.outErrors.Load(),
		BadType: c.badType.Load(), BadPeer: c.badPeer.Load(),
		Loops: c.loops.Load(), Replays: c.replays.Load(), Ignored: c.ignored.Load(),
		Stalls: c.stalls.Load(), Refused: c.refused.Load(),
	}
}

// drop is the counter of the packets dropped for err.
func (c *counters) drop(err error) *atomic.Uint64 {
	for _, d := range [...]struct {
		err error
		n   *atomic.Uint64
	}{
		{ErrAuth, &c.badAuth}, {ErrVHID, &c.badVHID}, {ErrTTL, &c.badTTL}, {ErrShort, &c.badLen},
		{ErrChecksum, &c.badSum}, {ErrVersion, &c.badVersion}, {ErrType, &c.badType},
		{ErrInterface, &c.badIf}, {ErrPeer, &c.badPeer}, {ErrLoop, &c.loops}, {ErrReplay, &c.replays},
	} {
		if errors.Is(err, d.err) {
			return d.n
		}
	}
	return &c.ignored
}
