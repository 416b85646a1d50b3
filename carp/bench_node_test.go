package carp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// discard is a transport that carries nothing.
type discard struct{}

func (discard) ReadPacket(*Packet) error { return net.ErrClosed }
func (discard) WritePacket(Packet) error { return nil }
func (discard) Close() error             { return nil }

// benchNode is a node with that many groups, all up, as they are within Run.
func benchNode(b *testing.B, groups int) (*Node, time.Time) {
	b.Helper()
	cfg := NodeConfig{Interface: "em0", Transport: discard{}}
	for i := range groups {
		cfg.Groups = append(cfg.Groups, GroupConfig{HostConfig: HostConfig{
			Config:    Config{VHID: uint8(i + 1), AdvSkew: uint8(i % 200)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 32)},
		}})
	}
	n, err := NewNode(cfg)
	if err != nil {
		b.Fatal(err)
	}
	n.ctx = context.Background()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, g := range n.groups {
		if g != nil {
			n.start(now, g)
		}
	}
	return n, now
}

// BenchmarkNode is the cost of one advert, received as backup or sent as master,
// on a node of one group and of 255: it must not depend on how many there are.
func BenchmarkNode(b *testing.B) {
	for _, groups := range []int{1, 255} {
		b.Run(fmt.Sprintf("receive/groups=%d", groups), func(b *testing.B) {
			n, now := benchNode(b, groups)
			var packets []Packet
			for i := range groups {
				c := n.groups[i+1].cfg.HostConfig
				c.AdvSkew, c.Counter = 0, 1
				master, err := NewVirtualHost(c)
				if err != nil {
					b.Fatal(err)
				}
				packets = master.AppendPackets(packets, now, Header{VHID: c.VHID, AdvBase: 1})
				packets[i].Src = netip.AddrFrom4([4]byte{10, 0, 0, 200})
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now = now.Add(time.Millisecond)
				n.take(now, &packets[i%groups])
			}
			if s := n.Status().Stats; s.InPackets == 0 || s.BadAuth != 0 || s.Preempt != 0 {
				b.Fatalf("not what was meant: %+v", s)
			}
		})
		b.Run(fmt.Sprintf("advertise/groups=%d", groups), func(b *testing.B) {
			n, _ := benchNode(b, groups)
			b.ReportAllocs()
			for b.Loop() {
				g := n.timers.first()
				g.expire(g.due)
			}
			if s := n.Status().Stats; s.Preempt != uint64(groups) {
				b.Fatalf("not what was meant: %+v", s)
			}
		})
	}
}
