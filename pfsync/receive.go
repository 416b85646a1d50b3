package pfsync

import (
	"errors"
	"slices"
)

// CLR makes the table look at all its states: so many a second are done, and so
// many at once.
const (
	clrRate  = 8
	clrBurst = 64
)

// receive handles a packet (pfsync_input).
func (s *Session) receive(p *Packet) {
	if p.Src.Is6() && !p.Src.Is4In6() {
		s.stats.InPackets6++
	} else {
		s.stats.InPackets++
	}
	if !s.up {
		return
	}
	if err := s.admit(p); err != nil {
		s.stats.drop(err)
		return
	}
	f, err := Parse(s.cfg.Dialect, p.Data)
	for sec := range f.Sections() {
		s.stats.InActions[sec.Action] += uint64(sec.Count)
		s.section(&sec)
	}
	if err != nil {
		s.stats.drop(err)
		if f.Bad.Action != ActUnknown && !f.Dialect.traits().strides {
			s.stats.InActions[f.Bad.Action] += uint64(f.Bad.Count) // counted before it is looked at
		}
	}
}

// admit reports why a packet is not even read.
func (s *Session) admit(p *Packet) error {
	switch {
	case s.cfg.IfIndex != 0 && p.IfIndex != 0 && p.IfIndex != s.cfg.IfIndex:
		return ErrInterface
	case p.TTL != 255:
		return ErrTTL
	case s.cfg.Peers != nil && !slices.Contains(s.cfg.Peers, p.Src.Unmap().WithZone("")):
		return ErrPeer
	}
	return nil
}

// section handles the messages of one action. Decoding them cannot fail: Parse has
// seen to their length.
func (s *Session) section(sec *Section) {
	switch sec.Action {
	case ActClr:
		s.inClr(sec)
	case ActIns:
		s.inIns(sec)
	case ActInsAck:
		s.inInsAck(sec)
	case ActUpd:
		s.inUpd(sec)
	case ActUpdC:
		s.inUpdC(sec)
	case ActUpdReq:
		s.inUpdReq(sec)
	case ActDel, ActDelC:
		s.inDel(sec)
	case ActBus:
		s.inBus(sec)
	}
}

// inClr removes the states of a creator. Nothing is said about it to others: they
// have heard it themselves.
func (s *Session) inClr(sec *Section) {
	var m Clr
	for msg := range sec.Messages() {
		m.UnmarshalBinary(msg)
		s.rename(&m.IfName)
		if m.IfName != (Name{}) && !s.known(m.IfName) {
			continue
		}
		switch {
		case !s.cfg.KernelExact:
			if m.CreatorID == s.cfg.HostID || !s.clrLimit.take(s.clock) {
				s.stats.ClrDenied++
				continue
			}
		case s.cfg.Dialect == FreeBSD12:
			m.IfName = Name{}
		}
		s.store.Clear(m.CreatorID, m.IfName, s.clearing)
	}
}

// cleared takes note of a state that a peer has removed.
func (s *Session) cleared(id StateID) {
	if e := s.entries.find(id); e != nil {
		if s.habits.deferLocal {
			s.undefer(e, true)
		}
		s.dequeue(e)
		s.entries.settle(e)
	}
	s.touched.forget(id)
	if s.cfg.Watch != nil {
		s.watch(ChangeDelete, &State{StateID: id})
	}
}

func (s *Session) watch(op ChangeOp, st *State) {
	if s.cfg.Watch != nil {
		s.cfg.Watch(Change{op, st})
	}
}

func (s *Session) inIns(sec *Section) {
	for msg := range sec.Messages() {
		s.in.Unmarshal(sec.Format, msg)
		if s.in.Check(s.cfg.Dialect) != nil {
			s.stats.BadValue++
			continue
		}
		err := s.insert(sec.Format)
		if err == nil {
			continue
		}
		s.stats.Refused++
		if s.cfg.KernelExact && s.cfg.Dialect >= FreeBSD14 && err != errSkipped {
			s.stats.BadAction++
		}
		if errors.Is(err, ErrFull) {
			return
		}
	}
}

func (s *Session) inInsAck(sec *Section) {
	var id StateID
	for msg := range sec.Messages() {
		id.UnmarshalBinary(msg)
		if e := s.entries.find(id); e != nil {
			s.undefer(e, false)
			s.entries.settle(e)
		}
	}
}

