package pcap

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// A Writer writes classic pcap with nanosecond stamps, little-endian. Each
// packet is one Write of the underlying writer: give it a file and nothing is
// lost when the program dies.
type Writer struct {
	w    io.Writer
	link LinkType
	buf  []byte
}

// NewWriter writes the file header. All packets of a file have one link type.
func NewWriter(w io.Writer, link LinkType) (*Writer, error) {
	b := binary.LittleEndian.AppendUint32(nil, magicNano)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, MaxPacket)
	b = binary.LittleEndian.AppendUint32(b, uint32(link))
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return &Writer{w: w, link: link}, nil
}

// Write appends p. It refuses, and writes nothing of, a packet that the format
// cannot hold: of another link type, over [MaxPacket] octets, or from before
// 1970 or after 2105. A zero time is written as 1970.
func (w *Writer) Write(p Packet) error {
	var sec, ns int64
	if !p.Time.IsZero() {
		sec, ns = p.Time.Unix(), int64(p.Time.Nanosecond())
	}
	switch {
	case p.LinkType != w.link:
		return fmt.Errorf("pcap: packet of link type %d, the file is of type %d", p.LinkType, w.link)
	case len(p.Data) > MaxPacket:
		return fmt.Errorf("pcap: packet of %d octets, more than %d", len(p.Data), MaxPacket)
	case sec < 0 || sec > math.MaxUint32:
		return fmt.Errorf("pcap: %v does not fit a 32-bit time stamp", p.Time)
	}
	b := binary.LittleEndian.AppendUint32(w.buf[:0], uint32(sec))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
	b = binary.LittleEndian.AppendUint32(b, max(p.Length, uint32(len(p.Data))))
	w.buf = append(b, p.Data...)
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("pcap: %w", err)
	}
	return nil
}
