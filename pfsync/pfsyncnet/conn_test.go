package pfsyncnet

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gocarp/gocarp/pfsync"
)

// Of the packets of one read some may be for others. The rest keep their order, and
// every element its buffer.
func TestOurs(t *testing.T) {
	us, peer, other := addr("192.0.2.1"), addr("192.0.2.2"), addr("224.0.0.18")
	c := &Conn{cfg: Config{Group: pfsync.Group4, Source: us}}
	p := []pfsync.Packet{
		{Data: []byte("from another interface"), Src: peer, Dst: pfsync.Group4, IfIndex: 4},
		{Data: []byte("one"), Src: peer, Dst: pfsync.Group4, IfIndex: 3},
		{Data: []byte("to another group"), Src: peer, Dst: other, IfIndex: 3},
		{Data: []byte("from us"), Src: us, Dst: peer, IfIndex: 3},
		{Data: []byte("two"), Src: peer, Dst: us, IfIndex: 3},
		{Data: []byte("from us to us"), Src: peer, Dst: peer, IfIndex: 3},
		{Data: []byte("of no sense"), IfIndex: 0},
		{Data: []byte("three"), Src: peer, Dst: pfsync.Group4, IfIndex: 3},
	}
	buffers := make(map[*byte]bool)
	for i := range p {
		buffers[&p[i].Data[0]] = true
	}
	if n := c.ours(0, slices.Clone(p)); n != 0 {
		t.Errorf("%d packets are ours without an interface", n)
	}
	n := c.ours(3, p)
	var got []string
	for i := range p[:n] {
		got = append(got, string(p[i].Data))
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("got %q", got)
	}
	for i := range p {
		delete(buffers, &p[i].Data[0])
	}
	if len(buffers) != 0 {
		t.Errorf("%d buffers are lost", len(buffers))
	}
	if c.received.Load() != 3 || c.notForUs.Load() != uint64(len(p)+len(p)-3) {
		t.Errorf("counted %d and %d", c.received.Load(), c.notForUs.Load())
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
