package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gocarp/gocarp/internal/confsync"
	"github.com/gocarp/gocarp/internal/peer"
)

// The configuration goes one way only: the node that is MASTER pushes its files to the
// other one, as OPNsense does. The receiver decides what it takes.

// confSync is what a host has for it.
type confSync struct {
	mu     sync.Mutex  // one at a time
	stored atomic.Bool // files have come that are not loaded yet
}

// A syncPush is what a master sends.
type syncPush struct {
	From        string             `json:"from"`
	Generation  uint64             `json:"generation"`
	Sections    []confsync.Section `json:"sections"`
	Exclude     []string           `json:"exclude"` // what the sender asks the receiver to keep
	SkewAdd     int                `json:"skew_add"`
	Reconfigure bool               `json:"reconfigure"`
	Files       []confsync.File    `json:"files"`
}

// A syncAnswer is what the receiver says.
type syncAnswer struct {
	Node    string            `json:"node"`
	Changes []confsync.Change `json:"changes"`
	Notes   []string          `json:"notes"`
	Refused string            `json:"refused,omitempty"` // why it would not be applied
}

// handleSync answers to a master.
func (h *host) handleSync(mux *http.ServeMux) {
	answer := func(f func(syncPush) (syncAnswer, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var p syncPush
			if err := peer.Decode(r, &p); err != nil {
				peer.Fail(w, http.StatusBadRequest, err)
				return
			}
			h.conf.mu.Lock()
			defer h.conf.mu.Unlock()
			a, err := f(p)
			if err != nil {
				peer.Fail(w, http.StatusConflict, err)
				return
			}
			peer.Reply(w, a)
		}
	}
	mux.HandleFunc("POST /v1/sync/diff", answer(h.syncDiff))
	mux.HandleFunc("POST /v1/sync/apply", answer(h.syncApply))
}

// syncDiff says what a push would change, and changes nothing.
func (h *host) syncDiff(p syncPush) (syncAnswer, error) {
	in, err := h.receive(p)
	if err != nil {
		return syncAnswer{}, err
	}
	if err := errors.Join(h.mayReceive(p), h.checkFiles(in.merged)); err != nil {
		in.answer.Refused = err.Error()
	}
	return in.answer, nil
}

// mayReceive reports why a push is refused, whatever it holds.
func (h *host) mayReceive(p syncPush) error {
	if masters := h.masters(); len(masters) > 0 {
		return fmt.Errorf("%s is master of %s: nothing goes to a master", nodeName(), strings.Join(masters, ", "))
	}
	s, err := confsync.ReadState(h.dir)
	if err != nil {
		return err
	}
	if p.Generation < s.Generation {
		return fmt.Errorf("%s has a newer configuration, of generation %d; that of %s is of generation %d: make %s the master and push from there, or remove %s/state there to give it up",
			nodeName(), s.Generation, p.From, p.Generation, nodeName(), confsync.Dir)
	}
	return nil
}

// An incoming push, with what would become of it.
type incoming struct {
	settings     syncSettings
	ours, merged confsync.Tree
	answer       syncAnswer
}

// receive merges a push with the files that are here.
func (h *host) receive(p syncPush) (*incoming, error) {
	s, err := readSettings(h.dir)
	if err != nil {
		return nil, fmt.Errorf("%s: its own settings have a mistake: %w", nodeName(), err)
	}
	in := &incoming{settings: s.sync, answer: syncAnswer{Node: nodeName(), Changes: []confsync.Change{}, Notes: []string{}}}
	theirs, err := confsync.NewTree(p.Files)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if confsync.Path(h.dir, name, in.settings.paths()) == "" {
			delete(theirs, name)
			in.answer.Notes = append(in.answer.Notes, name+" is left out: [sync.extra] of "+nodeName()+" does not have it")
		}
	}
	if in.ours, err = confsync.Read(h.dir, in.settings.paths()); err != nil {
		return nil, err
	}
	sections, err := confsync.ParseSections(sectionNames(p.Sections))
	if err == nil && len(p.Sections) == 0 {
		err = errors.New("want the sections that are meant")
	}
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(in.settings.rules)
	for _, text := range p.Exclude {
		r, err := confsync.ParseRule(text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	if p.SkewAdd < 0 || p.SkewAdd > 254 {
		return nil, fmt.Errorf("skew-add %d: want 1 to 254", p.SkewAdd)
	}
	in.merged, err = confsync.Merge{Sections: sections, Rules: rules, SkewAdd: p.SkewAdd}.Merge(theirs, in.ours)
	if err != nil {
		return nil, err
	}
	in.answer.Changes = append(in.answer.Changes, confsync.Diff(in.ours, in.merged)...)
	return in, nil
}

func sectionNames(sections []confsync.Section) []string {
	var names []string
	for _, s := range sections {
		names = append(names, string(s))
	}
	return names
}

func nodeName() string {
	name, err := os.Hostname()
	if err != nil {
		return "the other host"
	}
	return name
}
