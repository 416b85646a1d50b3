package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/demote"
	"github.com/gocarp/gocarp/internal/hook"
	"github.com/gocarp/gocarp/internal/ifconfig"
	"github.com/gocarp/gocarp/pfsync"
)

// A host is what the daemon runs. Changes are made one at a time; everybody may look
// at any time, by way of view.
//
// Node goroutines call stateChanged and the like. Whoever changes something waits
// for those goroutines, so what they call takes no lock but those of the journal,
// the hooks and the demotion groups.
type host struct {
	dir      string
	settings settings
	log      *slog.Logger
	carpLog  *slog.Logger // goes by net.inet.carp.log
	logLevel atomic.Int32 // net.inet.carp.log
	journal  *journal
	hooks    *hook.Queue
	failing  failingHooks
	groups   demote.Groups
	peer     *neighbour          // nil: there is no channel to the other host
	self     *demote.Member      // what demotes the whole host counts here, in group carp
	wan      atomic.Pointer[wan] // nil: there is no interface that only the master brings up
	table    pfsync.Store
	mirror   mirror // the table, if it is the kernel's; else nil
	yielders yielders

	endMirror func() error
	hostID    uint32
	failed    chan error // see fail
	draining  atomic.Bool

	virtual  atomic.Pointer[map[netip.Addr]bool] // all shared addresses
	subjects sync.Map                            // "1@em0" to its *vhost

	conf     confSync
	changing sync.Mutex // held for as long as a change takes
	stopped  bool       // no more changes

	mu sync.Mutex // guards what follows, and is held for moments
	running
}

// running is what runs. Somebody who looks gets a copy.
type running struct {
	config  ifconfig.Config
	sysctls sysctls
	members map[string]*demote.Member // of all interfaces
	vhosts  map[string]*vhost         // by carp interface; those that take part, or are down
	devices map[string]*device        // by real interface
	sync    *syncer                   // nil: pfsync0 is not up
	broken  map[string]error          // by interface: what went wrong with it last
	checks  []*runningCheck           // in the order they were started
}

// newHost makes a host that runs nothing yet.
func newHost(dir string, s *setup, log *slog.Logger) (*host, error) {
	h := &host{
		dir: dir, settings: s.settings, log: log, journal: newJournal(), hostID: randomID(),
		failed: make(chan error, 1), yielders: yielders{names: make(map[string]uint64)},
		running: running{
			sysctls: s.sysctls, members: make(map[string]*demote.Member),
			vhosts: make(map[string]*vhost), devices: make(map[string]*device), broken: make(map[string]error),
		},
	}
	h.logLevel.Store(int32(s.sysctls.log))
	h.carpLog = slog.New(logFilter{log.Handler(), &h.logLevel})
	h.virtual.Store(new(map[netip.Addr]bool))
	h.groups.OnChange = func(c demote.Change) {
		h.journal.add("demotion", c.String())
		h.log.Info("firewall: " + c.String())
	}
	h.hooks = hook.New(hook.Config{
		Dir: filepath.Join(dir, hooksDir), Timeout: s.settings.hookTimeout, Logger: log, Done: h.hookDone,
	})
	if err := h.openTable(); err != nil {
		return nil, err
	}
	if err := h.openPeer(s); err != nil {
		return nil, err
	}
	var err error
	h.self, err = h.groups.Join(selfName, demote.Carp)
	return h, err
}

const (
	// selfName is where demotions of the whole host count, beside the interfaces.
	selfName = "host"

	// starting demotes until all is in place, as OpenBSD's rc does it.
	starting       = "starting"
	startingDemote = 128
)

// fail ends the program, in order, because of err.
func (h *host) fail(err error) {
	select {
	case h.failed <- err:
	default: // it ends already
	}
}

// view is a copy of what runs.
func (h *host) view() running {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.running
	n.members, n.vhosts = maps.Clone(n.members), maps.Clone(n.vhosts)
	n.devices, n.broken = maps.Clone(n.devices), maps.Clone(n.broken)
	return n
}

