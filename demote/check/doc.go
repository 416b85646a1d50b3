// Package check demotes a host while something it needs is broken: a command
// fails, a service does not answer, a file says so ([Check]), or a network
// interface is down ([Link]).
//
// A check puts one named contribution on a *demote.Counter, a *demote.Member or
// any other [Demoter] while it fails, and takes it away when it is well again. The program runs each in a goroutine of its own:
//
//	gateway := check.Check{
//		Config: check.Config{Demoter: counter, Cause: "gateway", By: 240, Hold: time.Minute},
//		Probe:  check.Command("ping", "-c1", "-W1", "192.0.2.1"),
//		Fall:   3,
//	}
//	err := gateway.Run(ctx)
//
// A check cannot get stuck: a probe that hangs has failed at its timeout, one
// that panics has failed, and what remains of the contribution when Run ends,
// for whatever reason, was chosen beforehand ([Config.End]).
//
// A demotion moves a service only if a peer is demoted less and, except
// between OpenBSD hosts, preempts. So a check that fails on every host moves
// nothing, as it should. End the checks after the virtual hosts, or with
// [EndKeep]: a host that is about to stop should not look well for a moment.
package check
