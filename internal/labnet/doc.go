// Package labnet builds small networks out of Linux network namespaces. It needs
// root and the ip tool. Package netns wraps it for tests.
//
//	n, err := labnet.New("fw1", "fw2", "client")
//	defer n.Close()
//	err = n.Bridge("lan", "fw1", "fw2", "client") // an interface "lan" in each, on one switch
//	err = n.Host("client").Addr("lan", "192.0.2.9/24")
//	err = n.Host("client").Do(func() { conn, err = net.Dial("tcp", "192.0.2.1:22") })
//
// A namespace has no name outside of this process. It is gone when the network is
// closed, or this process ends, and no process runs in it any more: see
// [Host.Processes].
package labnet
