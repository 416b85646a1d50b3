package pfsync

import "time"

// A responder sends the whole table to peers that ask for it: a BUS start, all
// states as UPD, a BUS end. There is one answer at a time.
type responder struct {
	running bool
	again   bool          // somebody has asked meanwhile
	opened  bool          // BUS start is out
	began   time.Duration // when the request came
	next    time.Duration // when to go on, or to begin again
	rest    time.Duration // begin no other answer before then
	cursor  Cursor
	buf     []State // as many as a frame holds
}

// maxScan is how many states are looked at for a frame at most, if many of them
// are not to be sent.
const maxScan = 512

// answer begins an answer, or makes a note of it.
func (s *Session) answer() {
	a := &s.ans
	held := a.running || s.clock < a.rest
	switch {
	case s.cfg.KernelExact && a.running && !s.habits.joins: // OpenBSD does not begin again
	case s.cfg.KernelExact || !held:
		s.beginAnswer()
	default:
		s.stats.BulkHeld++
		if a.again = true; !a.running {
			a.next = a.rest
		}
	}
}

func (s *Session) beginAnswer() {
	a := &s.ans
	if a.buf == nil {
		a.buf = make([]State, s.perFrame(0))
	}
	*a = responder{running: true, began: s.clock, buf: a.buf}
	if s.oneByOne() {
		a.opened, a.next = true, s.clock+s.pause()
		s.sendNow(s.bus(BusStart))
		return
	}
	s.answerBurst()
}

// oneByOne reports whether states go into frames of their own, and so does BUS,
// which is all that FreeBSD 12 was seen to do.
func (s *Session) oneByOne() bool { return s.cfg.KernelExact && s.habits.joins }

// pause is the time between two frames.
func (s *Session) pause() time.Duration { return max(s.cfg.Bulk.Interval, 0) }

// perFrame is how many states fit into a frame behind that many octets.
func (s *Session) perFrame(octets int) int {
	return (s.cfg.MTU - s.base - octets - subheaderLen) / s.sizes[qUpd]
}

// answerTimer goes on with an answer, or begins one that had to wait.
func (s *Session) answerTimer() {
	switch a := &s.ans; {
	case !s.due(a.next):
	case a.running:
		s.answerBurst()
	default:
		s.beginAnswer()
	}
}

// answerBurst sends the next frames.
func (s *Session) answerBurst() {
	for range s.cfg.Bulk.Burst {
		if s.answerFrame() {
			s.answered()
			return
		}
	}
	s.ans.next = s.clock + s.pause()
}

// answerFrame sends the next frame, and reports whether it was the last. A receiver
// looks at the first message of a BUS section only: start and end must not be in one.
func (s *Session) answerFrame() bool {
	a := &s.ans
	s.beginFrame()
	room := s.perFrame(0)
	if !a.opened {
		a.opened = true
		if !s.cfg.KernelExact || s.store.Len() > 0 {
			s.bus(BusStart)(s.w)
			room = s.perFrame(subheaderLen + busLen)
		}
	}
	if s.oneByOne() {
		room = 1
	}
	states, last := s.answerStates(room)
	end := s.bus(BusEnd)
	switch {
	case !last:
	case s.oneByOne():
		s.endFrame()
		s.sendNow(end)
		return true
	case states == 0 || !end(s.w):
		s.endFrame()
		s.beginFrame()
		end(s.w)
	}
	s.endFrame()
	return last
}

// answerStates adds up to n states to the frame. It returns how many it has added,
// and whether there are no more.
func (s *Session) answerStates(n int) (added int, last bool) {
	a := &s.ans
	for seen := 0; added < n && seen < maxScan; {
		k, next := s.store.Scan(s.now, a.cursor, a.buf[:n-added])
		for i := range k {
			if st := &a.buf[i]; s.answers(st) && s.writeUpd(st) {
				added++
			}
		}
		a.cursor = next
		if next == 0 {
			return added, true
		}
		seen += max(k, 1)
	}
	return added, false
}

// answers reports whether st belongs into an answer. FreeBSD leaves out what waits
// to be sent whole: it is on its way anyhow, but may come after the BUS end, which
// says that the peer has everything.
func (s *Session) answers(st *State) bool {
	switch {
	case s.cfg.KernelExact && !s.habits.joins:
		return true
	case s.hidden(st):
		return false
	case !s.cfg.KernelExact:
		return true
	}
	e := s.entries.find(st.StateID)
	return (e == nil || e.queue == qNone) && s.touched.at(st.StateID) <= s.ans.began
}

// answered ends an answer.
func (s *Session) answered() {
	a := &s.ans
	s.stats.BulkSent++
	a.running, a.next = false, 0
	a.rest = a.began + s.cfg.Bulk.MinInterval
	if s.cfg.Bulk.Interval < 0 {
		a.rest = max(a.rest, s.clock+(s.clock-a.began))
	}
	if a.again {
		a.next = max(a.rest, s.clock+s.pause())
	}
}

// bus is what writes a BUS.
func (s *Session) bus(status uint8) func(*Writer) bool {
	m := Bus{CreatorID: s.cfg.HostID, Status: status}
	if s.habits.endTime && status == BusEnd {
		m.EndTime = uint32((s.clock - s.ans.began) / time.Second)
	}
	return func(w *Writer) bool { return s.count(ActBus, w.Bus(&m)) }
}
