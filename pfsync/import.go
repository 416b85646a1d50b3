package pfsync

import (
	"bytes"
	"errors"
)

// errSkipped is why a whole state was left out that the kernels leave out without
// a word.
var errSkipped = errors.New("pfsync: state is not for us")

// insert adds s.in, a state received in f whose values are good, to the table
// (pf_state_import, pfsync_state_import), or reports why not.
func (s *Session) insert(f Format) error {
	st := &s.in
	if st.CreatorID == 0 {
		return ErrState
	}
	if s.gone(st.StateID) || !s.localise(st) || !s.welcome(st, f) {
		return errSkipped
	}
	ack := st.Flags&FlagAck != 0
	s.strip(st, f)
	s.replaced = s.replaced[:0]
	if err := s.store.Insert(s.now, st, s.replace); err != nil {
		return err
	}
	for _, id := range s.replaced { // the kernels remove it as any other, and say so
		s.deleted(id, nil)
		s.watch(ChangeDelete, &State{StateID: id})
	}
	e := s.entries.find(st.StateID)
	if e != nil {
		s.dequeue(e) // a message about one that had this identity before
	}
	if ack || s.notes() || e != nil || s.touched.at(st.StateID) != 0 {
		s.touched.add(st.StateID, s.clock)
	}
	switch {
	case ack:
		s.push(s.enqueue(s.entries.get(st.StateID), qInsAck))
	case e != nil:
		s.entries.settle(e)
	}
	s.watch(ChangeInsert, st)
	return nil
}

// notes reports whether a new state is remembered as touched, as the kernels do. Of a
// table that comes as a whole nothing says that both nodes see packets of it, and
// a million notes for two seconds cost more than the states themselves. So do those of a
// burst: the first update of a state that comes when there are maxNotes waits for others,
// as most do.
func (s *Session) notes() bool {
	return s.cfg.KernelExact || s.req.phase != phaseBulk && s.touched.n < maxNotes
}

// maxNotes is how many states may be remembered as touched when new ones are added, each
// for two seconds.
const maxNotes = 1 << 10

// localise gives st our names of its interfaces, and reports whether there are such.
func (s *Session) localise(st *State) bool {
	s.rename(&st.IfName)
	s.rename(&st.RtIfName)
	s.rename(&st.OrigIfName)
	if s.cfg.Dialect == OpenBSD { // makes those that it does not know
		return true
	}
	bound := st.IfName != anyInterface
	return s.known(st.IfName) &&
		(st.Rt == RouteNone || st.RtIfName == Name{} || s.known(st.RtIfName)) &&
		(!bound || st.OrigIfName == Name{} || s.known(st.OrigIfName))
}

// anyInterface is where states are that are not bound to one.
var anyInterface = Name{'a', 'l', 'l'}

// rename translates the name of a peer's interface. What is behind the NUL is not
// part of a name.
func (s *Session) rename(n *Name) {
	if i := bytes.IndexByte(n[:], 0); i >= 0 {
		clear(n[i:])
	}
	if ours, ok := s.names[*n]; ok {
		*n = ours
	}
}

func (s *Session) known(n Name) bool {
	return s.cfg.Known == nil || n == anyInterface || s.cfg.Known(n.String())
}

// welcome reports whether a state is for us.
func (s *Session) welcome(st *State, f Format) bool {
	d := s.cfg.Dialect
	switch {
	case st.Flags&FlagNoSync != 0 && !s.cfg.KernelExact:
		return false
	case d >= FreeBSD14 && f == Format1301 && st.RtAddr != Addr{}:
		return false // its interface is in the rule, and we have no rules
	case d == FreeBSD15 && st.Proto == protoSCTP && (st.Src.Scrub.Valid == 0 || st.Dst.Scrub.Valid == 0):
		return false // the verification tags are there
	case d == FreeBSD15 && bytes.IndexByte(st.IfName[:], 0) < 0:
		return false
	}
	return true
}

// strip takes from st what is the sender's own. No ruleset is the same as ours,
// since we have none.
func (s *Session) strip(st *State, f Format) {
	st.Rule, st.Anchor, st.NATRule = noRule, noRule, noRule
	st.Packets, st.Bytes = [2]uint64{}, [2]uint64{}
	st.SyncFlags, st.Updates = 0, 0
	or(&st.Wire.AF, st.AF)
	or(&st.Stack.AF, st.AF)
	st.Src.Scrub, st.Dst.Scrub = st.Src.Scrub.clean(), st.Dst.Scrub.clean()
	st.Flags &^= FlagAck
	if s.cfg.Dialect != OpenBSD {
		st.Flags &^= FlagNoSync
	}
	if s.cfg.Dialect >= FreeBSD14 && f == Format1301 {
		st.Flags &^= FlagSetTOS | FlagSetPrio
	}
}
