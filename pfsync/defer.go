package pfsync

import (
	"slices"
	"time"
)

// A deferral is a first packet that is held back until a peer knows its state.
type deferral struct {
	id    StateID
	until time.Duration
}

// deferrable reports whether the first packet of a new state is to wait: outbound
// ones, to a single host (pfsync_defer).
func (s *Session) deferrable(st *State) bool {
	if !s.cfg.Defer || st.Direction != Out {
		return false
	}
	dst := &st.Wire.Addr[0]
	if st.AF == AFInet6 {
		return dst[0] != 0xff
	}
	return dst[0] < 224
}

// hold begins a deferral. At the limit others have to go before their time.
func (s *Session) hold(e *entry) {
	if len(s.defers) >= s.cfg.DeferLimit {
		s.letGo()
		for s.habits.deferAll && len(s.defers) > 0 {
			s.letGo()
		}
	}
	e.deferred = true
	s.defers = append(s.defers, deferral{e.id, s.clock + s.cfg.DeferDelay})
}

// letGo ends the oldest deferral.
func (s *Session) letGo() {
	e := s.entries.find(s.defers[0].id)
	s.undefer(e, false)
	s.entries.settle(e)
}

// undefer lets the packet of e go, if one is held back. gone says that its state
// is gone, or a peer's business by now: FreeBSD drops it then.
func (s *Session) undefer(e *entry, gone bool) {
	if !e.deferred {
		return
	}
	i := slices.IndexFunc(s.defers, func(d deferral) bool { return d.id == e.id })
	s.defers = slices.Delete(s.defers, i, i+1)
	e.deferred = false
	if gone && s.cfg.KernelExact {
		s.drop = append(s.drop, e.id)
	} else {
		s.release = append(s.release, e.id)
	}
}
