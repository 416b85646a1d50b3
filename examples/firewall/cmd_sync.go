package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/confsync"
	"github.com/gocarp/gocarp/internal/control"
	"github.com/gocarp/gocarp/internal/peer"
)

// cmdSync is "sync": the configuration goes from here to the other host.
func (h *host) cmdSync(ctx context.Context, args []string, w *control.Writer) error {
	if len(args) > 0 && args[0] == "status" {
		return h.cmdSyncStatus(ctx, args[1:], w)
	}
	fs := flag.NewFlagSet("sync", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	dry, reconfigure, undo := fs.Bool("n", false, ""), fs.Bool("reconfigure", false, ""), fs.Bool("undo", false, "")
	if err := fs.Parse(args); err != nil || *undo && (*dry || fs.NArg() > 0) {
		return usageError("sync: want [-n] [-reconfigure] [SECTION...], -undo [-reconfigure], or status [-json]")
	}
	if *undo {
		return h.undoSync(*reconfigure, w)
	}
	sections, err := confsync.ParseSections(fs.Args())
	if err != nil {
		return usageError("sync: " + err.Error())
	}
	if err := h.mayPush(ctx); err != nil {
		return fmt.Errorf("sync: refused: %w", err)
	}
	h.conf.mu.Lock()
	defer h.conf.mu.Unlock()
	push, state, err := h.newPush(sections)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	push.Reconfigure = *reconfigure
	if *dry {
		return h.showPush(ctx, push, w)
	}
	return h.push(ctx, push, state, w)
}

// mayPush reports why this host must not push: it is not master of all that is up, or
// its own files have a mistake.
func (h *host) mayPush(ctx context.Context) error {
	s, err := h.status(ctx)
	if err != nil {
		return err
	}
	if s.Role != carp.Master.String() {
		var others []string
		for _, i := range s.Interfaces {
			if !i.Down && i.State != carp.Master.String() {
				others = append(others, fmt.Sprintf("%s is %v", i.Name, i.State))
			}
		}
		return fmt.Errorf("only the master of all carp interfaces pushes its configuration, and this host is %s: %s", s.Role, strings.Join(others, ", "))
	}
	own, err := readSetup(h.dir)
	if err == nil {
		err = own.prepare()
	}
	if err != nil {
		return fmt.Errorf("the files here have a mistake: %w", err)
	}
	return nil
}

// newPush is what this host would send now, and what it has to remember of that.
func (h *host) newPush(sections []confsync.Section) (syncPush, confsync.State, error) {
	state, err := confsync.ReadState(h.dir)
	if err != nil {
		return syncPush{}, state, err
	}
	s, err := readSettings(h.dir)
	if err != nil {
		return syncPush{}, state, err
	}
	tree, err := confsync.Read(h.dir, s.sync.paths())
	if err != nil {
		return syncPush{}, state, err
	}
	if slices.Contains(sections, confsync.Extra) {
		for name, e := range s.sync.extra {
			if _, err := os.Stat(e.path); err != nil {
				return syncPush{}, state, fmt.Errorf("extra/%s: %w", name, err)
			}
		}
	}
	state.Note(tree)
	return syncPush{
		From: nodeName(), Generation: state.Generation, Sections: sections,
		Exclude: s.sync.exclude, SkewAdd: s.sync.skewAdd, Files: tree.Files(sections),
	}, state, nil
}

// showPush prints what a push would change.
func (h *host) showPush(ctx context.Context, p syncPush, w io.Writer) error {
	var a syncAnswer
	if err := h.peerCall(ctx, "POST", "/v1/sync/diff", p, &a); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	a.print(w)
	for _, r := range confsync.Builtin {
		if slices.Contains(p.Sections, r.Section) {
			fmt.Fprintf(w, "%v stays that of %s: %s\n", r, a.Node, r.Reason)
		}
	}
	if a.Refused != "" {
		return errors.New("sync: it would be refused: " + a.Refused)
	}
	fmt.Fprintln(w, "nothing was changed")
	return nil
}

// push has the other host take p.
func (h *host) push(ctx context.Context, p syncPush, state confsync.State, w io.Writer) error {
	if err := state.Write(h.dir); err != nil { // what was sent once must not be sent as something else
		return fmt.Errorf("sync: nothing was sent: %w", err)
	}
	var a syncAnswer
	err := h.peerCall(ctx, "POST", "/v1/sync/apply", p, &a)
	state.Last = &confsync.Record{
		Time: time.Now(), From: p.From, To: a.Node, Sections: p.Sections, Generation: p.Generation, Result: result(err),
	}
	if werr := state.Write(h.dir); werr != nil {
		h.log.Warn("firewall: sync: the result cannot be kept", "err", werr)
	}
	h.journal.add("command", "sync: "+state.Last.Result)
	if err != nil {
		return fmt.Errorf("sync: %w%s", err, doubt(err))
	}
	a.print(w)
	if len(a.Changes) > 0 && !p.Reconfigure {
		fmt.Fprintf(w, "stored on %s, and not loaded yet: \"reload\" there, or -reconfigure here\n", a.Node)
	}
	return nil
}

// doubt is what has to be said of an error after which the other host may have taken
// the push all the same.
func doubt(err error) string {
	if _, answered := errors.AsType[*peer.Error](err); answered || errors.Is(err, peer.ErrAuth) || errors.Is(err, peer.ErrSelf) || errors.Is(err, ErrNoPeer) {
		return ""
	}
	return " (\"sync status\" tells whether it was applied)"
}

// reloaded notes that the files are loaded. Those of a master are a generation of their
// own, which no host that was away meanwhile can overwrite.
func (h *host) reloaded() {
	h.conf.stored.Store(false)
	s, err := h.status(context.Background())
	if h.peer == nil || err != nil || s.Role != carp.Master.String() {
		return
	}
	h.conf.mu.Lock()
	defer h.conf.mu.Unlock()
	_, state, err := h.newPush(nil)
	if err == nil {
		err = state.Write(h.dir)
	}
	if err != nil {
		h.log.Warn("firewall: reload: the generation cannot be kept", "err", err)
	}
}

// print prints what is different, for people.
func (a syncAnswer) print(w io.Writer) {
	for _, c := range a.Changes {
		fmt.Fprintf(w, "%s: %s\n", c.Name, c.Kind)
		for line := range strings.Lines(c.Text) {
			fmt.Fprint(w, "  "+line)
		}
	}
	for _, n := range a.Notes {
		fmt.Fprintf(w, "%s: %s\n", a.Node, n)
	}
	if len(a.Changes) == 0 {
		fmt.Fprintf(w, "%s: nothing is different\n", a.Node)
	}
}
