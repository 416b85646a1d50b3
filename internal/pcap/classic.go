package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The magic numbers of classic pcap, in the writer's byte order.
const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d
)

const (
	fileHeaderLen   = 24 // magic, major, minor, 2 unused words, snaplen, link type
	recordHeaderLen = 16 // seconds, fraction, captured length, wire length
)

// classic reads pcap.
type classic struct {
	s    stream
	bo   binary.ByteOrder
	tick time.Duration // unit of the fraction of a second
	link LinkType
}

func newClassic(r io.Reader) (*classic, error) {
	c := &classic{s: stream{r: r}}
	b, err := c.s.take(fileHeaderLen)
	if !c.recognize(b) {
		return nil, ErrFormat
	}
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", cut("the file header", err))
	}
	if major := c.bo.Uint16(b[4:]); major != 2 {
		return nil, fmt.Errorf("pcap: version %d of the format, 2 was expected", major)
	}
	// The upper half of the word tells of frame check sequences, which follow
	// the data and harm nobody here.
	c.link = LinkType(c.bo.Uint32(b[20:]))
	return c, nil
}

// recognize sets byte order and time unit by the magic number.
func (c *classic) recognize(b []byte) bool {
	for _, bo := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch bo.Uint32(b) {
		case magicMicro:
			c.bo, c.tick = bo, time.Microsecond
			return true
		case magicNano:
			c.bo, c.tick = bo, time.Nanosecond
			return true
		}
	}
	return false
}

func (c *classic) next() (Packet, error) {
	b, err := c.s.take(recordHeaderLen)
	if err == io.EOF {
		return Packet{}, io.EOF
	}
	if err != nil {
		return Packet{}, cut("a packet header", err)
	}
	p := Packet{
		Time:     time.Unix(int64(c.bo.Uint32(b)), int64(c.bo.Uint32(b[4:]))*int64(c.tick)),
		LinkType: c.link,
		Length:   c.bo.Uint32(b[12:]),
	}
	n := c.bo.Uint32(b[8:])
	if n > MaxPacket {
		return Packet{}, fmt.Errorf("packet of %d octets, more than %d: damaged file", n, MaxPacket)
	}
	if p.Data, err = c.s.take(int(n)); err != nil {
		return Packet{}, cut("a packet", err)
	}
	return p, nil
}
