package netns

import (
	"testing"

	"github.com/gocarp/gocarp/internal/labnet"
)

// A Lab is a set of namespaces and the networks between them.
type Lab struct {
	t     testing.TB
	net   *labnet.Net
	nodes map[string]*NS
	sw    *NS // nil until it is asked for
}

// New makes one namespace for each name, with its loopback up and IPv6
// duplicate address detection off.
func New(t testing.TB, names ...string) *Lab {
	t.Helper()
	Require(t, "ip")
	n, err := labnet.New(names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	lab := &Lab{t: t, net: n, nodes: make(map[string]*NS)}
	for _, name := range names {
		lab.nodes[name] = &NS{Name: name, t: t, host: n.Host(name)}
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
	l.must(l.net.Bridge(name, nodes...))
}

// Switch is the namespace with the bridges, which have the names of their segments.
func (l *Lab) Switch() *NS {
	l.t.Helper()
	if l.sw == nil {
		sw, err := l.net.Switch()
		l.must(err)
		l.sw = &NS{Name: sw.Name, t: l.t, host: sw}
	}
	return l.sw
}

// Port is the name, in the Switch, of the port of a segment that a node is plugged into.
func (l *Lab) Port(segment, node string) string {
	l.t.Helper()
	port := l.net.Port(segment, node)
	if port == "" {
		l.t.Fatalf("the lab has no node %q on a segment %q", node, segment)
	}
	return port
}

// Carrier plugs the cable of a node out (false) or in (true).
func (l *Lab) Carrier(segment, node string, on bool) {
	l.t.Helper()
	l.Port(segment, node)
	l.must(l.net.Carrier(segment, node, on))
}

// Detach cuts a node off its segment although its cable stays plugged in, as
// when a switch in between fails. Attach repairs it.
func (l *Lab) Detach(segment, node string) {
	l.t.Helper()
	l.Port(segment, node)
	l.must(l.net.Detach(segment, node))
}

// Attach is the reverse of Detach.
func (l *Lab) Attach(segment, node string) {
	l.t.Helper()
	l.Port(segment, node)
	l.must(l.net.Attach(segment, node))
}

func (l *Lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}
