// Package netns builds small networks out of Linux network namespaces, for
// tests that need root and the ip tool. It is package labnet, with the errors
// given to the test.
//
//	lab := netns.New(t, "fw1", "fw2", "client")
//	lab.Bridge("lan", "fw1", "fw2", "client") // an interface "lan" in each, on one switch
//	lab.NS("client").Addr("lan", "192.0.2.9/24")
//	lab.NS("fw1").Do(func() { node, err = open("lan") })
//	lab.NS("client").Run("ping", "-c1", "192.0.2.1")
//
// Everything is deleted when the test ends. A test that cannot have its lab is
// skipped with the reason, or fails if the environment has GOCARP_REQUIRE=1.
package netns
