package main

import (
	"fmt"
	"sync"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/hook"
)

// failingHooks are the scripts that failed last time, and in which state. The one
// that could not do its work as MASTER has proven nothing when it then succeeds as
// BACKUP: if that took the demotion back, the host would take over again and fail
// again, for ever. So only a success in the same state does, or a reload.
type failingHooks struct {
	mu     sync.Mutex
	states map[hookKey]carp.State
}

type hookKey struct{ subject, script string }

// hookDone is told of each script that was called.
func (h *host) hookDone(r hook.Result) {
	what := fmt.Sprintf("%s for %s %v", r.Script, r.Change.Subject(), r.Change.To)
	if r.Err != nil {
		h.journal.add("hook", fmt.Sprintf("%s failed: %v", what, r.Err))
	} else {
		h.journal.add("hook", what+" done")
	}
	if h.settings.hookDemote == 0 {
		return
	}
	f, key := &h.failing, hookKey{r.Change.Subject(), r.Script}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := h.subjects.Load(key.subject)
	if !ok {
		return // it was destroyed meanwhile
	}
	state, failing := f.states[key]
	switch {
	case r.Err != nil:
		if f.states == nil {
			f.states = make(map[hookKey]carp.State)
		}
		f.states[key] = r.Change.To
		v.(*vhost).member.Set(key.cause(), h.settings.hookDemote)
	case failing && state == r.Change.To:
		delete(f.states, key)
		v.(*vhost).member.Set(key.cause(), 0)
	}
}

// cause is the name of the demotion.
func (k hookKey) cause() string { return "hook " + k.script }

// forgiveHooks takes the demotions of a virtual host for scripts that failed back:
// the operator says that he has mended them, or it is about to go.
func (h *host) forgiveHooks(v *vhost) {
	f := &h.failing
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.states {
		if key.subject == v.subject {
			v.member.Set(key.cause(), 0)
			delete(f.states, key)
		}
	}
}
