package carp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
	"github.com/gocarp/gocarp/internal/inet"
)

// Everything that is wrong with a packet is counted under its own name and
// changes nothing, in either state. The packets would win the election.
func TestNodeBadInput(t *testing.T) {
	for _, test := range []struct {
		sentence string
		want     carp.Stats
		spoil    func(*carp.Packet)
	}{
		{"nothing at all", carp.Stats{BadLen: 1}, func(p *carp.Packet) { p.Data = nil }},
		{"one octet", carp.Stats{BadLen: 1}, func(p *carp.Packet) { p.Data = p.Data[:1] }},
		{"35 octets", carp.Stats{BadLen: 1}, func(p *carp.Packet) { p.Data = p.Data[:35] }},
		{"a wrong checksum", carp.Stats{BadSum: 1}, func(p *carp.Packet) { p.Data[6]++ }},
		{"a changed advskew", carp.Stats{BadSum: 1}, func(p *carp.Packet) { p.Data[2]++ }},
		{"version 3, VRRP", carp.Stats{BadVersion: 1}, func(p *carp.Packet) { p.Data[0] = 0x31; sum(p.Data) }},
		{"type 2", carp.Stats{BadType: 1}, func(p *carp.Packet) { p.Data[0] = 0x22; sum(p.Data) }},
		{"vhid 0", carp.Stats{BadVHID: 1}, func(p *carp.Packet) { p.Data[1] = 0; sum(p.Data) }},
		{"a vhid that is not here", carp.Stats{BadVHID: 1}, func(p *carp.Packet) { p.Data[1] = 2; sum(p.Data) }},
		{"TTL 254", carp.Stats{BadTTL: 1}, func(p *carp.Packet) { p.TTL = 254 }},
		{"TTL 0", carp.Stats{BadTTL: 1}, func(p *carp.Packet) { p.TTL = 0 }},
		{"another interface", carp.Stats{BadIf: 1}, func(p *carp.Packet) { p.IfIndex = 4 }},
		{"a forged digest", carp.Stats{BadAuth: 1}, func(p *carp.Packet) { p.Data[35]++; sum(p.Data) }},
		{"a forged counter", carp.Stats{BadAuth: 1}, func(p *carp.Packet) { p.Data[8]++; sum(p.Data) }},
		{"a sender that is not allowed", carp.Stats{BadPeer: 1}, func(p *carp.Packet) { p.Src = netip.MustParseAddr("10.0.1.99") }},
		{"unicast to a multicast group", carp.Stats{BadVHID: 1}, func(p *carp.Packet) { p.Dst = netip.MustParseAddr("10.0.0.2") }},
		{"noise", carp.Stats{BadSum: 1}, func(p *carp.Packet) { p.Data = slices.Repeat([]byte{0xa5}, 2000) }},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.node("a", advskew(100), func(c *carp.NodeConfig, g *carp.GroupConfig) {
					c.IfIndex = 3
					g.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
				})
				p := w.peer("p", host())
				for _, phase := range []struct {
					state carp.State
					send  carp.Packet
				}{{carp.Backup, p.packet(255, 255, 0)}, {carp.Master, p.packet(1, 0, 0)}} {
					before := a.group(1)
					test.spoil(&phase.send)
					a.before = a.Status().Stats
					p.port.SendRaw(phase.send)
					want := test.want
					want.InPackets = 1
					a.wantStats("counts it", want)
					a.want("ignores it", phase.state)
					if now := a.group(1); phase.state == carp.Master && now != before {
						t.Errorf("status %+v, before %+v", now, before)
					}
					w.sleep(3500 * time.Millisecond) // on time, whatever came
				}
				a.want("is master all the same", carp.Master)
			})
		})
	}
}

// sum sets the checksum of an advert.
func sum(b []byte) {
	b[6], b[7] = 0, 0
	binary.BigEndian.PutUint16(b[6:], inet.Checksum(b[:carp.HeaderLen]))
}

