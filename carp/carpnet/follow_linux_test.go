package carpnet

import (
	"errors"
	"syscall"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	a, _, lab := nettest.Pair(t)
	a.IP("link set lan down")
	c := listen(t, a, Config{}) // opens on an interface that is down, too
	nettest.WantLink(t, c.Links(), "set down before Listen", carp.LinkDown)
	a.IP("link set lan up")
	nettest.WantLink(t, c.Links(), "set up", carp.LinkUp)
	lab.Carrier("lan", "a", false)
	nettest.WantLink(t, c.Links(), "cable out", carp.LinkDown)
	lab.Carrier("lan", "a", true)
	nettest.WantLink(t, c.Links(), "cable in", carp.LinkUp)
	a.IP("link set lan down")
	nettest.WantLink(t, c.Links(), "set down", carp.LinkDown)
	if err := c.WritePacket(carp.Packet{Dst: carp.Group4, Data: advert}); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("sending while down: %v", err)
	}
	a.IP("link set lan up")
	nettest.WantLink(t, c.Links(), "set up again", carp.LinkUp)
}

func TestLowerLayerDown(t *testing.T) {
	t.Parallel()
	_, b, lab := nettest.Pair(t)
	b.IP("link add mv0 link lan type macvlan mode bridge")
	b.IP("link set mv0 up")
	c := listen(t, b, Config{Interface: "mv0"})
	nettest.WantLink(t, c.Links(), "at first", carp.LinkUp)
	lab.Carrier("lan", "b", false)
	nettest.WantLink(t, c.Links(), "cable out below", carp.LinkDown)
}

func TestBridgeAsInterface(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			b.IP("link add br0 type bridge")
			b.IP("link set lan master br0")
			b.IP("link set br0 up")
			b.IP("addr flush dev lan")
			b.Addr("br0", "192.0.2.2/24")
			ca, in := listen(t, a, Config{}), read(t, listen(t, b, Config{Interface: "br0", RawIP: raw}))
			for _, dst := range []string{"224.0.0.18", "ff02::12", "192.0.2.2"} {
				deliver(t, ca, carp.Packet{Dst: addr(dst), LinkSrc: vmac}, in)
			}
		})
	}
}

// With the virtual MAC on a macvlan of ours, another master is still heard:
// whatever the mode of the macvlan, although in private mode the IP stack of the
// interface below is deaf to it.
func TestMacvlanWithVirtualMAC(t *testing.T) {
	for _, mode := range []string{"bridge", "private"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a, b, _ := nettest.Pair(t)
			b.IP("link add vm0 link lan address %s type macvlan mode %s", vmac, mode)
			b.IP("link set vm0 up")
			ca, in := listen(t, a, Config{}), read(t, listen(t, b, Config{}))
			for _, group := range []carp.Packet{{Dst: carp.Group4}, {Dst: carp.Group6}} {
				group.LinkSrc = vmac
				send(t, ca, group)
				nettest.Next(t, in, group.Dst.String())
				nettest.None(t, in, "the same packet twice")
			}
		})
	}
}

// memberships is the lines of "ip maddr" about CARP's groups.
func memberships(ns *netns.NS, ifname string) string {
	return nettest.Memberships(ns, ifname, "224.0.0.18", "ff02::12", "00:00:12")
}

func TestInterfaceRecreated(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := netns.New(t, "a", "b")
			a, b := lab.NS("a"), lab.NS("b")
			a.Veth("lan", b, "lan")
			a.Addr("lan", "192.0.2.1/24")
			ca, in := listen(t, a, Config{RawIP: raw}), (<-chan carp.Packet)(nil)
			heard := read(t, ca)
			peer := func() {
				t.Helper()
				cb := listen(t, b, Config{})
				in = read(t, cb)
				send(t, ca, carp.Packet{Dst: carp.Group4})
				nettest.Next(t, in, "from the interface of now")
				for _, p := range []carp.Packet{{Dst: carp.Group4}, {Dst: carp.Group6}} {
					send(t, cb, p)
					if got := nettest.Next(t, heard, "to the interface of now"); got.IfIndex != ca.follow.Now().Index {
						t.Errorf("received on %d, want %d", got.IfIndex, ca.follow.Now().Index)
					}
				}
			}
			gone := func(how string) {
				t.Helper()
				nettest.WantLink(t, ca.Links(), how, carp.LinkDown)
				nettest.Eventually(t, how, func() bool { return ca.follow.Now().Index == 0 })
				if err := ca.WritePacket(carp.Packet{Dst: carp.Group4, Data: advert}); !errors.Is(err, ErrNoInterface) {
					t.Errorf("%s: sending: %v", how, err)
				}
				var p carp.Packet
				if ok, err := ca.TryReadPacket(&p); ok || err != nil {
					t.Errorf("%s: trying to read: %t, %v", how, ok, err)
				}
			}
			nettest.WantLink(t, ca.Links(), "at first", carp.LinkUp)
			peer()
			groups := memberships(a, "lan")

			for range 2 {
				a.IP("link del lan")
				gone("deleted")
				a.Veth("lan", b, "lan")
				nettest.WantLink(t, ca.Links(), "made again", carp.LinkUp)
				peer()
				if got := memberships(a, "lan"); got != groups {
					t.Errorf("memberships were\n%s\nand are now\n%s", groups, got)
				}
			}

			a.IP("link set lan name other")
			gone("renamed away")
			inject := injector(t, b, "lan")
			inject(frame(t, carp.Packet{Dst: carp.Group4}))
			nettest.None(t, heard, "an interface of another name is read")
			a.IP("link set other name lan")
			nettest.WantLink(t, ca.Links(), "renamed back", carp.LinkUp)
			peer()

			// Another interface takes the name over while the first one lives on.
			a.IP("link set lan name other")
			gone("renamed away again")
			a.Veth("lan", b, "lan2")
			nettest.WantLink(t, ca.Links(), "replaced", carp.LinkUp)
			inject(frame(t, carp.Packet{Dst: carp.Group4}))
			nettest.None(t, heard, "the old interface is still read")
			injector(t, b, "lan2")(frame(t, carp.Packet{Dst: carp.Group4}))
			nettest.Next(t, heard, "on the interface that took the name")
			if left := memberships(a, "other"); left != "" {
				t.Errorf("still a member on the old interface:\n%s", left)
			}
		})
	}
}
