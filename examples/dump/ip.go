package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
)

// The IP protocols this program shows.
const (
	protoCARP   = carp.ProtocolNumber
	protoPfsync = 240
)

// An ip is what an IP header says, as far as it could be read.
type ip struct {
	src, dst netip.Addr
	ttl      *uint8
	proto    uint8
	payload  []byte
	err      error // the first thing that is wrong with the header
}

func (h *ip) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// ours reports whether this program shows the protocol.
func ours(proto uint8) bool { return proto == protoCARP || proto == protoPfsync }

// ipv4 reads an IPv4 packet. It reports false, and h is of no use, if b is not
// known to hold one of our protocols.
func (h *ip) ipv4(b []byte) bool {
	if len(b) < 10 || b[0]>>4 != 4 || !ours(b[9]) {
		return false
	}
	h.ttl, h.proto = &b[8], b[9]
	if len(b) < 20 {
		h.fail(fmt.Errorf("IPv4 header ends after %d octets", len(b)))
		return true
	}
	h.src, h.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	head, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case head < 20 || head > len(b):
		h.fail(fmt.Errorf("IPv4 header length of %d octets", head))
		return true
	case total < head:
		h.fail(fmt.Errorf("IPv4 length of %d octets", total))
		return true
	}
	// A checksum of zero is one that the sending host left to its hardware.
	if binary.BigEndian.Uint16(b[10:]) != 0 && inet.Checksum(b[:head]) != 0 {
		h.fail(errors.New("wrong IPv4 header checksum"))
	}
	frag := binary.BigEndian.Uint16(b[6:])
	h.take(b[head:], total-head, int(frag&0x1fff)*8, frag&0x2000 != 0)
	return true
}

// ipv6 is like ipv4, for IPv6.
func (h *ip) ipv6(b []byte) bool {
	const head = 40
	if len(b) < 8 || b[0]>>4 != 6 {
		return false
	}
	next := b[6]
	h.ttl = &b[7]
	if len(b) < head {
		h.proto = next
		h.fail(fmt.Errorf("IPv6 header ends after %d octets", len(b)))
		return ours(next)
	}
	h.src, h.dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	size := int(binary.BigEndian.Uint16(b[4:]))
	rest, offset, more := b[head:], 0, false
	for !ours(next) {
		skip := 8
		switch next {
		case 0, 43, 60: // hop-by-hop options, routing, destination options
			if len(rest) < 2 {
				return false
			}
			skip += int(rest[1]) * 8
		case 44: // fragment
			if len(rest) < 4 {
				return false
			}
			frag := binary.BigEndian.Uint16(rest[2:])
			offset, more = int(frag&^7), frag&1 != 0
		default:
			return false
		}
		if skip > len(rest) || skip > size {
			return false
		}
		next, rest, size = rest[0], rest[skip:], size-skip
	}
	h.proto = next
	h.take(rest, size, offset, more)
	return true
}

// take sets the payload to the first size octets of b, without the padding of
// the link behind them. What is the middle of a larger packet is none.
func (h *ip) take(b []byte, size, offset int, more bool) {
	if size > len(b) {
		h.fail(fmt.Errorf("only %d of %d octets are there", len(b), size))
		size = len(b)
	}
	switch {
	case offset > 0:
		h.fail(fmt.Errorf("fragment at offset %d", offset))
		return
	case more:
		h.fail(errors.New("first fragment only"))
	}
	h.payload = b[:size:size]
}
