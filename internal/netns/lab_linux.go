package netns

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// A Lab is a set of namespaces and the networks between them.
type Lab struct {
	t     testing.TB
	nodes map[string]*NS
	sw    *NS                  // holds the bridges; nil until the first
	ports map[[2]string]string // (network, node) to the port's name in sw
}

// New makes one namespace for each name, with its loopback up and IPv6
// duplicate address detection off.
func New(t testing.TB, names ...string) *Lab {
	t.Helper()
	Require(t, "ip")
	lab := &Lab{t: t, nodes: make(map[string]*NS), ports: make(map[[2]string]string)}
	for _, name := range names {
		lab.nodes[name] = newNS(t, name)
	}
	return lab
}

// NS returns the namespace with that name.
func (l *Lab) NS(name string) *NS {
	l.t.Helper()
	ns, ok := l.nodes[name]
	if !ok {
		l.t.Fatalf("the lab has no namespace %q", name)
	}
	return ns
}

// Bridge makes an Ethernet segment and gives each node an interface on it that
// has the segment's name and is up. The segment is a bridge in a namespace of
// its own, without spanning tree, multicast snooping and netfilter hooks.
func (l *Lab) Bridge(name string, nodes ...string) {
	l.t.Helper()
	sw := l.Switch()
	sw.IP("link add %s type bridge stp_state 0 mcast_snooping 0 forward_delay 0", name)
	sw.IP("link set %s up", name)
	for _, node := range nodes {
		port := fmt.Sprintf("%s-%d", name, len(l.ports))
		l.ports[[2]string{name, node}] = port
		sw.Veth(port, l.NS(node), name)
		sw.IP("link set %s master %s", port, name)
	}
}

// Veth makes a cable from an interface here to one in another namespace. Both
// ends are up.
func (ns *NS) Veth(ifname string, peer *NS, peerIfname string) {
	ns.t.Helper()
	ns.IP("link add %s type veth peer name %s netns %s", ifname, peerIfname,
		fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), peer.fd.Fd()))
	peer.IP("link set %s up", peerIfname)
	ns.IP("link set %s up", ifname)
}

// Switch is the namespace with the bridges, which have the names of their segments.
func (l *Lab) Switch() *NS {
	l.t.Helper()
	if l.sw != nil {
		return l.sw
	}
	l.sw = newNS(l.t, "switch")
	const dir = "/proc/sys/net/bridge"
	l.sw.Do(func() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return // the br_netfilter module is not loaded: bridged frames meet no hooks
		}
		for _, e := range entries {
			if slices.Contains([]string{"bridge-nf-call-arptables", "bridge-nf-call-iptables", "bridge-nf-call-ip6tables"}, e.Name()) {
				if err := os.WriteFile(dir+"/"+e.Name(), []byte("0"), 0); err != nil {
					l.t.Errorf("switch: %v", err)
				}
			}
		}
	})
	return l.sw
}

// Port is the name, in the Switch, of the port of a segment that a node is plugged into.
func (l *Lab) Port(segment, node string) string {
	l.t.Helper()
	port, ok := l.ports[[2]string{segment, node}]
	if !ok {
		l.t.Fatalf("the lab has no node %q on a segment %q", node, segment)
	}
	return port
}

// Carrier plugs the cable of a node out (false) or in (true).
func (l *Lab) Carrier(segment, node string, on bool) {
	l.t.Helper()
	state := "down"
	if on {
		state = "up"
	}
	l.sw.IP("link set %s %s", l.Port(segment, node), state)
}

// Detach cuts a node off its segment although its cable stays plugged in, as
// when a switch in between fails. Attach repairs it.
func (l *Lab) Detach(segment, node string) {
	l.t.Helper()
	l.sw.IP("link set %s nomaster", l.Port(segment, node))
}

// Attach is the reverse of Detach.
func (l *Lab) Attach(segment, node string) {
	l.t.Helper()
	l.sw.IP("link set %s master %s", l.Port(segment, node), segment)
}
