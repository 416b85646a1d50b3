package pfsync

// What happens to a state here moves it between the queues:
//
//	            none     INS       UPD_C    UPD     INS_ACK   DEL_C
//	insert      INS      -         INS (1)  -       -         -
//	update      UPD_C    - (2)     count    count   UPD_C     -
//	asked for   UPD      -         UPD      -       UPD       -
//	delete      DEL_C    forget    DEL_C    DEL_C   DEL_C     -
//
// (1) OpenBSD. (2) FreeBSD: count. A count that reaches MaxUpd, an update soon
// after one by a peer, a state asked for and INS_ACK flush the slice.

// inserted takes note of a new state (pfsync_insert_state).
func (s *Session) inserted(id StateID, st *State) {
	gone := false
	if st != nil {
		id = st.StateID
	} else if s.cfg.Defer || s.cfg.Filter != nil { // else it is enough to look when its message is written
		st = &s.out
		gone = !s.store.Get(s.now, id, st)
	}
	hold := false
	if s.up && !gone && (st == nil || !s.hidden(st)) {
		e := s.entries.get(id)
		switch {
		case e.deferred:
			return
		case e.queue == qNone || e.queue == qUpdC && s.habits.insWins:
			hold = s.deferrable(st)
			sl := s.requeue(e, qIns)
			if hold {
				s.hold(e)
				s.push(sl)
			}
		}
	}
	if s.cfg.Defer && !hold {
		s.release = append(s.release, id)
	}
}

// updated takes note of a change (pfsync_update_state).
func (s *Session) updated(id StateID, proto uint8) {
	if !s.up {
		return
	}
	e := s.entries.get(id)
	if e.deferred && s.habits.deferLocal {
		s.undefer(e, false)
	}
	sl := s.slice(id)
	switch e.queue {
	case qNone, qInsAck:
		s.requeue(e, qUpdC)
	case qUpd, qUpdC:
		s.collapse(sl, e, proto)
	case qIns:
		if s.habits.insCounts {
			s.collapse(sl, e, proto)
		}
	case qDelC:
		return
	}
	if at := s.touched.at(id); at != 0 && s.clock-at < touchedFor {
		s.push(sl)
	}
}

// collapse counts an update that makes no message of its own.
func (s *Session) collapse(sl *slice, e *entry, proto uint8) {
	if proto != protoTCP {
		return
	}
	e.updates++
	if e.updates >= *s.cfg.MaxUpd {
		s.push(sl)
	}
}

// deleted takes note of a removal (pfsync_delete_state). A state that nobody has
// heard of yet is forgotten.
func (s *Session) deleted(id StateID, st *State) {
	if !s.up || st != nil && s.hidden(st) {
		return
	}
	e := s.entries.get(id)
	if s.habits.deferLocal {
		s.undefer(e, true)
	}
	switch e.queue {
	case qDelC:
	case qIns:
		s.dequeue(e)
		s.entries.settle(e)
		s.touched.forget(id)
	default:
		s.requeue(e, qDelC)
	}
}

// asked queues a state to be sent whole (pfsync_update_state_req), and reports
// whether that is news.
func (s *Session) asked(id StateID) (*slice, bool) {
	e := s.entries.get(id)
	switch e.queue {
	case qNone, qUpdC, qInsAck:
		return s.requeue(e, qUpd), true
	}
	return nil, false
}

// resend tells the peers anew about a state, with the other messages of its slice.
func (s *Session) resend(id StateID) {
	if !s.up {
		return
	}
	switch there := s.store.Get(s.now, id, &s.out); {
	case !there:
		s.requeue(s.entries.get(id), qDelC)
	case !s.hidden(&s.out): // else it is nobody's business, and may live on elsewhere
		s.asked(id)
	}
}

// clear tells the peers that our states are gone (pfsync_clear_states).
func (s *Session) clear(ifname Name) {
	if !s.up {
		return
	}
	m := Clr{IfName: ifname, CreatorID: s.cfg.HostID}
	s.sendNow(func(w *Writer) bool { return s.count(ActClr, w.Clr(&m)) })
}

// sendNow sends a message at once, in a frame of its own or behind what waits in
// the first slice.
func (s *Session) sendNow(message func(*Writer) bool) {
	if s.habits.joins {
		s.flush(&s.slices[0], message)
		return
	}
	s.beginFrame()
	message(s.w)
	s.endFrame()
}
