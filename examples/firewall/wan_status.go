package main

import (
	"fmt"
	"net/netip"
	"time"
)

// A wanStatus is what the WAN interface is doing.
type wanStatus struct {
	Interface string       `json:"interface"`
	Up        bool         `json:"up"`
	State     string       `json:"state"` // down, waiting, coming up, up, going down
	Since     time.Time    `json:"since"`
	Why       string       `json:"why"`
	Carrier   bool         `json:"carrier"`
	Lease     netip.Prefix `json:"lease,omitzero"`
	Error     string       `json:"error,omitempty"` // why it cannot be looked at

	// What should be the same on both hosts.
	Follow  string       `json:"follow"`
	LLAddr  string       `json:"lladdr,omitempty"` // with which it is up; empty: not known yet
	Address netip.Prefix `json:"address,omitzero"` // without a client

	granted bool // the peer knows, and may have it
}

// wanStatus is what the WAN interface is doing, nil if there is none.
func (h *host) wanStatus() *wanStatus {
	w := h.wan.Load()
	if w == nil {
		return nil
	}
	return w.now.Load()
}

// note tells of what has become of the interface.
func (w *wan) note(was wanState, out wanOutput) {
	s := *w.now.Load()
	s.State, s.Since, s.Why, s.Up = w.m.state.String(), w.m.since, w.m.why, w.m.state == wanUp
	if !s.Up {
		s.Carrier, s.Lease = false, netip.Prefix{}
	}
	s.granted = (s.granted || out.answer == wanGranted) && (w.m.state == wanDown || w.m.state == wanAsking)
	w.now.Store(&s)
	if was != w.m.state {
		text := fmt.Sprintf("%s: %v -> %v: %s", w.cfg.ifname, was, w.m.state, w.m.why)
		w.h.journal.add("wan", text)
		w.h.log.Info("firewall: wan: " + text)
	}
}

// lines are what people read.
func (s *wanStatus) lines(now time.Time) []string {
	lines := []string{fmt.Sprintf("%s: %s for %v: %s", s.Interface, s.State, age(now, s.Since), s.Why)}
	switch {
	case s.Error != "":
		lines = append(lines, "error: "+s.Error)
	case s.Up && !s.Carrier:
		lines = append(lines, "no carrier")
	case s.Up && !s.Lease.IsValid():
		lines = append(lines, "no address yet")
	case s.Up:
		lines = append(lines, s.Lease.String())
	}
	return lines
}

// wan looks at the WAN interface, if there is one.
func (p *patient) wan(s *wanStatus) {
	switch {
	case s == nil:
	case s.Error != "":
		p.bad("%s: %s", s.Interface, s.Error)
	case s.Up && !s.Carrier:
		p.bad("%s: it is up, and has no carrier", s.Interface)
	case s.Up && !s.Lease.IsValid():
		p.bad("%s: it is up, and has no address", s.Interface)
	default:
		p.ok("%s is %s: %s", s.Interface, s.State, s.Why)
	}
}