func (s *Session) inUpd(sec *Section) {
	for msg := range sec.Messages() {
		s.in.Unmarshal(sec.Format, msg)
		if s.in.CheckUpdate(s.cfg.Dialect) != nil {
			s.stats.BadValue++
			continue
		}
		s.heard()
		s.change = UpdC{StateID: s.in.StateID, Src: s.in.Src, Dst: s.in.Dst, Timeout: s.in.Timeout}
		if s.update(true) {
			continue
		}
		err := s.in.Check(s.cfg.Dialect)
		if err == nil {
			err = s.insert(sec.Format)
		}
		switch err {
		case nil:
		case errSkipped:
			s.stats.Refused++
		default:
			s.stats.BadState++
		}
	}
}

func (s *Session) inUpdC(sec *Section) {
	s.unknown = s.unknown[:0]
	for msg := range sec.Messages() {
		s.change.UnmarshalBinary(msg)
		switch {
		case s.change.Check(s.cfg.Dialect) != nil:
			s.stats.BadValue++
		case !s.update(false) && !s.gone(s.change.StateID):
			s.unknown = append(s.unknown, s.change.StateID)
		}
	}
	s.request(s.unknown)
}

// gone reports whether a peer still has what was removed here for good, and tells
// it that.
func (s *Session) gone(id StateID) bool {
	if s.cfg.Removed == nil || !s.cfg.Removed(id) {
		return false
	}
	s.stats.Returned++
	s.requeue(s.entries.get(id), qDelC)
	return true
}

// update applies s.change, and reports whether there is such a state. A whole state is
// what a peer was asked for.
func (s *Session) update(whole bool) bool {
	found := false
	if r, ok := s.store.(Recaller); ok && whole {
		found = r.Recall(s.now, s.change.StateID, s.merging)
	} else {
		found = s.store.Update(s.now, s.change.StateID, s.merging)
	}
	if !found {
		return false
	}
	id := s.change.StateID
	s.touched.add(id, s.clock)
	if e := s.entries.find(id); e != nil {
		s.undefer(e, s.habits.deferLocal)
		s.entries.settle(e)
	}
	if s.result.taken {
		s.watch(ChangeUpdate, &s.out)
	}
	if s.result.stale {
		s.stats.Stale++
		s.updated(id, 0) // what we have is better, and goes out at once
		if s.habits.pushAll {
			s.pushAll()
		}
	}
	return true
}

// merge is the change of the table in update.
func (s *Session) merge(st *State) Keep {
	var keep Keep
	s.result, keep = s.rules.merge(st, &s.change)
	if s.cfg.Watch != nil {
		s.out = *st
	}
	return keep
}

func (s *Session) inUpdReq(sec *Section) {
	var id StateID
	for msg := range sec.Messages() {
		id.UnmarshalBinary(msg)
		switch {
		case id == StateID{}:
			s.answer()
		case !s.store.Get(s.now, id, &s.out):
			s.stats.BadState++
		case s.hidden(&s.out):
			if !s.habits.joins {
				s.stats.BadState++
			}
		case !s.cfg.KernelExact && !s.ureqLimit.take(s.clock):
			s.stats.ReqDropped++
		default:
			if sl, ok := s.asked(id); ok {
				s.push(sl)
			}
		}
	}
}

// request asks the peers for states that they know and we do not
// (pfsync_request_update).
func (s *Session) request(ids []StateID) {
	switch {
	case len(ids) == 0:
	case s.habits.joins:
		for _, id := range ids {
			s.join(id)
		}
	default:
		s.beginFrame()
		for _, id := range slices.Backward(ids) {
			if !s.count(ActUpdReq, s.w.UpdReq(id)) {
				s.endFrame()
				s.beginFrame()
				s.count(ActUpdReq, s.w.UpdReq(id))
			}
		}
		s.endFrame()
	}
}

// join puts a request into the first slice, unless it is there already. The kernel
// marks that to be flushed, but then does not wake up who would do it.
func (s *Session) join(id StateID) {
	sl := &s.slices[0]
	sl.pushed = true
	s.kick = s.kick || !s.cfg.KernelExact
	if slices.Contains(sl.requests, id) {
		return
	}
	s.room(sl, idLen, len(sl.requests) == 0)
	sl.requests = append(sl.requests, id)
}

func (s *Session) inDel(sec *Section) {
	for msg := range sec.Messages() {
		id := &s.change.StateID
		if sec.Action == ActDel {
			s.in.Unmarshal(sec.Format, msg)
			*id = s.in.StateID
		} else {
			id.UnmarshalBinary(msg)
		}
		if !s.store.Delete(*id) {
			s.stats.BadState++
			continue
		}
		s.cleared(*id)
	}
}

// inBus looks at the first message only, as the kernels do.
func (s *Session) inBus(sec *Section) {
	var m Bus
	for msg := range sec.Messages() {
		m.UnmarshalBinary(msg)
		switch m.Status {
		case BusStart:
			s.bulkStarted()
		case BusEnd:
			s.bulkEnded(&m)
		}
		return
	}
}
