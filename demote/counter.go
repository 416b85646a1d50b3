package demote

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// A Counter is one demotion for the whole host, FreeBSD's
// net.inet.carp.demotion: the sum of its contributions, which may be negative.
// Its range is that of the kernel's int, 32 bits; contributions and sum stop
// at its ends, but the contributions stay exact and can be taken back.
//
// The zero Counter is 0 and ready to use. It must not be copied after first
// use.
type Counter struct {
	// OnChange, if not nil, is called once for each change, in their order, to
	// log it; see the package comment for how. It must be set before the first
	// change.
	OnChange func(Change)

	mu       sync.Mutex
	causes   map[string]int // never 0
	total    int64          // sum of causes
	value    atomic.Int64   // total, within the range
	watchers []*call
	queue    queue
}

// Value returns the demotion.
func (c *Counter) Value() int { return int(c.value.Load()) }

// Set makes n the contribution of cause, in place of what it was; 0 removes
// it.
func (c *Counter) Set(cause string, n int) {
	c.mu.Lock()
	c.set(cause, int32Range(int64(n)))
}

// Adjust adds n to the operator's contribution, as does a write of n to
// net.inet.carp.demotion; it is taken back by adding -n. Maintenance is 240,
// the most that has an effect.
func (c *Counter) Adjust(n int) {
	c.mu.Lock()
	c.set(Operator, int32Range(int64(c.causes[Operator])+int32Range(int64(n))))
}

// set is Set with mu locked, and unlocks it.
func (c *Counter) set(cause string, n int64) {
	by := n - int64(c.causes[cause])
	if by == 0 {
		c.mu.Unlock()
		return
	}
	if c.causes == nil {
		c.causes = make(map[string]int)
	}
	c.causes[cause] = int(n)
	if n == 0 {
		delete(c.causes, cause)
	}
	c.total += by
	before := c.value.Swap(int32Range(c.total))
	if c.OnChange != nil {
		change := Change{Cause: cause, By: int(by), To: c.Value()}
		c.queue.add(&call{fn: func() { c.OnChange(change) }})
	}
	if before != c.value.Load() {
		c.queue.add(c.watchers...)
	}
	c.queue.deliver(&c.mu)
}

// Causes returns the contributions that are not 0, sorted by name.
func (c *Counter) Causes() []Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	causes := make([]Cause, 0, len(c.causes))
	for _, name := range slices.Sorted(maps.Keys(c.causes)) {
		causes = append(causes, Cause{Name: name, N: c.causes[name]})
	}
	return causes
}

// Watch calls fn after each change of the value, until stop is called. Changes
// in quick succession may share one call, but the last call sees the last
// value. No call begins after stop has returned, but one that began before may
// still be at work.
func (c *Counter) Watch(fn func()) (stop func()) {
	return watch(&c.mu, &c.watchers, fn)
}

func int32Range(n int64) int64 {
	return min(max(n, math.MinInt32), math.MaxInt32)
}
