package pcap

import (
	"encoding/binary"
	"io"
	"testing"
	"time"
)

// byteOrder is what the builders need of either order.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// classicFile is a pcap file with the magic number and packets of one second
// and one tick each.
func classicFile(bo byteOrder, magic uint32, link LinkType, packets ...string) []byte {
	b := bo.AppendUint32(nil, magic)
	b = bo.AppendUint16(b, 2)
	b = bo.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = bo.AppendUint32(b, 65535)
	b = bo.AppendUint32(b, uint32(link))
	for _, p := range packets {
		b = bo.AppendUint32(b, 1700000000)
		b = bo.AppendUint32(b, 1)
		b = bo.AppendUint32(b, uint32(len(p)))
		b = bo.AppendUint32(b, uint32(len(p)+4))
		b = append(b, p...)
	}
	return b
}

// block is a pcapng block.
func block(bo byteOrder, kind uint32, body []byte) []byte {
	body = append(body[:len(body):len(body)], make([]byte, -len(body)&3)...)
	n := uint32(len(body) + 12)
	b := bo.AppendUint32(nil, kind)
	b = bo.AppendUint32(b, n)
	b = append(b, body...)
	return bo.AppendUint32(b, n)
}

func sectionBlock(bo byteOrder) []byte {
	b := bo.AppendUint32(nil, byteOrderMagic)
	b = bo.AppendUint16(b, 1)
	b = bo.AppendUint16(b, 0)
	b = bo.AppendUint64(b, ^uint64(0))
	b = append(b, option(bo, 4, "a program")...)
	return block(bo, blockSection, b)
}

func interfaceBlock(bo byteOrder, link LinkType, snaplen uint32, options ...[]byte) []byte {
	b := bo.AppendUint16(nil, uint16(link))
	b = bo.AppendUint16(b, 0)
	b = bo.AppendUint32(b, snaplen)
	for _, o := range options {
		b = append(b, o...)
	}
	return block(bo, blockInterface, b)
}

func option(bo byteOrder, kind uint16, value string) []byte {
	b := bo.AppendUint16(nil, kind)
	b = bo.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func enhancedBlock(bo byteOrder, id uint32, ticks uint64, data string) []byte {
	b := bo.AppendUint32(nil, id)
	b = bo.AppendUint32(b, uint32(ticks>>32))
	b = bo.AppendUint32(b, uint32(ticks))
	b = bo.AppendUint32(b, uint32(len(data)))
	b = bo.AppendUint32(b, uint32(len(data)+4))
	b = append(b, data...)
	b = append(b, make([]byte, -len(data)&3)...)
	return block(bo, blockEnhanced, append(b, option(bo, 1, "comment")...))
}

func simpleBlock(bo byteOrder, length uint32, data string) []byte {
	return block(bo, blockSimple, append(bo.AppendUint32(nil, length), data...))
}

// A got is a Packet whose data stays.
type got struct {
	Time   time.Time
	Link   LinkType
	Data   string
	Length uint32
}

// readAll returns every packet and what ended the file, nil for io.EOF.
func readAll(t *testing.T, r io.Reader) ([]got, error) {
	t.Helper()
	pr, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	var all []got
	for {
		p, err := pr.Next()
		if err != nil {
			if _, again := pr.Next(); again != err {
				t.Errorf("the end is %v, then %v; errors are final", err, again)
			}
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		if !p.Time.IsZero() {
			p.Time = p.Time.UTC()
		}
		all = append(all, got{p.Time, p.LinkType, string(p.Data), p.Length})
	}
}
