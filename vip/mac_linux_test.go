package vip

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/google/go-cmp/cmp"
)

// An answer is who answered for an address: in the payload, and by the frame.
type answer struct{ MAC, LinkSrc HardwareAddr }

// whoHas has the client ask for addr and returns all that answer.
func (b *bench) whoHas(addr netip.Addr) map[answer]int {
	b.t.Helper()
	mac := HardwareAddr(b.client.MAC("lan"))
	ask, err := solicitation(mac, addr)
	if addr.Is4() {
		ask, err = GratuitousARP(ARPRequest, mac, addr)
		copy(ask[28:], netip.MustParseAddr("192.0.2.99").AsSlice()) // the sender is the client
	}
	if err != nil {
		b.t.Fatal(err)
	}
	heard := tap(b.t, b.client, "lan")
	inject(b.t, b.client, "lan", ask)
	answers := make(map[answer]int)
	for _, c := range collect(heard, 200*time.Millisecond) {
		if c.Addr == addr && c.LinkDst == mac {
			answers[answer{c.MAC, c.LinkSrc}]++
		}
	}
	return answers
}

// solicitation is the client's question where an IPv6 address is: an advertisement
// of its own, made a neighbour solicitation, RFC 4861 section 4.3.
func solicitation(mac HardwareAddr, target netip.Addr) ([]byte, error) {
	f, err := UnsolicitedNA(mac, netip.MustParseAddr("2001:db8::99"), target, false)
	if err != nil {
		return nil, err
	}
	header, msg := f[14:14+ipv6Len], f[14+ipv6Len:]
	msg[0], msg[2], msg[3], msg[4], msg[naLen] = 135, 0, 0, 0, 1
	binary.BigEndian.PutUint16(msg[2:], icmpv6Checksum(header, msg))
	return f, nil
}

// The shared hardware address answers for the shared addresses, the real one for
// the machine's own, and never both; with the reverse path filter on.
func TestSharedMACAnswersAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			b.fw.SetSysctl("net.ipv4.conf.all.rp_filter", "1")
			b.fw.SetSysctl("net.ipv4.conf.lan.rp_filter", "1")
			a := b.open(config(mode))
			if got := b.whoHas(vip4.Addr()); len(got) != 0 {
				t.Errorf("not held: %v answer for a shared address", got)
			}
			b.acquire(a)
			realMAC := HardwareAddr(b.fw.MAC("lan"))
			for addr, want := range map[netip.Addr]HardwareAddr{
				vip4.Addr():                       vmac,
				other.Addr():                      vmac,
				netip.MustParseAddr("192.0.2.11"): realMAC,
			} {
				if diff := cmp.Diff(map[answer]int{{want, want}: 1}, b.whoHas(addr)); diff != "" {
					t.Errorf("who has %v (-want +got):\n%s", addr, diff)
				}
			}
			b.ping("while held")
			b.client.Run("ping", "-c1", "-W2", "2001:db8::11")
			for addr, want := range map[string]HardwareAddr{"2001:db8::1": vmac, "2001:db8::11": realMAC} {
				if out := b.client.IP("-6 neigh show %s", addr); !strings.Contains(out, want.String()) {
					t.Errorf("the client knows %s as %s, want %v", addr, out, want)
				}
			}
			if err := a.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := b.whoHas(vip4.Addr()); len(got) != 0 {
				t.Errorf("released: %v answer for a shared address", got)
			}
		})
	}
}

// Two virtual hosts on one interface have a hardware address each.
func TestTwoSharedMACs(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			vmac8 := HardwareAddr{0, 0, 0x5e, 0, 1, 8}
			cfg1, cfg2 := config(mode), config(mode)
			cfg1.Addresses = []netip.Prefix{vip4}
			cfg2.Addresses, cfg2.MAC = []netip.Prefix{other}, vmac8
			b.acquire(b.open(cfg1))
			b.acquire(b.open(cfg2))
			for addr, want := range map[netip.Addr]HardwareAddr{vip4.Addr(): vmac, other.Addr(): vmac8} {
				if diff := cmp.Diff(map[answer]int{{want, want}: 1}, b.whoHas(addr)); diff != "" {
					t.Errorf("who has %v (-want +got):\n%s", addr, diff)
				}
				b.client.Run("ping", "-c1", "-W2", addr.String())
			}
		})
	}
}

// A master that asks for a client from a shared address must not teach it its
// real hardware address.
func TestAskingFromASharedAddress(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			b.acquire(b.open(config(mode)))
			b.ping("first")
			b.fw.IP("neigh flush dev lan")
			b.fw.Run("ping", "-c1", "-W2", "-I", "192.0.2.1", "192.0.2.99")
			b.fw.Run("ping", "-c1", "-W2", "-I", "2001:db8::1", "2001:db8::99")
			for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
				if out := b.client.IP("neigh show %s", addr); !strings.Contains(out, vmac.String()) {
					t.Errorf("the client knows %s as %s, want %v", addr, out, vmac)
				}
			}
		})
	}
}

