// Package demote keeps the number that makes a CARP host give way: its
// demotion. A host that must not be master says so with a number above 0, and
// whatever was wrong says so by name, so that it can be taken back exactly and
// a status display can tell why.
//
// There are two models, because there are two kinds of kernel:
//
//   - [Counter] is FreeBSD's net.inet.carp.demotion: one signed number for the
//     host. It is added to advskew.
//   - [Groups] is OpenBSD's: each interface group has a count from 0 to 255
//     (ifconfig -g GROUP carpdemote), and each interface, a [Member],
//     advertises the sum over the groups it is in.
//
// A *Counter and a *Member have the same three methods, Value, Set and Watch,
// which is all that a virtual host needs. What puts contributions on them is
// elsewhere: the hosts themselves (parent link, send errors), pfsync (bulk
// update) and the health checks of package demote/check.
//
// # Contributions
//
// Set replaces what a cause contributes; it does not add to it. So the owner
// of a cause may repeat itself, and setting 0 always removes exactly what was
// there. Two owners must not share a cause. The operator's own adjustments,
// which do add up as with sysctl and ifconfig, have the cause [Operator].
//
// # Concurrency
//
// Everything may be called from any goroutine, and starts none. Value is one
// atomic load. Functions given to Watch and OnChange are called by whichever
// goroutine makes a change, after the change, with no lock held: they may call
// anything here. The calls of one Counter, and those of one Groups with all
// its members, are made one at a time. If one goroutine is making them when
// another changes something, the first makes the new calls too; so a Set may
// return before its watchers ran, and a function that blocks delays every
// other one. They should do no more than wake somebody up.
package demote
