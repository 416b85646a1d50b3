package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/peer"
)

// A handover is what a host that is about to be drained asks the other one for.
type handover struct {
	Masters   []string       `json:"masters"`   // the carp interfaces to take over
	Demotions map[string]int `json:"demotions"` // of these, before
	Pfsync    bool           `json:"pfsync"`    // pfsync0 is up, and all was sent
	States    int            `json:"states"`    // in the table
}

const (
	// Of the states of this host the other one may lack missingPercent, and
	// missingStates on top: they come and go all the time.
	missingPercent = 10
	missingStates  = 64
)

// handover is what there is to take over from this host.
func (h *host) handover(ctx context.Context) (handover, error) {
	s, err := h.status(ctx)
	if err != nil {
		return handover{}, err
	}
	o := handover{Masters: h.masters(), Demotions: make(map[string]int), States: h.table.Len()}
	for _, i := range s.Interfaces {
		o.Demotions[i.Name] = i.Demotion
	}
	o.Pfsync = s.Pfsync != nil && s.Pfsync.Up
	return o, nil
}

// peerDrain answers whether this host can take over. It changes nothing.
func (h *host) peerDrain(w http.ResponseWriter, r *http.Request) {
	var o handover
	if err := peer.Decode(r, &o); err != nil {
		peer.Fail(w, http.StatusBadRequest, err)
		return
	}
	s, err := h.status(r.Context())
	if err != nil {
		peer.Fail(w, http.StatusServiceUnavailable, err)
		return
	}
	if reasons := o.obstacles(s, h.draining.Load()); len(reasons) > 0 {
		peer.Fail(w, http.StatusConflict, errors.New("it cannot take over: "+strings.Join(reasons, "; ")))
		return
	}
	h.journal.add("peer", "ready to take over "+strings.Join(o.Masters, ", "))
	peer.Reply(w, struct{}{})
}

// obstacles are why the host that s is about cannot take over, if it cannot.
func (o handover) obstacles(s nodeStatus, draining bool) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case s.Maintenance != "off":
		add("it is in maintenance")
	case draining:
		add("it is being drained, too")
	}
	for _, name := range o.Masters {
		n := slices.IndexFunc(s.Interfaces, func(i interfaceStatus) bool { return i.Name == name })
		if n < 0 {
			add("it has no %s", name)
			continue
		}
		switch i := s.Interfaces[n]; {
		case i.Error != "":
			add("%s: %s", name, i.Error)
		case i.Down || i.State == carp.Init.String():
			add("%s is down, or has no link", name)
		case i.Demotion > o.Demotions[name]:
			add("%s is demoted by %d, and by %d at the host that asks%s", name, i.Demotion, o.Demotions[name], causes(s))
		}
	}
	if o.Pfsync {
		switch p := s.Pfsync; {
		case p == nil || !p.Up:
			add("pfsync0 is not up")
		case p.Link == "down":
			add("pfsync0 has no link")
		case !p.Synced:
			add("pfsync0 waits for a bulk update")
		case p.States+missingStates < o.States-o.States*missingPercent/100:
			add("it has %d states of %d", p.States, o.States)
		}
	}
	return out
}

// causes are the reasons for demotions, by name.
func causes(s nodeStatus) string {
	var names []string
	for _, d := range s.Demotions {
		if !slices.Contains(names, d.Cause) {
			names = append(names, d.Cause)
		}
	}
	if names == nil {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

const (
	// drainTimeout is how long drain waits for the other host.
	drainTimeout = 15 * time.Second

	// confirmAgain is how often the other host is asked whether it is master.
	confirmAgain = 100 * time.Millisecond
)

// drain has the other host confirm that it can take over, enters maintenance, and
// waits until nothing is master here and the other host says that it is. If it
// refuses nothing was changed, unless force says to go on regardless. If nobody takes
// over in time this host goes on doing its work, in maintenance.
//
// The names that it returns are what the other host has confirmed to be master of.
func (h *host) drain(ctx context.Context, force bool, note func(string)) (confirmed []string, err error) {
	if !h.draining.CompareAndSwap(false, true) {
		return nil, errors.New("it is being drained already")
	}
	defer h.draining.Store(false)
	h.flush()
	masters, err := h.askToTakeOver(ctx)
	if err != nil {
		if !force {
			return nil, fmt.Errorf("refused, nothing was changed: %w", err)
		}
		note(err.Error())
		masters = nil
	}
	h.flush() // again: to ask took time
	if err := h.enterMaintenance(false); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for {
		changed := h.journal.next()
		left := h.masters()
		if len(left) == 0 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("nobody has taken over from %s: is the other host up, and demoted less?", strings.Join(left, ", "))
		}
	}
	return masters, h.awaitConfirmation(ctx, masters)
}

// askToTakeOver has the other host confirm that it can take over what this one is
// master of, and returns that. Without a channel, or if there is nothing to hand over,
// there is nobody to ask.
func (h *host) askToTakeOver(ctx context.Context) ([]string, error) {
	if h.peer == nil {
		return nil, nil
	}
	o, err := h.handover(ctx)
	if err != nil || len(o.Masters) == 0 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	return o.Masters, h.peerCall(ctx, http.MethodPost, "/v1/drain", o, nil)
}

// awaitConfirmation waits until the other host says that it is master of all names.
func (h *host) awaitConfirmation(ctx context.Context, names []string) error {
	for len(names) > 0 {
		var a peerAnswer
		err := h.peerCall(ctx, http.MethodGet, "/v1/status", nil, &a)
		if err == nil && a.isMaster(names) {
			return nil
		}
		select {
		case <-time.After(confirmAgain):
		case <-ctx.Done():
			return fmt.Errorf("nothing is master here any more, but the other host has not confirmed that it is master of %s: see status",
				strings.Join(names, ", "))
		}
	}
	return nil
}

// isMaster reports whether the host is master of all names.
func (s nodeStatus) isMaster(names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(s.Interfaces, func(i interfaceStatus) bool { return i.Name == name && i.State == carp.Master.String() }) {
			return false
		}
	}
	return true
}
