package demote

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
)

// A Member is an interface in a [Groups]. What happens to it counts in each of
// its groups except [All], and so demotes every member of these groups: this
// is how all interfaces of a host fail over together. Another interface that
// shares k groups with it is demoted k times.
type Member struct {
	host *Groups
	name string

	// guarded by host.mu
	groups   []string       // All first
	causes   map[string]int // events, 1 to 255
	private  int            // sum of causes
	closed   bool
	watchers []*call

	value atomic.Int64
}

// Name returns the name of the interface.
func (m *Member) Name() string { return m.name }

// Value returns the demotion that the interface advertises, 0 to 255: the sum
// of the counts of its groups or, if that is 0, its own events. This is
// carp_group_demote_count().
func (m *Member) Value() int { return int(m.value.Load()) }

// Set makes n, which is taken into 0 to 255, what the event cause contributes
// to the groups of the interface, in place of what it was; 0 removes it. It
// does nothing after Close.
func (m *Member) Set(cause string, n int) {
	m.host.mu.Lock()
	n = min(max(n, 0), maxCount)
	by := n - m.causes[cause]
	if m.closed || by == 0 {
		m.host.mu.Unlock()
		return
	}
	if m.causes == nil {
		m.causes = make(map[string]int)
	}
	m.causes[cause] = n
	if n == 0 {
		delete(m.causes, cause)
	}
	m.private += by
	for _, group := range m.groups[1:] {
		m.host.changed(Change{Interface: m.name, Group: group, Cause: cause, By: by})
	}
	m.host.settle()
}

// Join is ifconfig group: it adds the interface to one more group, along with
// the events of the interface that stand.
func (m *Member) Join(group string) error {
	m.host.mu.Lock()
	if m.closed {
		m.host.mu.Unlock()
		return fmt.Errorf("demote: interface %q: %w", m.name, ErrClosed)
	}
	if err := m.enter(group); err != nil {
		m.host.mu.Unlock()
		return err
	}
	m.moved(group, "join", m.private)
	m.host.settle()
	return nil
}

// Leave is ifconfig -group: it takes the interface out of group, along with
// its events. No interface leaves [All].
func (m *Member) Leave(group string) error {
	m.host.mu.Lock()
	i := slices.Index(m.groups, group)
	if i <= 0 {
		m.host.mu.Unlock()
		err := ErrNone
		if group == All {
			err = errAll
		}
		return fmt.Errorf("demote: interface %q: leave group %q: %w", m.name, group, err)
	}
	m.groups = slices.Delete(m.groups, i, i+1)
	m.moved(group, "leave", -m.private)
	m.host.settle()
	return nil
}

// Close detaches the interface: it leaves every group, its events are undone,
// and its value is 0 from now on.
func (m *Member) Close() {
	m.host.mu.Lock()
	if m.closed {
		m.host.mu.Unlock()
		return
	}
	groups, private := m.groups[1:], m.private
	m.closed, m.groups, m.causes, m.private = true, nil, nil, 0
	m.host.members = slices.DeleteFunc(m.host.members, func(o *Member) bool { return o == m })
	m.update()
	for _, group := range groups {
		m.moved(group, "detach", -private)
	}
	m.host.settle()
}

// Groups returns the names of the groups of the interface, [All] first, then
// in the order in which it joined them.
func (m *Member) Groups() []string {
	m.host.mu.Lock()
	defer m.host.mu.Unlock()
	return slices.Clone(m.groups)
}

// Causes returns what makes up the value: for each group the operator's part
// and the events of all its members, sorted by name for each; and last, if the
// counts of the groups are all 0, the private events of m. They sum up to the
// value unless it, or the count of a group, is at a limit.
func (m *Member) Causes() []Cause {
	g := m.host
	g.mu.Lock()
	defer g.mu.Unlock()
	var causes []Cause
	sum := 0
	for _, group := range m.groups {
		sum += g.count(group)
		if n := g.hand[group]; n != 0 {
			causes = append(causes, Cause{Name: Operator, N: n, Group: group})
		}
		if group == All {
			continue
		}
		for _, o := range g.members {
			if o.in(group) {
				causes = o.appendEvents(causes, group)
			}
		}
	}
	if sum == 0 {
		causes = m.appendEvents(causes, "")
	}
	return causes
}

// Watch calls fn after each change of the value, until stop is called. Changes
// in quick succession may share one call, but the last call sees the last
// value. No call begins after stop has returned, but one that began before may
// still be at work.
func (m *Member) Watch(fn func()) (stop func()) {
	return watch(&m.host.mu, &m.watchers, fn)
}

func (m *Member) in(group string) bool { return slices.Contains(m.groups, group) }

func (m *Member) enter(group string) error {
	if err := CheckName(group); err != nil {
		return err
	}
	if m.in(group) {
		return fmt.Errorf("demote: interface %q in group %q: %w", m.name, group, ErrExists)
	}
	m.groups = append(m.groups, group)
	return nil
}

// moved reports that the events of m, by in all, came to group or left it.
func (m *Member) moved(group, why string, by int) {
	if by != 0 {
		m.host.changed(Change{Interface: m.name, Group: group, Cause: why, By: by})
	}
}

// update recomputes the value, with mu locked.
func (m *Member) update() {
	n := 0
	for _, group := range m.groups {
		n += m.host.count(group)
	}
	if n == 0 {
		n = m.private
	}
	if v := int64(min(n, maxCount)); v != m.value.Swap(v) {
		m.host.queue.add(m.watchers...)
	}
}

func (m *Member) appendEvents(causes []Cause, group string) []Cause {
	for _, name := range slices.Sorted(maps.Keys(m.causes)) {
		causes = append(causes, Cause{Name: name, N: m.causes[name], Group: group, Interface: m.name})
	}
	return causes
}
