package main

import (
	"net/netip"
	"time"
)

// A stream is one end of a TCP connection on which both sides send a short segment
// every 20 ms, as somebody does who types while something else is printed. A segment
// that is not acknowledged is sent again, later and later; the next one waits for
// that. Nobody closes it.
type stream struct {
	h             *host
	local, remote netip.AddrPort
	state         streamState
	hello         uint8  // the flags to open it with
	next          uint32 // sequence number of what is sent next
	acked         uint32 // all before it has arrived
	expect        uint32 // sequence number of what comes next
	sentAt        time.Time
	wait          time.Duration // before it is sent again

	gone, came time.Time // when something was last acknowledged, and received
}

type streamState uint8

const (
	streamClosed streamState = iota
	streamOpening
	streamOpen
	streamReset
)

const (
	streamInterval = 20 * time.Millisecond
	streamSegment  = 64 // octets
	streamWindow   = 0xffff
	retryMin       = 200 * time.Millisecond
	retryMax       = time.Second
)

// open sends the SYN.
func (s *stream) open() {
	s.state = streamOpening
	s.next = s.h.w.net.Rand().Uint32()
	s.acked, s.hello = s.next, flagSYN
	s.transmit(s.hello, nil)
}

// tick is called every 20 ms.
func (s *stream) tick() {
	switch outstanding := s.next != s.acked; {
	case outstanding && s.h.w.net.Now().Before(s.sentAt.Add(s.wait)):
	case outstanding:
		wait := min(2*s.wait, retryMax)
		s.next = s.acked
		if s.state == streamOpening {
			s.transmit(s.hello, nil)
		} else {
			s.transmit(flagACK, make([]byte, streamSegment))
		}
		s.wait = wait
	case s.state == streamOpen:
		s.transmit(flagACK, make([]byte, streamSegment))
	}
}

// transmit sends what moves the sequence number, and so is to be acknowledged.
func (s *stream) transmit(flags uint8, data []byte) {
	s.sentAt, s.wait = s.h.w.net.Now(), retryMin
	p := s.segment(flags, data)
	s.next += p.length()
	s.h.send(p)
}

// segment is one with the next number.
func (s *stream) segment(flags uint8, data []byte) packet {
	return packet{proto: protoTCP, src: s.local, dst: s.remote,
		seq: s.next, ack: s.expect, flags: flags, window: streamWindow, data: data}
}

// receive takes in a segment.
func (s *stream) receive(p *packet) {
	switch {
	case p.flags&flagRST != 0:
		s.reset()
		return
	case p.flags&flagSYN != 0:
		s.accept(p)
		return
	case s.state != streamOpening && s.state != streamOpen:
		return
	}
	now := s.h.w.net.Now()
	if p.ack == s.next && s.acked != s.next {
		s.state, s.acked, s.gone = streamOpen, s.next, now
	}
	if len(p.data) == 0 || s.state != streamOpen {
		return
	}
	if p.seq == s.expect {
		s.expect += p.length()
		s.came = now
	}
	s.h.send(s.segment(flagACK, nil))
}

// accept takes in a SYN, the client's or the server's answer to it.
func (s *stream) accept(p *packet) {
	switch {
	case p.flags&flagACK == 0 && s.state != streamOpen: // we are the server
		s.remote, s.expect = p.src, p.seq+1
		if s.state == streamClosed {
			s.acked = s.h.w.net.Rand().Uint32()
		}
		s.state, s.next, s.hello = streamOpening, s.acked, flagSYN|flagACK
		s.transmit(s.hello, nil)
	case p.flags&flagACK != 0 && s.state == streamOpening && p.ack == s.next:
		s.state, s.acked, s.expect = streamOpen, s.next, p.seq+1
		s.h.send(s.segment(flagACK, nil))
		s.record("connected to " + s.remote.String())
	}
}

// reset is the end of it: nobody opens it again.
func (s *stream) reset() {
	if s.state == streamReset {
		return
	}
	s.state = streamReset
	s.record("reset: no state for it at " + s.h.w.owner(s.h.next))
}

// alive reports whether it goes on in both directions.
func (s *stream) alive(at time.Time) bool {
	since := at.Add(-time.Second)
	return s.state == streamOpen && s.gone.After(since) && s.came.After(since)
}

func (s *stream) record(text string) {
	s.h.w.record(event{Kind: kindSession, Node: s.h.name, Text: text})
}
