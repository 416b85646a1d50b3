package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/confsync"
	"github.com/gocarp/gocarp/internal/control"
)

// A syncStatus is the answer of "sync status -json".
type syncStatus struct {
	Time       time.Time          `json:"time"`
	Node       string             `json:"node"`
	Generation uint64             `json:"generation"`
	Loaded     bool               `json:"loaded"` // false: files have come that do not count yet
	Last       *confsync.Record   `json:"last,omitempty"`
	Peer       string             `json:"peer,omitempty"`
	Differs    []confsync.Section `json:"differs"` // what a push from here would change there
	Error      string             `json:"error,omitempty"`
}

func (h *host) cmdSyncStatus(ctx context.Context, args []string, w *control.Writer) error {
	asJSON := len(args) == 1 && args[0] == "-json"
	if len(args) > 0 && !asJSON {
		return usageError("sync status: want -json, or nothing")
	}
	s := h.syncStatus(ctx)
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	loaded := "loaded"
	if !s.Loaded {
		loaded = notLoaded
	}
	fmt.Fprintf(w, "%s: generation %d, %s\n", s.Node, s.Generation, loaded)
	if l := s.Last; l != nil {
		fmt.Fprintf(w, "  last %s, %s -> %s, generation %d, %v: %s\n",
			l.Time.Format(time.RFC3339), l.From, l.To, l.Generation, l.Sections, strings.ReplaceAll(l.Result, "\n", "; "))
	} else {
		fmt.Fprintln(w, "  never synchronised")
	}
	switch {
	case s.Error != "":
		fmt.Fprintf(w, "  compared with the other host: %s\n", s.Error)
	case len(s.Differs) == 0:
		fmt.Fprintf(w, "  %s: nothing is different\n", s.Peer)
	default:
		fmt.Fprintf(w, "  %s differs in %v\n", s.Peer, s.Differs)
	}
	return nil
}

// notLoaded is what "status" says of files that came and do not count yet.
const notLoaded = "configuration not loaded yet"

// syncStatus compares both hosts.
func (h *host) syncStatus(ctx context.Context) syncStatus {
	s := syncStatus{Time: time.Now(), Node: nodeName(), Loaded: !h.conf.stored.Load(), Differs: []confsync.Section{}}
	p, state, err := h.newPush(confsync.Sections)
	s.Generation, s.Last = state.Generation, state.Last
	var a syncAnswer
	if err == nil {
		err = h.peerCall(ctx, "POST", "/v1/sync/diff", p, &a)
	}
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Peer = a.Node
	for _, c := range a.Changes {
		if !slices.Contains(s.Differs, c.Section) {
			s.Differs = append(s.Differs, c.Section)
		}
	}
	return s
}
