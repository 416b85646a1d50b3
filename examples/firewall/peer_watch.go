package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gocarp/gocarp/internal/peer"
)

const (
	// peerInterval is how often the other host is asked for its status, and
	// peerTimeout how long it has to answer.
	peerInterval = time.Second
	peerTimeout  = 2 * time.Second
)

// How the channel to the other host is.
const (
	peerNone  = "none"         // there is no secret for it
	peerNew   = "starting"     // the other host was not asked yet
	peerUp    = "up"           // it answers
	peerDown  = "down"         // it does not
	peerWrong = "wrong secret" // it has another one
	peerSelf  = "self"         // its address leads back
	peerFails = "failing"      // it answers with an error
)

// A peerReport is what the status says of the channel to the other host.
type peerReport struct {
	State       string     `json:"state"` // one of the above
	Address     netip.Addr `json:"address,omitzero"`
	Since       time.Time  `json:"since,omitzero"`    // of State
	Answered    time.Time  `json:"answered,omitzero"` // when it last said how it is
	Error       string     `json:"error,omitempty"`
	Conflicts   []string   `json:"conflicts,omitempty"`   // what must not be: two masters
	Differences []string   `json:"differences,omitempty"` // what should be the same on both
}

// A peerAnswer is what a host tells the other one of itself, and of nobody else.
type peerAnswer struct {
	nodeStatus
	Time        time.Time         `json:"time"`
	Passphrases map[string]string `json:"passphrases"` // by carp interface, see passDigest
}

// A neighbour is the other host, as far as we know it.
type neighbour struct {
	channel *peer.Channel
	address netip.Addr

	mu     sync.Mutex
	report peerReport
	answer peerAnswer // as of report.Answered, in times of our clock
	offset time.Duration
}

// peerStatus answers with what this host is.
func (h *host) peerStatus(w http.ResponseWriter, r *http.Request) {
	s, err := h.status(r.Context())
	if err != nil {
		peer.Fail(w, http.StatusServiceUnavailable, err)
		return
	}
	peer.Reply(w, h.answer(s))
}

// answer is what this host tells the other one of itself.
func (h *host) answer(s nodeStatus) peerAnswer {
	a := peerAnswer{nodeStatus: s, Time: time.Now(), Passphrases: make(map[string]string)}
	for _, i := range h.view().config.Carp {
		a.Passphrases[i.Name] = passDigest(h.settings.peer.secret, i.Pass)
	}
	return a
}

// watchPeer asks the other host how it is, again and again, until ctx is done.
func (h *host) watchPeer(ctx context.Context) {
	for {
		h.askPeer(ctx)
		select {
		case <-time.After(peerInterval):
		case <-ctx.Done():
			return
		}
	}
}

// askPeer asks once. What has changed since is noted, once.
func (h *host) askPeer(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	var a peerAnswer
	err := h.peerCall(limited, http.MethodGet, "/v1/status", nil, &a)
	if ctx.Err() != nil {
		return
	}
	old, now := h.peer.set(a, err, time.Now())
	if old.report.State != now.report.State {
		text := fmt.Sprintf("%v: %s", now.report.Address, now.report.State)
		level := h.log.Info
		if err != nil {
			text += ": " + now.report.Error
			level = h.log.Warn
		}
		h.journal.add("peer", text)
		level("firewall: the other host", "address", now.report.Address, "channel", now.report.State, "err", err)
	}
	if was, is := old.answer, now.answer; was.Role != is.Role || was.Maintenance != is.Maintenance {
		h.journal.add("peer", fmt.Sprintf("%v: %s, maintenance %s", now.report.Address, is.Role, is.Maintenance))
	}
}

// A neighbourView is a copy of what is known of the other host.
type neighbourView struct {
	report peerReport
	answer peerAnswer
	offset time.Duration // of its clock
}

func (p *neighbour) view() neighbourView {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := neighbourView{p.report, p.answer, p.offset}
	if v.report.State == "" {
		v.report.State, v.report.Address = peerNew, p.address
	}
	return v
}

// set takes in what came of a call that ended now. Only watchPeer calls it.
func (p *neighbour) set(a peerAnswer, err error, now time.Time) (before, after neighbourView) {
	before = p.view()
	r := before.report
	r.State, r.Error = peerState(err), ""
	if r.State != before.report.State {
		r.Since = now
	}
	if err != nil {
		r.Error = err.Error()
	}
	p.mu.Lock()
	p.report = r
	if err == nil {
		p.report.Answered, p.offset = now, a.Time.Sub(now)
		a.Local = false
		a.shift(-p.offset)
		p.answer = a
	}
	p.mu.Unlock()
	return before, p.view()
}

// peerState is how the channel is after a call.
func peerState(err error) string {
	_, failed := errors.AsType[*peer.Error](err)
	switch {
	case err == nil:
		return peerUp
	case errors.Is(err, peer.ErrAuth):
		return peerWrong
	case errors.Is(err, peer.ErrSelf):
		return peerSelf
	case failed:
		return peerFails
	}
	return peerDown
}

// shift moves all times that are in s.
func (s *nodeStatus) shift(by time.Duration) {
	move := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	for n := range s.Interfaces {
		i := &s.Interfaces[n]
		move(&i.Since)
		move(&i.Heard.At)
		if i.Rejected != nil {
			move(&i.Rejected.At)
		}
	}
}
