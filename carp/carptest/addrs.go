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
	slow  time.Duration
	held  bool
	calls map[string]int
	addrs []netip.Prefix
}

var (
	_ carp.Addrs      = (*Addrs)(nil)
	_ carp.AddrSetter = (*Addrs)(nil)
)

// FailAcquire makes Acquire and SetAddresses fail with err; nil ends that.
func (a *Addrs) FailAcquire(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
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

// Calls is how often a method was called: "acquire", "announce", "release" or
// "set".
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
	err := a.call("acquire", true)
	if err == nil {
		a.setHeld(true)
	}
	return err
}

// Announce implements [carp.Addrs].
func (a *Addrs) Announce(context.Context) error { return a.call("announce", false) }

// Release implements [carp.Addrs].
func (a *Addrs) Release(context.Context) error {
	err := a.call("release", false)
	a.setHeld(false)
	return err
}

// SetAddresses implements [carp.AddrSetter].
func (a *Addrs) SetAddresses(_ context.Context, addrs []netip.Prefix) error {
	if err := a.call("set", true); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addrs = slices.Clone(addrs)
	return nil
}

// call does what all methods do.
func (a *Addrs) call(method string, canFail bool) error {
	a.mu.Lock()
	if a.calls == nil {
		a.calls = make(map[string]int)
	}
	a.calls[method]++
	slow, err := a.slow, a.fail
	a.mu.Unlock()

	if slow > 0 {
		time.Sleep(slow)
	}
	if !canFail {
		err = nil
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

func (a *Addrs) setHeld(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = on
}