// What the kernels tolerate, so do we.
func TestNodeToleratedInput(t *testing.T) {
	for _, test := range []struct {
		sentence string
		alter    func(*carp.Packet)
		config   func(*carp.NodeConfig, *carp.GroupConfig)
	}{
		{"40 octets more", func(p *carp.Packet) { p.Data = append(p.Data, make([]byte, 40)...) }, nil},
		{"authlen 0", func(p *carp.Packet) { p.Data[3] = 0; sum(p.Data) }, nil},
		{"the unspecified source", func(p *carp.Packet) { p.Src = netip.IPv4Unspecified() }, nil},
		{"our own source", func(p *carp.Packet) { p.Src = netip.MustParseAddr("10.0.0.2") }, nil},
		{"an unknown interface", func(p *carp.Packet) { p.IfIndex = 0 },
			func(c *carp.NodeConfig, _ *carp.GroupConfig) { c.IfIndex = 3 }},
		{"type 2, if allowed", func(p *carp.Packet) { p.Data[0] = 0x22; sum(p.Data) },
			func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.AnyType = true }},
		{"TTL 9, if allowed", func(p *carp.Packet) { p.TTL = 9 },
			func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.AnyTTL = true }},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				config := []func(*carp.NodeConfig, *carp.GroupConfig){advskew(100)}
				if test.config != nil {
					config = append(config, test.config)
				}
				a := w.node("a", config...)
				p := w.peer("p", host())
				w.sleep(3500 * time.Millisecond)
				a.want("is master", carp.Master)
				pkt := p.packet(1, 0, 0)
				test.alter(&pkt)
				p.port.SendRaw(pkt)
				a.want("takes it", carp.Backup)
			})
		})
	}
}

// In INIT OpenBSD does not know the vhid, the others listen and do nothing.
func TestNodeInputInInit(t *testing.T) {
	for _, test := range []struct {
		dialect carp.Dialect
		want    carp.Stats
	}{
		{carp.OpenBSD, carp.Stats{InPackets: 1, BadVHID: 1}},
		{carp.FreeBSD, carp.Stats{InPackets: 1}},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			a := w.node("a", dialect(test.dialect), func(_ *carp.NodeConfig, g *carp.GroupConfig) { g.Down = true })
			p := w.peer("p", host())
			synctest.Wait()
			p.advertise(255, 255, 0)
			a.wantStats(test.dialect.String(), test.want)
			a.want("stays", carp.Init)
		})
	}
}

// 50 000 forged adverts delay no timer, and drown no real advert.
func TestNodeFlood(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.node("a"), w.node("b", advskew(100))
		p := w.peer("p", host())
		w.sleep(4500 * time.Millisecond)
		var sent []time.Duration // when a advertised
		start := time.Now()
		w.seg.Tap(func(r carptest.Record) {
			if r.From == "a" {
				sent = append(sent, r.At.Sub(start))
			}
		})
		forged := p.packet(1, 0, 0)
		forged.Data[35]++
		sum(forged.Data)
		for range 1000 {
			for range 50 {
				p.port.SendRaw(forged)
			}
			time.Sleep(7 * time.Millisecond)
		}
		a.want("is still master", carp.Master)
		b.want("is still backup", carp.Backup)
		if n := b.Status().Stats.BadAuth; n != 50_000 {
			t.Errorf("%d forgeries counted, want 50000", n)
		}
		for i, at := range sent {
			if want := time.Duration(i)*time.Second + 500*time.Millisecond; at != want {
				t.Errorf("advert %d was sent after %v, want %v", i, at, want)
			}
		}
		if len(sent) != 7 {
			t.Errorf("%d adverts in 7 s, want 7", len(sent))
		}
	})
}

// A node that takes a millisecond for each packet still sends its own adverts on
// time, in the middle of a backlog of seconds.
func TestNodeFloodIsWork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.node("a", func(c *carp.NodeConfig, _ *carp.GroupConfig) {
			c.Hooks.PacketDropped = func(carp.Packet, error) { time.Sleep(time.Millisecond) }
		})
		p := w.peer("p", host())
		a.port.SetQueue(3000)
		w.skip(4500 * time.Millisecond)
		for range 3000 {
			p.port.SendRaw(carp.Packet{TTL: 1})
		}
		start := time.Now()
		w.sleep(2900 * time.Millisecond)
		if n := a.Status().Stats.BadTTL; n == 0 || n == 3000 {
			t.Errorf("%d packets taken in after 2.9 s, want it to be busy still", n)
		}
		i := 0
		for _, e := range w.journal.Entries() {
			if e.String() != "a advert 1/0" {
				continue
			}
			want := time.Duration(i)*time.Second + 500*time.Millisecond
			if late := e.At.Sub(start) - want; late < 0 || late > 5*time.Millisecond {
				t.Errorf("advert %d is %v late", i, late)
			}
			i++
		}
		if i != 3 {
			t.Errorf("%d adverts, want 3", i)
		}
	})
}
