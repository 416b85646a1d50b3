package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A pfsyncRecord is the head of a pfsync packet.
type pfsyncRecord struct {
	envelope
	Version *uint8  `json:"version,omitempty"`
	Len     *uint16 `json:"len,omitempty"` // octets, as the packet itself says
	Error   string  `json:"error,omitempty"`
}

// pfsyncHeaderLen is version, pad, length and 16 octets of ruleset checksum.
const pfsyncHeaderLen = 20

func decodePfsync(at time.Time, f *frame) *pfsyncRecord {
	b := f.payload
	r := &pfsyncRecord{envelope: newEnvelope("pfsync", at, f), Version: octet(b, 0)}
	if len(b) >= 4 {
		n := binary.BigEndian.Uint16(b[2:])
		r.Len = &n
	}
	r.Error = firstOf(f.err, checkPfsync(b))
	return r
}

// checkPfsync says why b has not the head of a pfsync packet.
func checkPfsync(b []byte) error {
	if len(b) < pfsyncHeaderLen {
		return errors.New("packet shorter than 20 octets")
	}
	switch n := int(binary.BigEndian.Uint16(b[2:])); {
	case n < pfsyncHeaderLen:
		return fmt.Errorf("length of %d, shorter than its header", n)
	case n > len(b):
		return fmt.Errorf("length of %d in a packet of %d octets", n, len(b))
	}
	return nil
}

func (r *pfsyncRecord) reason() string { return r.Error }

func (r *pfsyncRecord) text(bool) string {
	s := "PFSYNC"
	if r.Version != nil {
		s += fmt.Sprintf("v%d", *r.Version)
	}
	if r.Len != nil {
		s += fmt.Sprintf(" len %d", *r.Len)
	}
	return s
}
