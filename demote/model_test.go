package demote

import (
	"math/rand/v2"
	"testing"
)

// A kernel is the naive model: it steps counters up and down with each event,
// as OpenBSD does, but cuts nothing off.
type kernel struct {
	hand, events map[string]int // by group
	ifs          map[string]*kernelIf
}

type kernelIf struct {
	groups map[string]bool
	causes map[string]int
}

func (k *kernel) private(name string) (n int) {
	for _, c := range k.ifs[name].causes {
		n += c
	}
	return n
}

func (k *kernel) event(name, cause string, n int) {
	by := n - k.ifs[name].causes[cause]
	k.ifs[name].causes[cause] = n
	for group := range k.ifs[name].groups {
		k.events[group] += by
	}
}

func (k *kernel) join(name, group string) bool {
	if k.ifs[name].groups[group] {
		return false
	}
	k.ifs[name].groups[group] = true
	k.events[group] += k.private(name)
	return true
}

func (k *kernel) leave(name, group string) bool {
	if !k.ifs[name].groups[group] {
		return false
	}
	delete(k.ifs[name].groups, group)
	k.events[group] -= k.private(name)
	return true
}

func (k *kernel) adjust(group string, n int) bool {
	sum := k.hand[group] + k.events[group] + n
	if !k.exists(group) || n > 0 && sum > 255 || n < 0 && sum < 0 {
		return false
	}
	k.hand[group] += n
	return true
}

func (k *kernel) exists(group string) bool {
	for _, i := range k.ifs {
		if i.groups[group] {
			return true
		}
	}
	return group == All || group == Carp
}

// tidy ends overrides and groups that are over.
func (k *kernel) tidy() {
	for group, n := range k.hand {
		if n < 0 && k.events[group] == 0 || !k.exists(group) {
			k.hand[group] = 0
		}
	}
}

func (k *kernel) count(group string) int { return min(max(k.hand[group]+k.events[group], 0), 255) }

func (k *kernel) value(name string) int {
	n := k.count(All)
	for group := range k.ifs[name].groups {
		n += k.count(group)
	}
	if n == 0 {
		n = k.private(name)
	}
	return min(n, 255)
}

// Random operations against the model: every count, every value, and every
// member's watcher called exactly when the value changed. When all is undone,
// all counts are 0.
func TestGroupsModel(t *testing.T) {
	groups := []string{Carp, "internal", "lan"}
	names := []string{"carp1", "carp2", "pfsync0"}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		pick := func(from []string) string { return from[rnd.IntN(len(from))] }

		k := kernel{map[string]int{}, map[string]int{}, map[string]*kernelIf{}}
		var g Groups
		members, seen, calls := map[string]*Member{}, map[string]int{}, map[string]int{}
		for _, name := range names {
			m := join(t, &g, name)
			members[name] = m
			k.ifs[name] = &kernelIf{map[string]bool{}, map[string]int{}}
			m.Watch(func() { seen[name] = m.Value(); calls[name]++ })
		}
		check := func(op int) {
			t.Helper()
			k.tidy()
			for _, group := range groups {
				if n, err := g.Count(group); n != k.count(group) || (err == nil) != k.exists(group) {
					t.Fatalf("seed %d, op %d: count of %s %d, %v; want %d", seed, op, group, n, err, k.count(group))
				}
			}
			for name, m := range members {
				if v := m.Value(); v != k.value(name) || v != seen[name] {
					t.Fatalf("seed %d, op %d: value of %s %d, seen %d, want %d", seed, op, name, v, seen[name], k.value(name))
				}
			}
		}
		for op := range 300 {
			name, group := pick(names), pick(groups)
			before, called := members[name].Value(), calls[name]
			switch rnd.IntN(6) {
			case 0, 1, 2:
				cause, n := pick([]string{"carpdev", "senderr"}), rnd.IntN(3)*rnd.IntN(80)
				members[name].Set(cause, n)
				k.event(name, cause, n)
			case 3:
				if got, want := members[name].Join(group) == nil, k.join(name, group); got != want {
					t.Fatalf("seed %d, op %d: join %s %s: %v, want %v", seed, op, name, group, got, want)
				}
			case 4:
				if got, want := members[name].Leave(group) == nil, k.leave(name, group); got != want {
					t.Fatalf("seed %d, op %d: leave %s %s: %v, want %v", seed, op, name, group, got, want)
				}
			case 5:
				if n := rnd.IntN(257) - 128; n != 0 {
					if got, want := g.Adjust(group, n) == nil, k.adjust(group, n); got != want {
						t.Fatalf("seed %d, op %d: adjust %s %d: %v, want %v", seed, op, group, n, got, want)
					}
				}
			}
			check(op)
			if changed := members[name].Value() != before; changed != (calls[name] != called) {
				t.Fatalf("seed %d, op %d: value changed %v, watcher called %v", seed, op, changed, !changed)
			}
		}
		for name, m := range members {
			m.Close()
			for group := range k.ifs[name].groups {
				k.leave(name, group)
			}
			delete(k.ifs, name)
			delete(members, name)
			check(-1)
		}
		if n, _ := g.Count(Carp); n != max(k.hand[Carp], 0) {
			t.Errorf("seed %d: count of carp %d at the end, by hand %d", seed, n, k.hand[Carp])
		}
	}
}