// set changes what runs.
func (h *host) set(f func(*running)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.running)
}

// start brings everything up that s asks for. Until all of it is there, and pfsync has
// put on its own demotion, the host is demoted. If anything fails, stop is due.
func (h *host) start(ctx context.Context, s *setup) error {
	h.self.Set(starting, startingDemote)
	h.endMirror = h.runMirror()
	go h.warnOfStates()
	if s.maintenance {
		h.self.Set(maintenance, maintenanceDemote)
	}
	if err := h.openWAN(); err != nil {
		return err
	}
	if err := h.changeTo(s.config); err != nil {
		return err
	}
	if err := h.startChecks(s.settings.checks); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.force)) {
		if v := h.view().vhosts[name]; v != nil {
			if err := v.dev.node.Force(v.vhid, s.force[name]); err != nil {
				return err
			}
		}
	}
	// By now pfsync has put on the demotion for its bulk update.
	if y := h.view().sync; y != nil {
		if _, err := y.node.Status(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	h.self.Set(starting, 0)
	return nil
}

// flushTimeout bounds the wait for pfsync at the end.
const flushTimeout = time.Second

// stop hands over to the other host and takes everything down: what the peers do not
// know yet goes out, masters bow out and keep forwarding until a successor is there,
// then the addresses go, then pfsync, which has told of all until here.
func (h *host) stop() error {
	h.changing.Lock() // for good: nobody begins anything any more
	defer h.changing.Unlock()
	h.stopped = true
	h.flush()

	n := h.view()
	var errs []error
	for _, d := range n.devices {
		d.cancel() // all at once, so that they leave together
	}
	for _, d := range n.devices {
		errs = append(errs, d.wait())
	}
	errs = append(errs, h.closeWAN())
	for _, v := range n.vhosts {
		errs = append(errs, h.letGo(v))
	}
	endChecks(n.checks...) // not earlier: a host that fails must not look well at the end
	h.flush()              // what has begun meanwhile
	if n.sync != nil {
		errs = append(errs, n.sync.close())
	}
	errs = append(errs, h.endMirror())
	ctx, cancel := context.WithTimeout(context.Background(), hooksTimeout)
	defer cancel()
	if left := h.hooks.Close(ctx); left > 0 {
		h.log.Error("firewall: hooks were killed, to end in time", "hosts", left, "after", hooksTimeout)
	}
	return errors.Join(errs...)
}

// hooksTimeout is what hooks that are left at the end have together.
const hooksTimeout = 10 * time.Second

// flush has pfsync send what it has collected, and what the kernel knew until now.
func (h *host) flush() {
	y := h.view().sync
	if y == nil {
		return
	}
	if h.mirror != nil {
		if err := h.mirror.CatchUp(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.log.Warn("firewall: cannot look for new connections", "err", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := y.node.Flush(ctx); err != nil && !errors.Is(err, pfsync.ErrStopped) {
		h.log.Warn("firewall: cannot flush", "err", err)
	}
}

// stateChanged is called by a node when one of its virtual hosts has another state.
func (h *host) stateChanged(c carp.Change) {
	name, demotion := c.Subject(), 0
	if v, ok := h.subjects.Load(c.Subject()); ok {
		name, demotion = v.(*vhost).name, v.(*vhost).member.Value()
	}
	h.journal.add("state", fmt.Sprintf("%s (%s) %v -> %v: %v, demotion %d", name, c.Subject(), c.From, c.To, c.Reason, demotion))
	h.hooks.Add(c)
	h.wanLooks()
}

// isVirtual reports whether addr is one of the shared addresses.
func (h *host) isVirtual(addr netip.Addr) bool { return (*h.virtual.Load())[addr] }

// setVirtual makes the addresses of c the shared ones.
func (h *host) setVirtual(configs ...ifconfig.Config) {
	all := make(map[netip.Addr]bool)
	for _, c := range configs {
		for _, i := range c.Carp {
			for _, a := range i.Addresses {
				all[a.Prefix.Addr()] = true
			}
		}
	}
	h.virtual.Store(&all)
}
