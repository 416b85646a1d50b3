package demote_test

import (
	"fmt"

	"github.com/gocarp/gocarp/demote"
)

// show is ifconfig -g group.
func show(g *demote.Groups, group string) {
	n, err := g.Count(group)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: carp demote count %d\n", group, n)
}

// The example of the PF FAQ: of four carp interfaces two are in a group of
// their own, and only these are moved to the other firewall, and back.
func ExampleGroups() {
	var host demote.Groups
	var carps []*demote.Member
	for _, name := range []string{"carp1", "carp2", "carp3", "carp4"} {
		m, err := host.Join(name, demote.Carp)
		if err != nil {
			fmt.Println(err)
			return
		}
		carps = append(carps, m)
	}
	show(&host, "carp")

	for _, m := range carps[:2] { // ifconfig carp1 group internal
		if err := m.Join("internal"); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(host.Members("internal"))
	show(&host, "internal")

	if err := host.Adjust("internal", 50); err != nil { // ifconfig -g internal carpdemote 50
		fmt.Println(err)
	}
	show(&host, "internal")
	for _, m := range carps {
		fmt.Println(m.Name(), "advertises", m.Value())
	}

	if err := host.Adjust("internal", -50); err != nil { // ifconfig -g internal -carpdemote 50
		fmt.Println(err)
	}
	show(&host, "internal")
	// Output:
	// carp: carp demote count 0
	// [carp1 carp2]
	// internal: carp demote count 0
	// internal: carp demote count 50
	// carp1 advertises 50
	// carp2 advertises 50
	// carp3 advertises 0
	// carp4 advertises 0
	// internal: carp demote count 0
}

// All interfaces of a host fail over with one that lost its link, because they
// share group carp; the status says why.
func ExampleMember_Causes() {
	var host demote.Groups
	carp1, _ := host.Join("carp1", demote.Carp)
	carp2, _ := host.Join("carp2", demote.Carp)
	carp1.Set("carpdev", 1)
	fmt.Println(carp2.Value(), carp2.Causes())
	// Output: 1 [carp: carp1 carpdev 1]
}

// FreeBSD's one number for the host: maintenance, on top of a bulk update.
func ExampleCounter() {
	c := demote.Counter{OnChange: func(ch demote.Change) { fmt.Println("carp:", ch) }}
	c.Set("pfsync bulk", 240)
	c.Adjust(240)
	c.Set("pfsync bulk", 0)
	fmt.Println(c.Value(), c.Causes())
	// Output:
	// carp: demoted by 240 to 240 (pfsync bulk)
	// carp: demoted by 240 to 480 (operator)
	// carp: demoted by -240 to 240 (pfsync bulk)
	// 240 [operator 240]
}
