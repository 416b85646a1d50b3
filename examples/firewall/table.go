package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

// A mirror is a state table that is the same as the kernel's: a conntrack.Table.
type mirror interface {
	pfsync.Store
	Run(context.Context) error
	Commit(context.Context) error
	Yield(bool)
	Adopted()
	CatchUp() error
	tell(*pfsync.Node) // of what changes here, from now on
}

// openTable makes the state table that pfsync keeps the same on all hosts: the
// kernel's, unless the settings have one in memory, which holds what the peers say and
// gives it to those that ask.
func (h *host) openTable() (err error) {
	s := &h.settings
	if s.states.kernel() {
		if h.mirror, err = h.openMirror(); err != nil {
			return fmt.Errorf("firewall: the kernel's connections cannot be mirrored (states.policy = %q in %s does without): %w",
				statesMemory, settingsFile, err)
		}
		h.table = h.mirror
		return nil
	}
	h.table, err = pfsync.NewMemory(pfsync.MemoryConfig{Dialect: s.pfsyncDialect, Limit: s.maxStates})
	return err
}

// runMirror starts the mirror. The function it returns ends it; the kernel keeps what
// it has.
func (h *host) runMirror() (end func() error) {
	if h.mirror == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := h.mirror.Run(ctx)
		if ctx.Err() == nil {
			h.fail(fmt.Errorf("firewall: states: %w", errors.Join(err, errors.New("the mirror has ended"))))
		}
		done <- err
	}()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

// warnOfStates logs what keeps connections from surviving.
func (h *host) warnOfStates() {
	if h.mirror == nil {
		return
	}
	for _, text := range stateWarnings() {
		h.log.Warn("firewall: " + text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), nftTimeout)
	defer cancel()
	rules, err := masqueraded(ctx)
	if err != nil {
		h.log.Warn("firewall: " + err.Error())
	}
	for _, rule := range rules {
		h.log.Warn("firewall: " + fmt.Sprintf(masqueradeWarning, rule))
	}
}

// ownAddrs are the addresses at which connections end on this host.
func (h *host) ownAddrs() ([]netip.Addr, error) {
	all := slices.Collect(maps.Keys(*h.virtual.Load()))
	m, err := readMachine()
	for _, l := range m {
		for _, a := range l.addrs {
			all = append(all, a.Addr())
		}
	}
	return all, err
}

// adoptWhenSynced tells the mirror when the peers have told all they know.
func (h *host) adoptWhenSynced(y *syncer) {
	const pause = 100 * time.Millisecond
	for {
		s, err := y.node.Status(context.Background())
		if err != nil {
			return // it has ended
		}
		if s.SyncOK {
			h.mirror.Adopted()
			return
		}
		time.Sleep(pause)
	}
}

const (
	// commitTimeout bounds how long the addresses wait for the states. What peers have
	// said is in the kernel within milliseconds, or, if it was held back, a quarter of a
	// second for a hundred thousand connections. Only a machine that is overloaded was
	// seen to take four seconds. Connections survive the wait, but not packets that come
	// before their translation.
	commitTimeout = 5 * time.Second

	// yieldFor is for how long after the addresses are gone the ends of connections
	// are put down to that.
	yieldFor = 2 * time.Second
)

// A statefulAddrs is the addresses of a virtual host, which come after the states, and
// whose going ends no connection elsewhere. Its methods are called by one node.
type statefulAddrs struct {
	*vip.Applier
	h    *host
	name string
}

// addrs are what the node of v takes and gives up.
func (h *host) addrs(v *vhost) carp.Addrs {
	if h.mirror == nil {
		return v.addrs
	}
	return &statefulAddrs{v.addrs, h, v.name}
}

// Acquire implements [carp.Addrs].
func (a *statefulAddrs) Acquire(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := a.h.reclaims(soon, a.name); err != nil {
		a.h.log.Warn("firewall: the addresses come before some of the states", "interface", a.name, "err", err)
	}
	return a.Applier.Acquire(ctx)
}

// Yield implements [carp.Yielder].
func (a *statefulAddrs) Yield() {
	a.h.yields(a.name)
	a.Applier.Yield()
}

// Silence implements [carp.Silencer].
func (a *statefulAddrs) Silence() error {
	a.h.yields(a.name)
	return a.Applier.Silence()
}

// Release implements [carp.Addrs].
func (a *statefulAddrs) Release(ctx context.Context) error {
	a.h.yields(a.name)
	err := a.Applier.Release(ctx)
	if err == nil {
		a.h.yieldsUntil(a.name, yieldFor)
	}
	return err
}

// yielders are the carp interfaces that give their addresses up.
type yielders struct {
	mu    sync.Mutex
	turn  uint64
	names map[string]uint64 // and when they began
}

// yields has the mirror know that a carp interface gives its addresses up.
func (h *host) yields(name string) {
	y := &h.yielders
	y.mu.Lock()
	defer y.mu.Unlock()
	y.turn++
	y.names[name] = y.turn
	h.mirror.Yield(true)
}

// yieldsUntil has it know, d from now, that it has done so, unless it has begun again.
func (h *host) yieldsUntil(name string, d time.Duration) {
	y := &h.yielders
	y.mu.Lock()
	defer y.mu.Unlock()
	turn := y.names[name]
	time.AfterFunc(d, func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.names[name] != turn || turn == 0 {
			return
		}
		delete(y.names, name)
		if len(y.names) == 0 {
			h.mirror.Yield(false)
		}
	})
}

// reclaims has what peers have said be in the kernel: a carp interface takes its
// addresses, and does not give them up any more if it did.
func (h *host) reclaims(ctx context.Context, name string) error {
	err := h.mirror.Commit(ctx)
	y := &h.yielders
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.names, name)
	if len(y.names) > 0 {
		h.mirror.Yield(true) // others do, still
	}
	return err
}
