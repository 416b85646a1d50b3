package hook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// DefaultTimeout is what a script may take unless something else is said.
const DefaultTimeout = 30 * time.Second

// A Config says what a [Queue] runs.
type Config struct {
	// Dir has the scripts; see [Find]. It is read anew for each change.
	Dir string

	// Timeout is what one script may take. 0 means DefaultTimeout.
	Timeout time.Duration

	// Done, if not nil, is told of each script that was called, or should have
	// been. It is called on a goroutine of the Queue, for one virtual host at a time.
	Done func(Result)

	// Logger is nil for no logs. What scripts print is logged at Info, that they
	// failed at Error.
	Logger *slog.Logger
}

// A Result is what became of a script.
type Result struct {
	Script string // its name; empty if the directory could not be read
	Change carp.Change
	Took   time.Duration
	Err    error // nil if it exited with 0
}

// A Queue runs scripts beside whoever tells it of changes.
type Queue struct {
	cfg  Config
	log  *slog.Logger
	ctx  context.Context // done: kill what runs, begin nothing
	kill context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex
	closed bool
	hosts  map[string]*host // by [carp.Change.Subject]
}

// A host is what waits for a virtual host. It is there while its scripts run.
type host struct{ next *carp.Change }

// New makes a Queue. It needs to be closed.
func New(c Config) *Queue {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	q := &Queue{cfg: c, log: c.Logger, hosts: make(map[string]*host)}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	q.ctx, q.kill = context.WithCancel(context.Background())
	return q
}

// Add has the scripts called for c. It never blocks. After Close it does nothing.
func (q *Queue) Add(c carp.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	h, busy := q.hosts[c.Subject()]
	if !busy {
		h = new(host)
		q.hosts[c.Subject()] = h
		q.work.Go(func() { q.serve(c.Subject(), h) })
	}
	if h.next != nil {
		c.From = h.next.From // the newer one stands for both
	}
	h.next = &c
}

// Close takes no more changes and waits for the scripts of those that were added.
// When ctx is done it kills what is left, and says how many virtual hosts that
// concerned.
func (q *Queue) Close(ctx context.Context) (unfinished int) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	done := make(chan struct{})
	go func() { q.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		q.mu.Lock()
		unfinished = len(q.hosts)
		q.mu.Unlock()
	}
	q.kill()
	<-done
	return unfinished
}

// serve runs the scripts of a virtual host until nothing waits.
func (q *Queue) serve(subject string, h *host) {
	for {
		q.mu.Lock()
		c := h.next
		h.next = nil
		if c == nil {
			delete(q.hosts, subject)
		}
		q.mu.Unlock()
		if c == nil {
			return
		}
		q.change(h, *c)
	}
}

// change calls the scripts for c, until there is a newer change.
func (q *Queue) change(h *host, c carp.Change) {
	scripts, err := Find(q.cfg.Dir)
	if err != nil {
		q.done(Result{Change: c, Err: err})
	}
	for _, s := range scripts {
		if q.superseded(h) {
			return
		}
		r := Result{Script: s.Name, Change: c, Err: s.Err}
		if r.Err == nil {
			began := time.Now()
			r.Err = q.run(s, c)
			r.Took = time.Since(began)
		}
		q.done(r)
	}
}

func (q *Queue) superseded(h *host) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return h.next != nil || q.ctx.Err() != nil
}

// done logs a result and passes it on.
func (q *Queue) done(r Result) {
	log := q.log.With("script", r.Script, "subject", r.Change.Subject(), "state", r.Change.To.String())
	if r.Err != nil {
		log.Error("hook: failed", "err", r.Err, "took", r.Took)
	} else {
		log.Debug("hook: done", "took", r.Took)
	}
	if q.cfg.Done != nil {
		q.cfg.Done(r)
	}
}
