// Package pcap reads the capture files that tcpdump and Wireshark write, and
// writes the simpler kind of them. It only moves frames: what is inside is the
// caller's business.
//
// [NewReader] takes classic pcap, of either byte order and with stamps of micro-
// or nanoseconds, and pcapng with any number of sections and interfaces. It
// reads forward, one packet at a time, so a pipe will do and a file may be
// larger than memory: no more than [MaxPacket] octets and a few are ever held.
// A file that was cut short yields every packet before the cut and then an error.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxPacket is the largest packet that is read or written, in octets. It is
// libpcap's own limit.
const MaxPacket = 256 << 10

// ErrFormat is what a file of another kind is refused with.
var ErrFormat = errors.New("pcap: neither a pcap nor a pcapng file")

// A LinkType says what the first octet of a packet belongs to.
type LinkType uint16

// The link types this module meets, numbered as in files. Three numbers never
// became portable: 12 and 14 are raw IP on one system and BSD loopback on
// another, and OpenBSD writes its own 18 where the registry says 246.
const (
	LinkNull      LinkType = 0 // BSD loopback, address family in the writer's byte order
	LinkEthernet  LinkType = 1
	LinkRaw12     LinkType = 12
	LinkRaw14     LinkType = 14
	LinkPfsync18  LinkType = 18
	LinkRaw       LinkType = 101 // IPv4 or IPv6
	LinkLoop      LinkType = 108 // OpenBSD loopback, address family in network byte order
	LinkLinuxSLL  LinkType = 113 // tcpdump -i any, version 1
	LinkIPv4      LinkType = 228
	LinkIPv6      LinkType = 229
	LinkPfsync    LinkType = 246
	LinkLinuxSLL2 LinkType = 276 // tcpdump -i any, version 2
)

// A Packet is one captured frame.
type Packet struct {
	Time     time.Time // zero if the file does not say or says nonsense
	LinkType LinkType
	Data     []byte // what was captured of it; overwritten by the next call of Next
	Length   uint32 // octets on the wire, more than len(Data) if the capture cut the packet
}

// A Reader reads the packets of one file in order.
type Reader struct {
	src source
	err error // what ended it
	n   int   // packets delivered
}

// A source is the format-specific half of a Reader.
type source interface {
	next() (Packet, error)
}

// NewReader reads the head of r and recognizes its format. It fails with
// [ErrFormat], with an error that matches [io.ErrUnexpectedEOF] if the head is
// incomplete, or with what r fails with.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	magic, err := b.Peek(4)
	switch {
	case err == io.EOF && len(magic) == 0:
		return nil, fmt.Errorf("pcap: empty file: %w", io.ErrUnexpectedEOF)
	case err == io.EOF:
		return nil, ErrFormat
	case err != nil:
		return nil, fmt.Errorf("pcap: %w", err)
	}
	var src source
	if binary.BigEndian.Uint32(magic) == blockSection {
		src, err = newNG(b)
	} else {
		src, err = newClassic(b)
	}
	if err != nil {
		return nil, err
	}
	return &Reader{src: src}, nil
}

// Next returns the next packet, or [io.EOF] after the last one. An error that
// matches [io.ErrUnexpectedEOF] says that the file was cut short. Every error is
// final.
func (r *Reader) Next() (Packet, error) {
	if r.err != nil {
		return Packet{}, r.err
	}
	p, err := r.src.next()
	switch {
	case err == io.EOF:
		r.err = io.EOF
	case err != nil:
		r.err = fmt.Errorf("pcap: after packet %d: %w", r.n, err)
	default:
		r.n++
		return p, nil
	}
	return Packet{}, r.err
}

// A stream reads exact amounts. The slice that take returns is reused.
type stream struct {
	r   io.Reader
	buf []byte
}

// take reads n octets, at most [MaxPacket] and a few. It fails with io.EOF only
// if there are none left.
func (s *stream) take(n int) ([]byte, error) {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	_, err := io.ReadFull(s.r, b)
	return b, err
}

// cut turns the end of the file into the error it is inside a record.
func cut(what string, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("file ends inside %s: %w", what, io.ErrUnexpectedEOF)
	}
	return err
}
