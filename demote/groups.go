package demote

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Groups that exist without a member.
const (
	// All is the group of every interface. The operator can demote it; events
	// do not count in it.
	All = "all"
	// Carp is the group of every carp interface, and of pfsync0, by default;
	// see [Groups.Join].
	Carp = "carp"
)

const (
	maxCount  = 255 // the demotion field of an advertisement is one octet
	maxAdjust = 128 // of one carpdemote
	maxName   = 15  // IFNAMSIZ without its NUL
)

// Errors to branch on, with [errors.Is].
var (
	ErrRange  = errors.New("out of range")             // an adjustment, or what it leads to
	ErrName   = errors.New("invalid name")             // see [CheckName]
	ErrExists = errors.New("already there")            // an interface, or its membership
	ErrNone   = errors.New("no such group")            // or the interface is not in it
	ErrClosed = errors.New("interface was detached")   // by [Member.Close]
	errAll    = errors.New("every interface is in it") // leaving All
)

// A Groups holds the interface groups of one host and their carp demote
// counts, as OpenBSD keeps them. A count is what the operator adjusted it by
// plus the events of its members, and is never seen below 0 or above 255.
//
// Unlike the kernel, a Groups adjusts no counter step by step: it adds up the
// contributions that stand. So nothing is lost at the limits, whereas a kernel's
// counter that was cut off at 0 stays wrong for good.
//
// The operator may take from a group more than was given by hand, to override
// events. This ends with the last event in the group: what was taken too much
// is forgotten, for else it would hide the next failure.
//
// A group exists while it has a member, and [All] and [Carp] always. With its
// last member a group loses what the operator adjusted.
//
// The zero Groups is ready to use. It must not be copied after first use.
type Groups struct {
	// OnChange, if not nil, is called once for each change of a group's
	// contributions, in their order, to log it; see the package comment for
	// how. It must be set before the first change.
	OnChange func(Change)

	mu      sync.Mutex
	members []*Member      // in the order they joined
	hand    map[string]int // by group: the operator's part
	queue   queue
}

// CheckName returns an error unless name is fit for a group. As in ifconfig(8)
// it has 1 to 15 characters and does not end in a digit, which is how names of
// interfaces end; blanks and control characters would garble a status line.
func CheckName(name string) error {
	var wrong string
	switch {
	case name == "":
		wrong = "is empty"
	case len(name) > maxName:
		wrong = fmt.Sprintf("has more than %d characters", maxName)
	case name[len(name)-1] >= '0' && name[len(name)-1] <= '9':
		wrong = "ends in a digit"
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		wrong = "contains a blank or control character"
	default:
		return nil
	}
	return fmt.Errorf("demote: group %q %s: %w", name, wrong, ErrName)
}

// Adjust is ifconfig -g group carpdemote n or, with n negative, -carpdemote.
// n is from -128 to 128 and not 0. The count must not rise above 255 or fall
// below 0 by it: then the error is [ErrRange] and nothing changes. The error
// is [ErrNone] if there is no such group.
func (g *Groups) Adjust(group string, n int) error {
	if n == 0 || n < -maxAdjust || n > maxAdjust {
		return fmt.Errorf("demote: group %q: adjustment %d is not 1 to %d, up or down: %w", group, n, maxAdjust, ErrRange)
	}
	g.mu.Lock()
	if !g.exists(group) {
		g.mu.Unlock()
		return fmt.Errorf("demote: group %q: %w", group, ErrNone)
	}
	// Above 255 because of events, a step down is fine even if it leads to
	// another number above 255; and below 0 a step up.
	if sum := g.sum(group) + n; n > 0 && sum > maxCount || n < 0 && sum < 0 {
		count := g.count(group)
		g.mu.Unlock()
		return fmt.Errorf("demote: group %q: count %d cannot change by %d: %w", group, count, n, ErrRange)
	}
	if g.hand == nil {
		g.hand = make(map[string]int)
	}
	g.hand[group] += n
	g.changed(Change{Group: group, Cause: Operator, By: n})
	g.settle()
	return nil
}

// Count returns the carp demote count of group, 0 to 255, which is what
// ifconfig -g group shows. The error is [ErrNone] if there is no such group.
func (g *Groups) Count(group string) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.exists(group) {
		return 0, fmt.Errorf("demote: group %q: %w", group, ErrNone)
	}
	return g.count(group), nil
}

// Names returns the names of all groups, sorted.
func (g *Groups) Names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	names := map[string]bool{All: true, Carp: true}
	for _, m := range g.members {
		for _, group := range m.groups {
			names[group] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Members returns the names of the interfaces in group, in the order in which
// they were attached.
func (g *Groups) Members(group string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, m := range g.members {
		if m.in(group) {
			names = append(names, m.name)
		}
	}
	return names
}

// Join attaches the interface ifname, which is not attached already, and
// returns it. It is in [All] and in groups, in no other: a carp interface, or
// pfsync0, is a member of [Carp] only if the caller says so, as in
// Join("carp1", demote.Carp, "internal").
func (g *Groups) Join(ifname string, groups ...string) (*Member, error) {
	if ifname == "" {
		return nil, fmt.Errorf("demote: interface %q: %w", ifname, ErrName)
	}
	m := &Member{host: g, name: ifname, groups: []string{All}}
	for _, group := range groups {
		if err := m.enter(group); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	if slices.ContainsFunc(g.members, func(o *Member) bool { return o.name == ifname }) {
		g.mu.Unlock()
		return nil, fmt.Errorf("demote: interface %q: %w", ifname, ErrExists)
	}
	g.members = append(g.members, m)
	g.settle()
	return m, nil
}

func (g *Groups) exists(group string) bool {
	return group == All || group == Carp ||
		slices.ContainsFunc(g.members, func(m *Member) bool { return m.in(group) })
}

// events returns what the members contribute to group: carp_group_demote_adj()
// counts an event in each group of its interface but "all".
func (g *Groups) events(group string) int {
	n := 0
	for _, m := range g.members {
		if group != All && m.in(group) {
			n += m.private
		}
	}
	return n
}

// sum returns the count of group without its limits.
func (g *Groups) sum(group string) int { return g.hand[group] + g.events(group) }

func (g *Groups) count(group string) int { return min(max(g.sum(group), 0), maxCount) }

// changed has c reported to OnChange, with the count that c has led to.
func (g *Groups) changed(c Change) {
	if g.OnChange == nil {
		return
	}
	c.To = g.count(c.Group)
	g.queue.add(&call{fn: func() { g.OnChange(c) }})
}

// settle follows every change. It is called with mu locked and unlocks it. The
// few members and groups of a host are not worth finding out which ones the
// change concerned.
func (g *Groups) settle() {
	maps.DeleteFunc(g.hand, func(group string, n int) bool {
		return n == 0 || !g.exists(group) || n < 0 && g.events(group) == 0
	})
	for _, m := range g.members {
		m.update()
	}
	g.queue.deliver(&g.mu)
}
