package pfsync

import "time"

// A queue is what message about a state waits to be sent. There is at most one.
type queue uint8

const (
	qNone queue = iota
	qInsAck
	qUpdC
	qDelC
	qIns
	qUpd
	numQueues
)

// A slice is a frame being collected.
type slice struct {
	queues   [numQueues]list
	requests []StateID     // UPD_REQ, where they join a frame
	size     int           // of the packet, if it were written now
	due      time.Duration // flush it then
	pushed   bool          // or as soon as slices are flushed
}

// A list is a queue of entries.
type list struct{ head, tail *entry }

// slice is the one that a state belongs to.
func (s *Session) slice(id StateID) *slice {
	return &s.slices[id.ID%uint64(len(s.slices))]
}

// enqueue puts e, which is in no queue, at the end of one.
func (s *Session) enqueue(e *entry, q queue) *slice {
	sl := s.slice(e.id)
	s.room(sl, s.sizes[q], sl.queues[q].head == nil)
	l := &sl.queues[q]
	e.queue, e.updates, e.prev, e.next = q, 0, l.tail, nil
	if l.tail != nil {
		l.tail.next = e
	} else {
		l.head = e
	}
	l.tail = e
	if sl.due == 0 {
		sl.due = s.clock + s.cfg.Flush
	}
	return sl
}

// room reserves size octets, and those of a subheader if the message is the first
// of its section. A frame that is full is closed, and a new one begun.
func (s *Session) room(sl *slice, size int, first bool) {
	n := size
	if first {
		n += subheaderLen
	}
	if sl.size+n > s.cfg.MTU {
		s.flush(sl, nil)
		n = size + subheaderLen
	}
	sl.size += n
}

// dequeue takes e out of its queue.
func (s *Session) dequeue(e *entry) {
	if e.queue == qNone {
		return
	}
	sl := s.slice(e.id)
	l := &sl.queues[e.queue]
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.tail = e.prev
	}
	sl.size -= s.sizes[e.queue]
	if l.head == nil {
		sl.size -= subheaderLen
	}
	if sl.size == s.base {
		sl.due = 0
	}
	e.queue, e.prev, e.next = qNone, nil, nil
}

// requeue moves e to another queue.
func (s *Session) requeue(e *entry, q queue) *slice {
	s.dequeue(e)
	return s.enqueue(e, q)
}

// push has sl flushed at the end of the step.
func (s *Session) push(sl *slice) { sl.pushed, s.kick = true, true }

// pushAll has all slices flushed.
func (s *Session) pushAll() {
	for i := range s.slices {
		s.push(&s.slices[i])
	}
}

// flushPushed writes the slices that wait for that.
func (s *Session) flushPushed() {
	if !s.kick {
		return
	}
	s.kick = false
	for i := range s.slices {
		if sl := &s.slices[i]; sl.pushed {
			s.flush(sl, nil)
		}
	}
}

// flush writes a slice, with something behind it unless tail is nil.
func (s *Session) flush(sl *slice, tail func(*Writer) bool) {
	sl.pushed, sl.due = false, 0
	if sl.size == s.base && tail == nil {
		return
	}
	s.beginFrame()
	for _, q := range s.habits.order {
		e := sl.queues[q].head
		sl.queues[q] = list{}
		for e != nil {
			next := e.next
			if !s.write(e) {
				s.endFrame()
				s.beginFrame()
				s.write(e)
			}
			if e.queue == qDelC {
				s.touched.forget(e.id)
			}
			e.queue, e.prev, e.next = qNone, nil, nil
			s.entries.settle(e)
			e = next
		}
	}
	for _, id := range sl.requests {
		s.count(ActUpdReq, s.w.UpdReq(id))
	}
	sl.requests, sl.size = sl.requests[:0], s.base
	if tail != nil && !tail(s.w) {
		s.endFrame()
		s.beginFrame()
		tail(s.w)
	}
	s.endFrame()
}

// write appends the message that e waits for to the frame, as the table has the
// state now, and nothing if it is gone or hidden. It reports whether there was room.
func (s *Session) write(e *entry) bool {
	switch e.queue {
	case qInsAck:
		return s.count(ActInsAck, s.w.InsAck(e.id))
	case qDelC:
		return s.count(ActDelC, s.w.DelC(e.id))
	}
	st := &s.out
	if !s.store.Get(s.now, e.id, st) || s.hidden(st) {
		return true
	}
	switch e.queue {
	case qUpdC:
		s.updC = UpdC{StateID: st.StateID, Src: st.Src, Dst: st.Dst, Timeout: st.Timeout}
		return s.count(ActUpdC, s.w.UpdC(&s.updC))
	case qIns:
		st.Flags &^= FlagAck
		if e.deferred {
			st.Flags |= FlagAck
		}
		return s.count(ActIns, s.w.Ins(st))
	}
	return s.writeUpd(st)
}

// writeUpd appends a whole state to the frame.
func (s *Session) writeUpd(st *State) bool {
	st.Flags &^= FlagAck
	return s.count(ActUpd, s.w.Upd(st))
}

// hidden reports whether a state is not to be announced.
func (s *Session) hidden(st *State) bool {
	switch {
	case st.Proto == ProtocolNumber:
		return true
	case s.cfg.Filter != nil:
		return !s.cfg.Filter(st)
	}
	return st.Flags&FlagNoSync != 0
}

// beginFrame and endFrame enclose the writing of one.
func (s *Session) beginFrame() {
	n := len(s.frames)
	if n == len(s.bufs) {
		s.bufs = append(s.bufs, make([]byte, 0, s.cfg.MTU))
	}
	s.w.Reset(s.bufs[n])
}

func (s *Session) endFrame() {
	if s.w.Empty() {
		return
	}
	b := s.w.Bytes()
	s.bufs[len(s.frames)] = b
	s.frames = append(s.frames, b)
	s.stats.OutPackets++
	if s.cfg.Dialect.traits().eof {
		s.stats.OutActions[ActEOF]++
	}
}

// count counts a message if it was written.
func (s *Session) count(a Action, written bool) bool {
	if written {
		s.stats.OutActions[a]++
	}
	return written
}
