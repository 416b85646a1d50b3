package carptest

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// An Addrs records what it is asked to do with addresses. The zero Addrs
// succeeds at everything; a Journal also gets a line for each call.
type Addrs struct {
	Name    string   // who acts, in the journal
	Journal *Journal // may be nil; set before use

	mu    sync.Mutex
	fail  error
	stuck error
	slow  time.Duration
	held  bool
	calls map[string]int
	addrs []netip.Prefix
}

var (
	_ carp.Addrs      = (*Addrs)(nil)
	_ carp.AddrSetter = (*Addrs)(nil)
	_ carp.Yielder    = (*Addrs)(nil)
)

// FailAcquire makes Acquire and SetAddresses fail with err; nil ends that.
func (a *Addrs) FailAcquire(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
}

// FailRelease makes Release fail with err; nil ends that.
func (a *Addrs) FailRelease(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stuck = err
}

// Slow makes every call take so long.
func (a *Addrs) Slow(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slow = d
}

// Held reports whether the addresses are there.
func (a *Addrs) Held() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// Calls is how often a method was called: "acquire", "announce", "yield",
// "release" or "set".
func (a *Addrs) Calls(method string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[method]
}

// Addresses are those of the last SetAddresses that succeeded.
func (a *Addrs) Addresses() []netip.Prefix {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.addrs)
}

// Acquire implements [carp.Addrs].
func (a *Addrs) Acquire(context.Context) error {
	err := a.call("acquire", &a.fail)
	if err == nil {
		a.setHeld(true)
	}
	return err
}

// Announce implements [carp.Addrs].
func (a *Addrs) Announce(context.Context) error { return a.call("announce", nil) }

// Release implements [carp.Addrs].
func (a *Addrs) Release(context.Context) error {
	err := a.call("release", &a.stuck)
	if err == nil {
		a.setHeld(false)
	}
	return err
}

// Yield implements [carp.Yielder]. It is counted, and not in the journal.
func (a *Addrs) Yield() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count("yield")
}

// SetAddresses implements [carp.AddrSetter].
func (a *Addrs) SetAddresses(_ context.Context, addrs []netip.Prefix) error {
	if err := a.call("set", &a.fail); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addrs = slices.Clone(addrs)
	return nil
}

// call does what most methods do; fail is why it is to fail.
func (a *Addrs) call(method string, fail *error) (err error) {
	a.mu.Lock()
	a.count(method)
	slow := a.slow
	if fail != nil {
		err = *fail
	}
	a.mu.Unlock()

	if slow > 0 {
		time.Sleep(slow)
	}
	if a.Journal != nil {
		what := method
		if err != nil {
			what += ": " + err.Error()
		}
		a.Journal.Add(a.Name, what)
	}
	return err
}

func (a *Addrs) count(method string) {
	if a.calls == nil {
		a.calls = make(map[string]int)
	}
	a.calls[method]++
}

func (a *Addrs) setHeld(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = on
}
