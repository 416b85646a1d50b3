package demote

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func join(t *testing.T, g *Groups, name string, groups ...string) *Member {
	t.Helper()
	m, err := g.Join(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func adjust(t *testing.T, g *Groups, group string, n int) {
	t.Helper()
	if err := g.Adjust(group, n); err != nil {
		t.Fatal(err)
	}
}

func wantCount(t *testing.T, g *Groups, group string, want int) {
	t.Helper()
	if n, err := g.Count(group); n != want || err != nil {
		t.Errorf("count of %s: %d, %v; want %d", group, n, err, want)
	}
}

func wantValue(t *testing.T, m *Member, want int) {
	t.Helper()
	if m.Value() != want {
		t.Errorf("value of %s: %d, want %d; causes %v", m.Name(), m.Value(), want, m.Causes())
	}
}

// The rows of the table of OpenBSD's demotion, one by one.
func TestOpenBSD(t *testing.T) {
	t.Run("advertised is the sum over the groups", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1", Carp, "internal")
		adjust(t, &g, Carp, 1)
		adjust(t, &g, "internal", 10)
		adjust(t, &g, All, 100)
		wantValue(t, m, 111)
	})
	t.Run("else the private count", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1")
		m.Set("carpdev", 3)
		wantValue(t, m, 3)
		wantCount(t, &g, All, 0)
		adjust(t, &g, All, 1)
		wantValue(t, m, 1) // and not 4
	})
	t.Run("advertised is at most 255", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1", Carp, "internal")
		m.Set("carpdev", 200)
		wantValue(t, m, 255)
		bare := join(t, &g, "carp2")
		bare.Set("a", 200)
		bare.Set("b", 200)
		wantValue(t, bare, 255)
	})
	t.Run("event counts in each group but all", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1", Carp, "internal")
		other := join(t, &g, "carp3", Carp)
		m.Set("carpdev", 1)
		wantCount(t, &g, All, 0)
		wantCount(t, &g, Carp, 1)
		wantCount(t, &g, "internal", 1)
		wantValue(t, other, 1) // all fail over together
		m.Set("carpdev", 0)
		wantValue(t, m, 0)
		wantValue(t, other, 0)
	})
	t.Run("event counts once for each shared group", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1", Carp, "internal", "lan")
		other := join(t, &g, "carp2", "lan", "internal", Carp)
		m.Set("carpdev", 2)
		wantValue(t, m, 6)
		wantValue(t, other, 6)
	})
	t.Run("pfsync0 demotes group carp", func(t *testing.T) {
		var g Groups
		carp1, pfsync0 := join(t, &g, "carp1", Carp), join(t, &g, "pfsync0", Carp)
		pfsync0.Set("pfsync bulk", 32)
		pfsync0.Set("pfsync link", 1)
		wantValue(t, carp1, 33)
		pfsync0.Set("pfsync bulk", 0)
		wantValue(t, carp1, 1)
	})
	t.Run("boot interlock before any interface", func(t *testing.T) {
		var g Groups
		adjust(t, &g, Carp, 128)
		m := join(t, &g, "carp1", Carp)
		wantValue(t, m, 128)
		adjust(t, &g, Carp, -128)
		wantValue(t, m, 0)
	})
	t.Run("events are never below 0", func(t *testing.T) {
		var g Groups
		m := join(t, &g, "carp1", Carp)
		adjust(t, &g, Carp, 5)
		m.Set("carpdev", -3)
		wantCount(t, &g, Carp, 5)
	})
	t.Run("join and leave while privately demoted", func(t *testing.T) {
		var g Groups
		m, other := join(t, &g, "carp1", Carp), join(t, &g, "carp2", "internal")
		m.Set("carpdev", 1)
		if err := m.Join("internal"); err != nil {
			t.Fatal(err)
		}
		wantCount(t, &g, "internal", 1)
		wantValue(t, other, 1)
		wantValue(t, m, 2)
		if err := m.Leave("internal"); err != nil {
			t.Fatal(err)
		}
		wantCount(t, &g, "internal", 0)
		wantValue(t, other, 0)
		wantValue(t, m, 1)
	})
	t.Run("detach undoes the private count", func(t *testing.T) {
		var g Groups
		m, other := join(t, &g, "carp1", Carp, "lan"), join(t, &g, "carp2", Carp)
		calls := 0
		m.Watch(func() { calls++ })
		m.Set("carpdev", 1)
		m.Close()
		m.Close()
		wantValue(t, m, 0)
		wantValue(t, other, 0)
		m.Set("carpdev", 1)
		wantCount(t, &g, Carp, 0)
		if calls != 2 {
			t.Errorf("%d calls of the watcher, want 2", calls)
		}
		if diff := cmp.Diff([]string{All, Carp}, g.Names()); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	})
	t.Run("log", func(t *testing.T) {
		var log []string
		g := Groups{OnChange: func(c Change) { log = append(log, c.String()) }}
		m := join(t, &g, "carp1", Carp, "internal")
		m.Set("carpdev", 1)
		adjust(t, &g, "internal", 50)
		if err := m.Leave(Carp); err != nil {
			t.Fatal(err)
		}
		m.Close()
		want := []string{
			"carp1 demoted group carp by 1 to 1 (carpdev)",
			"carp1 demoted group internal by 1 to 1 (carpdev)",
			"demoted group internal by 50 to 51 (operator)",
			"carp1 demoted group carp by -1 to 0 (leave)",
			"carp1 demoted group internal by -1 to 50 (detach)",
		}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestAdjust(t *testing.T) {
	for _, tt := range []struct {
		event, count int // count is reached by hand from event
		group        string
		n            int
		err          error
		want         int
	}{
		{0, 0, Carp, 1, nil, 1},
		{0, 0, Carp, 128, nil, 128},
		{0, 0, Carp, 129, ErrRange, 0},
		{0, 200, Carp, -129, ErrRange, 200},
		{0, 7, Carp, 0, ErrRange, 7},
		{0, 200, Carp, 55, nil, 255},
		{0, 200, Carp, 56, ErrRange, 200},
		{0, 50, Carp, -50, nil, 0},
		{0, 50, Carp, -51, ErrRange, 50},
		{0, 0, Carp, -1, ErrRange, 0},
		{250, 250, Carp, 6, ErrRange, 250},
		{250, 250, Carp, 5, nil, 255},
		{32, 32, Carp, -32, nil, 0}, // override of an event
		{32, 32, Carp, -33, ErrRange, 32},
		{0, 3, "interal", 1, ErrNone, 3},
	} {
		var g Groups
		m := join(t, &g, "carp1", Carp)
		m.Set("event", tt.event)
		for by := tt.count - tt.event; by > 0; by -= 100 {
			adjust(t, &g, Carp, min(by, 100))
		}
		if err := g.Adjust(tt.group, tt.n); !errors.Is(err, tt.err) {
			t.Errorf("adjust %s by %d: error %v, want %v", tt.group, tt.n, err, tt.err)
		}
		wantCount(t, &g, Carp, tt.want)
	}
}

// At its limits the kernel's counter forgets; this one does not.
func TestNoDrift(t *testing.T) {
	var g Groups
	a, b := join(t, &g, "carp1", Carp), join(t, &g, "carp2", Carp)
	a.Set("x", 200)
	b.Set("x", 200)
	wantCount(t, &g, Carp, 255)
	adjust(t, &g, Carp, -10) // one step on the way down, though still above
	wantCount(t, &g, Carp, 255)
	b.Set("x", 0)
	wantCount(t, &g, Carp, 190)
	adjust(t, &g, Carp, 10)
	a.Set("x", 0)
	wantCount(t, &g, Carp, 0)
}

// An override lasts as long as there is something to override. It must not
// hide the next failure.
func TestOverride(t *testing.T) {
	var g Groups
	a, b := join(t, &g, "carp1", Carp), join(t, &g, "carp2", Carp)
	a.Set("carpdev", 2)
	adjust(t, &g, Carp, -2)
	wantCount(t, &g, Carp, 0)
	wantValue(t, a, 2) // its own advertisements tell
	wantValue(t, b, 0)
	want := []Cause{{Operator, -2, Carp, ""}, {"carpdev", 2, Carp, "carp1"}, {"carpdev", 2, "", "carp1"}}
	if diff := cmp.Diff(want, a.Causes()); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	a.Set("carpdev", 1)
	wantCount(t, &g, Carp, 0)
	a.Set("carpdev", 2)
	wantCount(t, &g, Carp, 0)
	a.Set("carpdev", 0)
	wantCount(t, &g, Carp, 0)
	b.Set("carpdev", 1)
	wantCount(t, &g, Carp, 1)
}

func TestCauses(t *testing.T) {
	var g Groups
	m := join(t, &g, "carp1", Carp, "internal")
	pfsync0 := join(t, &g, "pfsync0", Carp)
	adjust(t, &g, "internal", 50)
	pfsync0.Set("pfsync bulk", 32)
	m.Set("senderr", 1)
	m.Set("carpdev", 1)
	var got []string
	sum := 0
	for _, c := range m.Causes() {
		got, sum = append(got, c.String()), sum+c.N
	}
	want := []string{
		"carp: carp1 carpdev 1", "carp: carp1 senderr 1", "carp: pfsync0 pfsync bulk 32",
		"internal: operator 50", "internal: carp1 carpdev 1", "internal: carp1 senderr 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	wantValue(t, m, sum)
}

func TestMembership(t *testing.T) {
	var g Groups
	m := join(t, &g, "carp1", Carp)
	join(t, &g, "carp2", Carp, "internal")
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"join twice", m.Join(Carp), ErrExists},
		{"join all", m.Join(All), ErrExists},
		{"join a bad name", m.Join("em0"), ErrName},
		{"leave a group it is not in", m.Leave("internal"), ErrNone},
		{"leave all", m.Leave(All), errAll},
		{"attach twice", second(g.Join("carp1")), ErrExists},
		{"attach with a bad name", second(g.Join("carp3", "lan2")), ErrName},
		{"attach with a group twice", second(g.Join("carp3", "lan", "lan")), ErrExists},
		{"attach without a name", second(g.Join("")), ErrName},
		{"count of no group", second(g.Count("nosuch")), ErrNone},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, tt.err, tt.want)
		}
	}
	if diff := cmp.Diff([]string{"carp1", "carp2"}, g.Members(Carp)); diff != "" {
		t.Errorf("members of carp (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{All, Carp, "internal"}, g.Names()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if err := m.Join("dmz"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{All, Carp, "dmz"}, m.Groups()); diff != "" {
		t.Errorf("groups of carp1 (-want +got):\n%s", diff)
	}
	adjust(t, &g, "dmz", 9)
	m.Close()
	if err := m.Join("lan"); !errors.Is(err, ErrClosed) {
		t.Errorf("join after Close: error %v, want %v", err, ErrClosed)
	}
	join(t, &g, "carp1", "dmz")
	wantCount(t, &g, "dmz", 0) // a new group of the same name
}

