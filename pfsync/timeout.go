package pfsync

import (
	"fmt"
	"time"
)

// A Timeout is a class of timeouts of pf (PFTM_*). A state is always in one of them.
type Timeout uint8

// The classes that states can be in.
const (
	TCPFirst Timeout = iota
	TCPOpening
	TCPEstab
	TCPClose
	TCPFinWait
	TCPClosedTimeout
	UDPFirst
	UDPSingle
	UDPMultiple
	ICMPFirst
	ICMPError
	OtherFirst
	OtherSingle
	OtherMultiple
)

// The classes that states of SCTP can be in, on FreeBSD 14 and newer.
const (
	SCTPFirst Timeout = 20 + iota
	SCTPOpening
	SCTPEstab
	SCTPClosing
	SCTPClosed
)

// timeoutNames are the words of pf.conf(5). The classes from 14 to 19 are not for
// states, but pass for valid on the wire.
var timeoutNames = [...]string{
	"tcp.first", "tcp.opening", "tcp.established", "tcp.closing", "tcp.finwait", "tcp.closed",
	"udp.first", "udp.single", "udp.multiple", "icmp.first", "icmp.error",
	"other.first", "other.single", "other.multiple",
	"frag", "interval", "adaptive.start", "adaptive.end", "src.track", "tsdiff",
	"sctp.first", "sctp.opening", "sctp.established", "sctp.closing", "sctp.closed",
}

// String is the word of pf.conf, or the number.
func (t Timeout) String() string {
	if int(t) < len(timeoutNames) {
		return timeoutNames[t]
	}
	return fmt.Sprintf("Timeout(%d)", uint8(t))
}

// Timeouts says how long each class lives.
type Timeouts map[Timeout]time.Duration
