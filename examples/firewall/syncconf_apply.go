package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/internal/confsync"
	"github.com/gocarp/gocarp/internal/hook"
)

// syncApply takes a push, or refuses it as a whole.
func (h *host) syncApply(p syncPush) (syncAnswer, error) {
	state, err := confsync.ReadState(h.dir)
	if err != nil {
		return syncAnswer{}, err
	}
	answer, err := h.take(p, &state)
	state.Last = &confsync.Record{
		Time: time.Now(), From: p.From, To: nodeName(), Sections: p.Sections, Generation: p.Generation, Result: result(err),
	}
	if werr := state.Write(h.dir); werr != nil {
		h.log.Warn("firewall: sync: the result cannot be kept", "err", werr)
	}
	h.journal.add("command", "sync from "+p.From+": "+state.Last.Result)
	return answer, err
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// take checks everything, puts the files in place and loads them, if that was asked for.
func (h *host) take(p syncPush, state *confsync.State) (syncAnswer, error) {
	if err := h.mayReceive(p); err != nil {
		return syncAnswer{}, err
	}
	in, err := h.receive(p)
	if err != nil {
		return syncAnswer{}, err
	}
	if err := h.checkFiles(in.merged); err != nil {
		return syncAnswer{}, err
	}
	if err := h.mayReceive(p); err != nil { // that took a moment
		return syncAnswer{}, err
	}
	paths := in.settings.paths()
	ops := confsync.Ops(in.ours, in.merged, func(name string) string { return confsync.Path(h.dir, name, paths) })
	if err := confsync.Apply(h.dir, ops); err != nil {
		return syncAnswer{}, err
	}
	if len(ops) > 0 {
		h.conf.stored.Store(true)
	}
	before := state.Pending
	state.Pending = pending(before, in.answer.Changes)
	if p.Reconfigure {
		notes, err := h.load(in.settings, state.Pending)
		if err != nil && len(ops) > 0 {
			err = fmt.Errorf("%w; %s", err, h.takeBack(in.settings, state.Pending))
			state.Pending = before
		}
		if err != nil {
			return syncAnswer{}, err
		}
		state.Pending, in.answer.Notes = nil, append(in.answer.Notes, notes...)
	}
	if all(p.Sections) {
		state.Generation, state.Digest = p.Generation, in.merged.Digest()
	}
	return in.answer, nil
}

// all reports whether a push was about everything: only then a node has the sender's
// generation.
func all(sections []confsync.Section) bool {
	return !slices.ContainsFunc(confsync.Sections, func(s confsync.Section) bool { return !slices.Contains(sections, s) })
}

// pending adds the extra files that have changed to those whose command was not run.
func pending(names []string, changes []confsync.Change) []string {
	out := slices.Clone(names)
	for _, c := range changes {
		if name := strings.TrimPrefix(c.Name, "extra/"); c.Section == confsync.Extra && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// load makes what runs what the files ask for, and runs the commands of the extra files
// that have changed. It says what it did.
func (h *host) load(s syncSettings, extra []string) (notes []string, err error) {
	var report strings.Builder
	if err := h.reload(&report); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	for line := range strings.Lines(report.String()) {
		notes = append(notes, strings.TrimSpace(line))
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandsTimeout)
	defer cancel()
	for _, name := range extra {
		words := s.extra[name].run
		if len(words) == 0 {
			continue
		}
		if out, err := hook.Exec(ctx, nil, words[0], words[1:]...); err != nil {
			return nil, fmt.Errorf("extra/%s: %s: %w: %s", name, strings.Join(words, " "), err, out)
		}
		notes = append(notes, fmt.Sprintf("extra/%s: ran %s", name, strings.Join(words, " ")))
	}
	return notes, nil
}

// commandsTimeout is what all commands of extra files have together: the master waits.
const commandsTimeout = 40 * time.Second

// takeBack brings back what was there before a push that could not be loaded, and says
// how that went.
func (h *host) takeBack(s syncSettings, extra []string) string {
	ops, err := confsync.Previous(h.dir)
	if err == nil {
		err = confsync.Apply(h.dir, ops)
	}
	if err == nil {
		err = confsync.Forget(h.dir) // "sync -undo" must not bring back what was refused
	}
	if err != nil {
		return fmt.Sprintf("and the previous files cannot be brought back: %v", err)
	}
	if _, err := h.load(s, extra); err != nil {
		return fmt.Sprintf("the previous files are back, but cannot be loaded either: %v", err)
	}
	return "the previous configuration is back"
}

// undoSync brings back the files from before the last synchronisation, on this host.
func (h *host) undoSync(reconfigure bool, w io.Writer) error {
	h.conf.mu.Lock()
	defer h.conf.mu.Unlock()
	s, err := readSettings(h.dir)
	if err != nil {
		return err
	}
	ops, err := confsync.Previous(h.dir)
	if err == nil {
		err = confsync.Apply(h.dir, ops)
	}
	if err != nil {
		return err
	}
	h.conf.stored.Store(true)
	h.journal.add("command", "sync -undo")
	var changes []confsync.Change
	for _, op := range ops {
		section, _ := confsync.SectionOf(op.Name)
		changes = append(changes, confsync.Change{Name: op.Name, Section: section})
		fmt.Fprintln(w, op.Name+": as before")
	}
	state, err := confsync.ReadState(h.dir)
	if err != nil {
		return err
	}
	state.Pending = pending(state.Pending, changes)
	if reconfigure {
		notes, err := h.load(s.sync, state.Pending)
		if err != nil {
			return err
		}
		state.Pending = nil
		for _, n := range notes {
			fmt.Fprintln(w, n)
		}
	}
	return state.Write(h.dir)
}
