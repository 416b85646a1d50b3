package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

//go:generate go run ./luagen

// A pfsyncRecord is a pfsync packet: its header and its sections, as far as they
// are there.
type pfsyncRecord struct {
	envelope
	Version  *uint8    `json:"version,omitempty"`
	Len      *uint16   `json:"len,omitempty"`     // octets, as the packet itself says
	Dialect  string    `json:"dialect,omitempty"` // openbsd or freebsd, by the version
	Checksum string    `json:"pfcksum,omitempty"` // of the sender's ruleset; OpenBSD: zeros
	Sections []section `json:"sections"`
	Error    string    `json:"error,omitempty"`
}

// A section is a run of messages of one action.
type section struct {
	Action   string    `json:"action"`
	Count    int       `json:"count"`    // of messages, as the packet says
	Messages []message `json:"messages"` // those that are there and known
}

// A message is JSON by its field tags, or text.
type message interface {
	text(verbose bool) string // lines, the last one without its end
}

// decodePfsync reads the payload of f.
func (d *decoder) decodePfsync(at time.Time, f *frame) *pfsyncRecord {
	b := f.payload
	r := &pfsyncRecord{envelope: newEnvelope("pfsync", at, f), Version: octet(b, 0)}
	if r.Version != nil {
		r.Dialect = versions[*r.Version]
	}
	if len(b) >= 4 {
		n := binary.BigEndian.Uint16(b[2:])
		r.Len = &n
	}
	if len(b) >= pfsyncHeaderLen {
		r.Checksum = hex.EncodeToString(b[4:pfsyncHeaderLen])
	}
	var err error
	r.Sections, err = readPfsync(d.dialect, b)
	r.Error = firstOf(f.err, err)
	return r
}

func (r *pfsyncRecord) reason() string { return r.Error }

// text is the first line of OpenBSD's tcpdump.
func (r *pfsyncRecord) text(bool) string {
	s := "PFSYNC"
	if r.Version != nil {
		s += fmt.Sprintf("v%d", *r.Version)
	}
	if r.Len != nil {
		s += fmt.Sprintf(" len %d", *r.Len)
	}
	if r.TTL != nil && *r.TTL != 255 {
		s += fmt.Sprintf(" [ttl=%d!]", *r.TTL)
	}
	return s
}

// details are the lines below it.
func (r *pfsyncRecord) details(verbose bool) string {
	var b strings.Builder
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "    act %s count %d\n", tcpdumpName(s.Action), s.Count)
		for _, m := range s.Messages {
			b.WriteString("\t" + strings.ReplaceAll(m.text(verbose), "\n", "\n\t") + "\n")
		}
	}
	return b.String()
}
