package pfsync

import "encoding/binary"

// A Writer makes frames. The methods that append a message open a section if the
// last message was of another action, and report false, having changed nothing,
// if the frame is full:
//
//	for !w.UpdC(&m) {
//		send(w.Bytes())
//		w.Reset(buf)
//	}
//
// It does not allocate while its buffer has room for a frame.
type Writer struct {
	// Checksum is what Bytes puts into the header. See [Frame].
	Checksum [16]byte

	traits *traits
	format Format
	limit  int // octets of the header and the messages

	buf    []byte
	action Action // of the open section
	sub    int    // where it begins
}

// NewWriter returns a Writer for frames that, with an IP header, are up to mtu
// octets long, by the reckoning of the kernel of d: FreeBSD 14 keeps room for an
// IPv6 header even without one. States are written in f, or the format that d
// prefers if it does not know f.
func NewWriter(d Dialect, f Format, mtu int) *Writer {
	t := d.traits()
	w := &Writer{traits: t, format: t.send, limit: min(mtu-t.base+headerLen, maxLen-subheaderLen)}
	for _, known := range t.formats {
		if f == known {
			w.format = f
		}
	}
	w.Reset(make([]byte, 0, max(w.limit, headerLen)+subheaderLen))
	return w
}

// Reset begins a new frame in the capacity of buf, which then belongs to w until
// the next Reset.
func (w *Writer) Reset(buf []byte) {
	var header [headerLen]byte
	w.buf = append(buf[:0], header[:]...)
	w.action = ActUnknown
}

// Empty reports whether the frame has no messages.
func (w *Writer) Empty() bool { return w.action == ActUnknown }

// Bytes completes the frame and returns it. It is valid until the next call of
// another method; appending may go on.
func (w *Writer) Bytes() []byte {
	b := w.buf
	if w.traits.eof {
		b = append(b, w.traits.number(ActEOF, 0), 0, 0, 1)
	}
	b[0] = w.traits.version
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[4:], w.Checksum[:])
	return b
}

// Ins appends a new state.
func (w *Writer) Ins(st *State) bool { return w.state(ActIns, st) }

// Upd appends a whole state.
func (w *Writer) Upd(st *State) bool { return w.state(ActUpd, st) }

// Del appends the deletion of a state as DEL, or as DEL_C where the kernels do
// not understand the former.
func (w *Writer) Del(st *State) bool {
	if !w.traits.fullDelete {
		return w.DelC(st.StateID)
	}
	return w.state(ActDel, st)
}

// UpdC appends what has changed of a state.
func (w *Writer) UpdC(m *UpdC) bool {
	b := w.message(ActUpdC, updCLen)
	if b == nil {
		return false
	}
	m.put(b)
	return true
}

// InsAck appends the receipt of an INS.
func (w *Writer) InsAck(id StateID) bool { return w.id(ActInsAck, id) }

// UpdReq appends a request for a state, or for all of them if id is zero.
func (w *Writer) UpdReq(id StateID) bool { return w.id(ActUpdReq, id) }

// DelC appends the deletion of a state.
func (w *Writer) DelC(id StateID) bool { return w.id(ActDelC, id) }

// Clr appends the deletion of all states of a creator.
func (w *Writer) Clr(m *Clr) bool {
	b := w.message(ActClr, clrLen)
	if b == nil {
		return false
	}
	m.put(b)
	return true
}

// Bus appends the start or the end of a bulk update.
func (w *Writer) Bus(m *Bus) bool {
	b := w.message(ActBus, busLen)
	if b == nil {
		return false
	}
	m.put(b)
	return true
}

// TDB appends the counters of a security association.
func (w *Writer) TDB(m *TDB) bool {
	b := w.message(ActTDB, w.traits.actions[w.traits.number(ActTDB, 0)].size)
	if b == nil {
		return false
	}
	m.put(b)
	return true
}

func (w *Writer) state(a Action, st *State) bool {
	b := w.message(a, w.format.Size())
	if b == nil {
		return false
	}
	st.put(w.format, b)
	return true
}

func (w *Writer) id(a Action, id StateID) bool {
	b := w.message(a, idLen)
	if b == nil {
		return false
	}
	id.put(b)
	return true
}

// message adds a message of size zeros to the frame and returns it, or nil if the
// frame is full.
func (w *Writer) message(a Action, size int) []byte {
	n := size
	if a != w.action {
		n += subheaderLen
	}
	off := len(w.buf)
	if off+n > w.limit {
		return nil
	}
	w.buf = extend(w.buf, n)
	if a != w.action {
		w.action, w.sub = a, off
		w.open(size)
	}
	count := w.buf[w.sub+2:]
	binary.BigEndian.PutUint16(count, binary.BigEndian.Uint16(count)+1)
	return w.buf[off+n-size:]
}

// open fills in the subheader of the open section.
func (w *Writer) open(size int) {
	format := w.format
	if w.action != ActIns && w.action != ActUpd && w.action != ActDel {
		format = 0
	}
	w.buf[w.sub] = w.traits.number(w.action, format)
	if w.traits.strides {
		w.buf[w.sub+1] = uint8(size / 4)
	}
}

// number is the one of an action on the wire.
func (t *traits) number(a Action, f Format) uint8 {
	for n := range t.actions {
		if t.actions[n].action == a && t.actions[n].format == f {
			return uint8(n)
		}
	}
	return 0
}