// What goes through the firewall by its shared addresses arrives on the other
// side, in every mode; nothing does while it is backup.
func TestThroughTraffic(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{RealMAC, VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			lab := netns.New(t, "fw", "client", "server")
			lab.Bridge("lan", "fw", "client")
			lab.Bridge("wan", "fw", "server")
			b := &bench{t: t, lab: lab, fw: lab.NS("fw"), client: lab.NS("client")}
			b.fw.SetSysctl("net.ipv4.conf.all.forwarding", "1")
			b.fw.SetSysctl("net.ipv6.conf.all.forwarding", "1")
			b.fw.Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
			b.fw.Addr("wan", "203.0.113.11/24", "2001:db8:f::11/64")
			b.client.Addr("lan", "192.0.2.99/24", "2001:db8::99/64")
			b.client.IP("route add default via 192.0.2.1")
			b.client.IP("route add default via 2001:db8::1")
			lab.NS("server").Addr("wan", "203.0.113.99/24", "2001:db8:f::99/64")
			lab.NS("server").IP("route add default via 203.0.113.11")
			lab.NS("server").IP("route add default via 2001:db8:f::11")
			a := b.open(config(mode))
			b.acquire(a)
			if err := a.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, server := range []string{"203.0.113.99", "2001:db8:f::99"} {
				b.client.Run("ping", "-c1", "-W2", server)
			}
			if mode == RealMAC {
				return // the client goes on sending to the real address, as with any router
			}
			if err := a.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.client.IP("neigh replace 192.0.2.1 lladdr %v dev lan nud permanent", vmac)
			if out, err := b.client.Try("ping", "-c1", "-W1", "203.0.113.99"); err == nil {
				t.Errorf("a backup forwards frames to the shared address:\n%s", out)
			}
		})
	}
}

// The network card is told of the shared hardware address.
func TestRewrittenMACIsLetIn(t *testing.T) {
	t.Parallel()
	netns.Require(t, "bridge")
	b := newBench(t)
	a := b.open(config(RewrittenMAC))
	known := func() bool { return strings.Contains(b.fw.Run("bridge", "fdb", "show", "dev", "lan"), vmac.String()) }
	if !known() {
		t.Error("the card does not let in the shared hardware address")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// A process that is just being started for another test may still hold the socket.
	for start := time.Now(); known(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Second {
			t.Fatal("the card lets in the shared hardware address after Close")
		}
	}
}

// Programs of others that end the row do not keep ours from their work.
func TestProgramsOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(RewrittenMAC))
	pass := new(program) // as those of container networks do
	pass.add(instruction{op: opMov64Imm, dst: 0, imm: 0}, instruction{op: opExit})
	prog, err := pass.load()
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	a.rewriter.detach()
	for _, where := range []uint32{tcxIngress, tcxEgress} {
		err := a.ns.do(func() error {
			place, err := attach(prog, a.base.Index, where)
			t.Cleanup(func() { place.Close() })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.ns.do(func() error { return a.rewriter.attach(a.base.Index) }); err != nil {
		t.Fatal(err)
	}
	b.acquire(a)
	if diff := cmp.Diff(map[answer]int{{vmac, vmac}: 1}, b.whoHas(vip4.Addr())); diff != "" {
		t.Errorf("who has (-want +got):\n%s", diff)
	}
	b.ping("with programs of others")
}

// Programs for one family only, for none, and for many addresses pass the
// kernel's checks.
func TestRewritePrograms(t *testing.T) {
	t.Parallel()
	netns.Require(t)
	many := make([]netip.Prefix, 0, 2000)
	a4, a6 := netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("2001:db8::")
	for len(many) < cap(many) {
		many = append(many, netip.PrefixFrom(a4, 32), netip.PrefixFrom(a6, 128))
		a4, a6 = a4.Next(), a6.Next()
	}
	for _, addrs := range [][]netip.Prefix{{vip4}, {vip6}, {vip4, vip6, other}, many} {
		for _, p := range []*program{rewriteProgram(vmac, addrs), silentProgram(addrs)} {
			f, err := p.load()
			if err != nil {
				t.Errorf("%d addresses: %v", len(addrs), err)
			}
			f.Close()
		}
	}
	for len(many) < 10000 {
		many = append(many, netip.PrefixFrom(a6, 128))
	}
	if _, err := rewriteProgram(vmac, many).load(); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("10000 addresses: %v", err)
	}
}
