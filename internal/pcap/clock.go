package pcap

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// A clock tells how an interface of a pcapng file counts time.
type clock struct {
	perSecond uint64 // ticks
	offset    int64  // seconds to add
}

// The options of an interface description that set its clock.
const (
	optEnd    = 0
	optResol  = 9  // one octet: exponent of 10, or of 2 with the top bit set, negated
	optOffset = 14 // eight octets, signed
)

// parseClock reads the options of an interface description.
func parseClock(bo binary.ByteOrder, b []byte) (clock, error) {
	c := clock{perSecond: 1e6}
	for len(b) >= 4 {
		kind, n := bo.Uint16(b), int(bo.Uint16(b[2:]))
		if kind == optEnd {
			break
		}
		b = b[4:]
		if n > len(b) {
			return c, errShortBlock
		}
		switch {
		case kind == optResol && n == 1:
			if c.perSecond = resolution(b[0]); c.perSecond == 0 {
				return c, fmt.Errorf("time stamps finer than 64 bits can count (if_tsresol %#x)", b[0])
			}
		case kind == optOffset && n == 8:
			c.offset = int64(bo.Uint64(b))
		}
		b = b[min((n+3)&^3, len(b)):] // padded to 32 bits
	}
	return c, nil
}

// resolution is the number of ticks in a second, 0 if it exceeds 64 bits.
func resolution(v byte) uint64 {
	if v&0x80 != 0 {
		return 1 << (v & 0x7f) // 0 from 64 on
	}
	if v > 19 {
		return 0
	}
	n := uint64(1)
	for range v {
		n *= 10
	}
	return n
}

// The years that RFC 3339 can write.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// time is the moment of a tick, truncated to nanoseconds. It is zero beyond the
// years 0 to 9999: such a stamp is damage, and would not print.
func (c clock) time(ticks uint64) time.Time {
	sec, rest := ticks/c.perSecond, ticks%c.perSecond
	if sec > uint64(lastSecond) {
		return time.Time{}
	}
	// Both terms are checked, so the sum cannot wrap.
	if c.offset < firstSecond-int64(sec) || c.offset > lastSecond-int64(sec) {
		return time.Time{}
	}
	hi, lo := bits.Mul64(rest, 1e9)
	ns, _ := bits.Div64(hi, lo, c.perSecond) // rest < perSecond, so hi < perSecond
	return time.Unix(int64(sec)+c.offset, int64(ns))
}
