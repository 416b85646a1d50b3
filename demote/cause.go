package demote

import (
	"fmt"
	"strings"
)

// Operator is the cause of what was adjusted by hand: with [Counter.Adjust],
// which is a write to FreeBSD's net.inet.carp.demotion, or [Groups.Adjust],
// which is OpenBSD's carpdemote.
const Operator = "operator"

// A Cause is one contribution to a demotion.
type Cause struct {
	Name string // as given to Set, or Operator
	N    int    // what it contributes

	// On a Member: the group through which it counts, empty for the member's
	// private count, and the interface it happened to, empty for the operator.
	Group, Interface string
}

// String returns c as in "carp: carp1 carpdev 1".
func (c Cause) String() string {
	var b strings.Builder
	if c.Group != "" {
		b.WriteString(c.Group + ": ")
	}
	if c.Interface != "" {
		b.WriteString(c.Interface + " ")
	}
	fmt.Fprintf(&b, "%s %d", c.Name, c.N)
	return b.String()
}

// A Change is what the kernels log when a count changes.
type Change struct {
	Interface string // of a Groups: where it happened, empty for the operator
	Group     string // of a Groups: whose count changed, empty for a private count
	Cause     string // as given to Set, Operator, or "join", "leave", "detach"
	By        int    // what was added to the contribution; negative when undone
	To        int    // the count after it, within its limits
}

// String returns c in the words of the kernels' logs, without their prefix
// "carp: ", as in "demoted by 240 to 240 (pfsync bulk)" or "carp1 demoted group
// internal by 1 to 1 (carpdev)".
func (c Change) String() string {
	var b strings.Builder
	if c.Interface != "" {
		b.WriteString(c.Interface + " ")
	}
	b.WriteString("demoted ")
	if c.Group != "" {
		b.WriteString("group " + c.Group + " ")
	}
	fmt.Fprintf(&b, "by %d to %d (%s)", c.By, c.To, c.Cause)
	return b.String()
}
