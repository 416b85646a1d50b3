package pfsync

import (
	"encoding/binary"
	"iter"
)

const (
	headerLen    = 20
	subheaderLen = 4
	maxLen       = 1<<16 - 1 // what the length field can say
)

// A Frame is a pfsync packet without its IP header:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---------------+---------------+-------------------------------+
//	|  Version 5|6  |       0       |  Len, from here to the end    |
//	+---------------+---------------+-------------------------------+
//	|                     Checksum (128 bits)                       |
//	+---------------+---------------+-------------------------------+
//	|    Action     | size/4, BSD 0 |            Count              |
//	+---------------+---------------+-------------------------------+
//	|  Count messages, then the next section of action and messages |
//
// OpenBSD says how long each message is, in units of 4 octets; FreeBSD does not,
// and its sections follow each other without regard for alignment.
type Frame struct {
	Dialect  Dialect
	Version  uint8
	Len      uint16
	Checksum [16]byte // FreeBSD: MD5 of the sender's ruleset. OpenBSD: zeros, ignored

	// Bad is the section that Parse failed on, as its subheader has it, without
	// messages: with ErrAction, and with ErrLen if its Count is not 0.
	Bad Section

	body []byte // the sections that were found good
}

// Parse checks a frame, all lengths and counts in it, as the kernel of d does.
// After that, iterating cannot fail. The frame refers to b.
//
// It fails with [ErrShort], [ErrVersion], [ErrLen] or [ErrAction]. After one of
// the last two the frame has the sections before the failure, which are to be
// handled: the kernels have done so when they find it.
//
// OpenBSD steps over messages that are shorter than it knows and over actions
// that it does not know or know any more, as [ActUnknown], and reads the beginning
// of messages that are longer. FreeBSD reads messages beyond Len as long as there
// is data, and takes Len only for where the last section may begin. EOF is its last
// section; data behind that is an ErrLen.
func Parse(d Dialect, b []byte) (Frame, error) {
	f := Frame{Dialect: d}
	if len(b) < headerLen {
		return f, ErrShort
	}
	f.Version, f.Len, f.Checksum = b[0], binary.BigEndian.Uint16(b[2:]), [16]byte(b[4:])
	t := d.traits()
	switch end := int(f.Len); {
	case f.Version != t.version:
		return f, ErrVersion
	case end > len(b):
		return f, ErrLen
	case t.strides && end < headerLen:
		return f, ErrLen
	case t.strides:
		b = b[:end]
	}
	off := headerLen
	for off+subheaderLen <= int(f.Len) {
		s, end, err := d.section(b, off)
		if err != nil {
			f.Bad, f.body = s, b[headerLen:off]
			return f, err
		}
		off = end
		if s.Action == ActEOF {
			f.body = b[headerLen:off]
			if off != len(b) {
				return f, ErrLen
			}
			return f, nil
		}
	}
	f.body = b[headerLen:off]
	return f, nil
}

// Sections iterates over the sections of f in order, EOF included.
func (f *Frame) Sections() iter.Seq[Section] {
	return func(yield func(Section) bool) {
		for off := 0; off < len(f.body); {
			s, end, _ := f.Dialect.section(f.body, off) // it was checked
			if !yield(s) {
				return
			}
			off = end
		}
	}
}

// A Section is a run of messages of one action.
type Section struct {
	Number uint8  // the action on the wire
	Action Action // ActUnknown: to be skipped
	Format Format // of the states, if there are any
	Count  int    // of messages
	Size   int    // octets of a message on the wire, perhaps more than are known

	dialect Dialect
	body    []byte
}

// section reads the section at off, where there are octets for its subheader, and
// returns where it ends. With an error it has no messages.
func (d Dialect) section(b []byte, off int) (s Section, end int, err error) {
	t := d.traits()
	s = Section{Number: b[off], Count: int(binary.BigEndian.Uint16(b[off+2:])), dialect: d}
	var a wireAction
	numbered := int(s.Number) < len(t.actions)
	if numbered {
		a = t.actions[s.Number]
	}
	s.Action, s.Format, s.Size = a.action, a.format, a.size
	skip := false
	if t.strides {
		s.Size = int(b[off+1]) * 4
		if skip = !numbered || s.Size < a.size; skip {
			s.Action, s.Format = ActUnknown, 0
			if s.Size == 0 || s.Count == 0 {
				return s, 0, ErrAction
			}
		}
	} else if a.action == ActUnknown || a.action == ActDel && !t.fullDelete {
		return s, 0, ErrAction
	}
	off += subheaderLen
	end = off + s.Size*s.Count
	if end > len(b) {
		if !skip {
			return s, 0, ErrLen
		}
		end = len(b) // the kernel steps over the end, and that is it
	}
	s.body = b[off:end]
	return s, end, nil
}

// Name is what the sender's system calls the action: as [Action.String] has it,
// but "INS_1301" and the like for states from FreeBSD 14 on, "OINS" and the like
// for what is dead, "UNKNOWN" for numbers that it does not have.
func (s Section) Name() string {
	t := s.dialect.traits()
	switch {
	case int(s.Number) >= len(t.actions):
		return ActUnknown.String()
	case len(t.formats) == 1 && s.Action != ActUnknown:
		return s.Action.String()
	}
	return t.actions[s.Number].name
}

// Messages iterates over the messages of s, each of Size octets.
func (s Section) Messages() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.Size == 0 {
			return
		}
		for i := 0; i+s.Size <= len(s.body); i += s.Size {
			if !yield(s.body[i : i+s.Size : i+s.Size]) {
				return
			}
		}
	}
}
