package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The block types of pcapng that matter here. All others are skipped.
const (
	blockSection   = 0x0a0d0d0a // a palindrome: the same in either byte order
	blockInterface = 1
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d

	// maxBlock bounds the blocks that are held in memory: a packet of the
	// greatest size with options.
	maxBlock = MaxPacket + 64<<10

	// maxInterfaces bounds what a section may make us remember.
	maxInterfaces = 4096
)

// ng reads pcapng.
type ng struct {
	s      stream
	bo     binary.ByteOrder
	ifaces []iface // of the current section
}

// An iface is an interface description.
type iface struct {
	link    LinkType
	snaplen uint32 // 0: no limit
	clock   clock
}

func newNG(r io.Reader) (*ng, error) {
	g := &ng{s: stream{r: r}}
	if _, err := g.s.take(4); err != nil { // the type, which the caller has seen
		return nil, fmt.Errorf("pcap: %w", err)
	}
	if err := g.section(); err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return g, nil
}

// next reads blocks up to the next packet.
func (g *ng) next() (Packet, error) {
	for {
		b, err := g.s.take(4)
		if err == io.EOF {
			return Packet{}, io.EOF
		}
		if err != nil {
			return Packet{}, cut("a block header", err)
		}
		switch kind := g.bo.Uint32(b); kind {
		case blockSection:
			err = g.section()
		case blockInterface:
			if b, err = g.body(kind); err == nil {
				err = g.describe(b)
			}
		case blockEnhanced:
			if b, err = g.body(kind); err == nil {
				return g.enhanced(b)
			}
		case blockSimple:
			if b, err = g.body(kind); err == nil {
				return g.simple(b)
			}
		default:
			err = g.skip(kind)
		}
		if err != nil {
			return Packet{}, err
		}
	}
}

// section starts a section, the type of whose first block is read. Its length
// comes before the octets that tell how to read it.
func (g *ng) section() error {
	const fixed = 20 // length, byte order, version, section length
	b, err := g.s.take(fixed)
	if err != nil {
		return cut("a section header", err)
	}
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(b[4:]):
		g.bo = binary.LittleEndian
	case binary.BigEndian.Uint32(b[4:]):
		g.bo = binary.BigEndian
	default:
		return fmt.Errorf("section header without byte order: %w", ErrFormat)
	}
	if major := g.bo.Uint16(b[8:]); major != 1 {
		return fmt.Errorf("version %d of the pcapng format, 1 was expected", major)
	}
	g.ifaces = g.ifaces[:0]
	n := g.bo.Uint32(b)
	if err := checkLength(blockSection, n, 4+fixed+4); err != nil {
		return err
	}
	return g.finish(blockSection, n, n-(4+fixed)-4)
}

// body reads the rest of a block of which the type is read, and returns what is
// between its two lengths.
func (g *ng) body(kind uint32) ([]byte, error) {
	n, err := g.length(kind)
	if err != nil {
		return nil, err
	}
	if n > maxBlock {
		return nil, fmt.Errorf("block of %d octets, more than %d: damaged file", n, maxBlock)
	}
	b, err := g.s.take(int(n) - 8)
	if err != nil {
		return nil, cut("a block", err)
	}
	body := b[:len(b)-4]
	return body, checkTrailer(kind, n, g.bo.Uint32(b[len(body):]))
}

// skip reads past a block of which the type is read.
func (g *ng) skip(kind uint32) error {
	n, err := g.length(kind)
	if err != nil {
		return err
	}
	return g.finish(kind, n, n-12)
}

// finish discards what is left of a block of n octets and checks its end.
func (g *ng) finish(kind, n, left uint32) error {
	if _, err := io.CopyN(io.Discard, g.s.r, int64(left)); err != nil {
		return cut("a block", err)
	}
	b, err := g.s.take(4)
	if err != nil {
		return cut("a block", err)
	}
	return checkTrailer(kind, n, g.bo.Uint32(b))
}

// length reads and checks the length of a block.
func (g *ng) length(kind uint32) (uint32, error) {
	b, err := g.s.take(4)
	if err != nil {
		return 0, cut("a block header", err)
	}
	n := g.bo.Uint32(b)
	return n, checkLength(kind, n, 12)
}

func checkLength(kind, n, least uint32) error {
	if n < least || n%4 != 0 {
		return fmt.Errorf("block type %#x with a length of %d: damaged file", kind, n)
	}
	return nil
}

func checkTrailer(kind, head, tail uint32) error {
	if head != tail {
		return fmt.Errorf("block type %#x with lengths of %d and %d: damaged file", kind, head, tail)
	}
	return nil
}

var errShortBlock = errors.New("block shorter than its fields: damaged file")

// describe adds an interface.
func (g *ng) describe(b []byte) error {
	if len(b) < 8 {
		return errShortBlock
	}
	if len(g.ifaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces in a section", maxInterfaces)
	}
	c, err := parseClock(g.bo, b[8:])
	if err != nil {
		return err
	}
	g.ifaces = append(g.ifaces, iface{LinkType(g.bo.Uint16(b)), g.bo.Uint32(b[4:]), c})
	return nil
}

// enhanced reads a packet that names its interface.
func (g *ng) enhanced(b []byte) (Packet, error) {
	if len(b) < 20 {
		return Packet{}, errShortBlock
	}
	id, n := g.bo.Uint32(b), g.bo.Uint32(b[12:])
	if uint64(id) >= uint64(len(g.ifaces)) {
		return Packet{}, fmt.Errorf("packet of interface %d, which is not described", id)
	}
	if n > MaxPacket || int(n) > len(b)-20 {
		return Packet{}, errShortBlock
	}
	ifc := &g.ifaces[id]
	ticks := uint64(g.bo.Uint32(b[4:]))<<32 | uint64(g.bo.Uint32(b[8:]))
	return Packet{
		Time:     ifc.clock.time(ticks),
		LinkType: ifc.link,
		Data:     b[20 : 20+n : 20+n],
		Length:   g.bo.Uint32(b[16:]),
	}, nil
}

// simple reads a packet without a time stamp, of the first interface.
func (g *ng) simple(b []byte) (Packet, error) {
	if len(b) < 4 {
		return Packet{}, errShortBlock
	}
	if len(g.ifaces) == 0 {
		return Packet{}, errors.New("packet of interface 0, which is not described")
	}
	ifc := &g.ifaces[0]
	length := g.bo.Uint32(b)
	n := length
	if ifc.snaplen != 0 {
		n = min(n, ifc.snaplen)
	}
	if n > MaxPacket || int(n) > len(b)-4 {
		return Packet{}, errShortBlock
	}
	return Packet{LinkType: ifc.link, Data: b[4 : 4+n : 4+n], Length: length}, nil
}