func second[T any](_ T, err error) error { return err }

func TestCheckName(t *testing.T) {
	for _, name := range []string{"carp", "a", "internal", "2nd-floor", "fifteen-letters"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "carp1", "9", "sixteen-letters.", "two words", "line\nbreak"} {
		if err := CheckName(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: error %v, want %v", name, err, ErrName)
		}
	}
}

func TestGroupsConcurrent(t *testing.T) {
	var g Groups
	a, b := join(t, &g, "carp1", Carp), join(t, &g, "carp2", Carp)
	seen := 0
	b.Watch(func() { seen = b.Value() })
	var wg sync.WaitGroup
	for _, cause := range []string{"a", "b"} {
		wg.Go(func() {
			for i := range 500 {
				a.Set(cause, i%100+1)
				b.Set(cause, (i+50)%100+1)
			}
		})
	}
	wg.Go(func() {
		for range 500 {
			for _, op := range []func() error{
				func() error { return a.Join("lan") },
				func() error { return a.Leave("lan") },
			} {
				if err := op(); err != nil {
					t.Error(err)
				}
			}
			b.Causes()
			if n, err := g.Count(Carp); err != nil || n < 0 || n > 255 {
				t.Errorf("count %d, %v", n, err)
			}
			if !slices.Contains(g.Names(), Carp) || len(g.Members(All)) != 2 {
				t.Error("carp or a member is missing")
			}
		}
	})
	wg.Wait()
	wantValue(t, b, 255) // 100 + 100 + 50 + 50
	if seen != 255 {
		t.Errorf("the last call saw %d, want 255", seen)
	}
	a.Close()
	wantValue(t, b, 100)
}
