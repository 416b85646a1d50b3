package carpnet

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netns"
)

// wantLink waits for the latest state to be want.
func wantLink(t testing.TB, c *Conn, what string, want carp.Link) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	got := "no change"
	for {
		select {
		case l := <-c.Links():
			if l == want {
				return
			}
			got = l.String()
		case <-timeout:
			t.Fatalf("%s: link is %s, want %s", what, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	a, _, lab := pair(t)
	a.IP("link set lan down")
	c := listen(t, a, Config{}) // opens on an interface that is down, too
	wantLink(t, c, "set down before Listen", carp.LinkDown)
	a.IP("link set lan up")
	wantLink(t, c, "set up", carp.LinkUp)
	lab.Carrier("lan", "a", false)
	wantLink(t, c, "cable out", carp.LinkDown)
	lab.Carrier("lan", "a", true)
	wantLink(t, c, "cable in", carp.LinkUp)
	a.IP("link set lan down")
	wantLink(t, c, "set down", carp.LinkDown)
	if err := c.WritePacket(carp.Packet{Dst: carp.Group4, Data: advert}); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("sending while down: %v", err)
	}
	a.IP("link set lan up")
	wantLink(t, c, "set up again", carp.LinkUp)

	// A slow reader gets the last of many changes.
	for range 5 {
		a.IP("link set lan down")
		a.IP("link set lan up")
	}
	a.IP("link set lan down")
	eventually(t, "seen down", func() bool { return c.current.Load().link == carp.LinkDown })
	if l := <-c.Links(); l != carp.LinkDown {
		t.Errorf("after many changes the link is %v", l)
	}
	select {
	case l := <-c.Links():
		t.Errorf("one more state: %v", l)
	default:
	}
}

func TestLowerLayerDown(t *testing.T) {
	t.Parallel()
	_, b, lab := pair(t)
	b.IP("link add mv0 link lan type macvlan mode bridge")
	b.IP("link set mv0 up")
	c := listen(t, b, Config{Interface: "mv0"})
	wantLink(t, c, "at first", carp.LinkUp)
	lab.Carrier("lan", "b", false)
	wantLink(t, c, "cable out below", carp.LinkDown)
}

func TestBridgeAsInterface(t *testing.T) {
	for name, raw := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, _ := pair(t)
			b.IP("link add br0 type bridge")
			b.IP("link set lan master br0")
			b.IP("link set br0 up")
			b.IP("addr flush dev lan")
			b.Addr("br0", "192.0.2.2/24")
			ca, in := listen(t, a, Config{}), read(listen(t, b, Config{Interface: "br0", RawIP: raw}))
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
			a, b, _ := pair(t)
			b.IP("link add vm0 link lan address %s type macvlan mode %s", vmac, mode)
			b.IP("link set vm0 up")
			ca, in := listen(t, a, Config{}), read(listen(t, b, Config{}))
			for _, group := range []carp.Packet{{Dst: carp.Group4}, {Dst: carp.Group6}} {
				group.LinkSrc = vmac
				send(t, ca, group)
				next(t, in, group.Dst.String())
				none(t, in, "the same packet twice")
			}
		})
	}
}

// memberships is the lines of "ip maddr" about CARP's groups, with their numbers of users.
func memberships(ns *netns.NS, ifname string) string {
	var lines []string
	for line := range strings.Lines(ns.IP("maddr show dev %s", ifname)) {
		if strings.Contains(line, "224.0.0.18") || strings.Contains(line, "ff02::12") || strings.Contains(line, "00:00:12") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
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
			heard := read(ca)
			peer := func() {
				t.Helper()
				cb := listen(t, b, Config{})
				in = read(cb)
				send(t, ca, carp.Packet{Dst: carp.Group4})
				next(t, in, "from the interface of now")
				for _, p := range []carp.Packet{{Dst: carp.Group4}, {Dst: carp.Group6}} {
					send(t, cb, p)
					if got := next(t, heard, "to the interface of now"); got.IfIndex != ca.current.Load().index {
						t.Errorf("received on %d, want %d", got.IfIndex, ca.current.Load().index)
					}
				}
			}
			gone := func(how string) {
				t.Helper()
				wantLink(t, ca, how, carp.LinkDown)
				eventually(t, how, func() bool { return ca.current.Load().index == 0 })
				if err := ca.WritePacket(carp.Packet{Dst: carp.Group4, Data: advert}); !errors.Is(err, ErrNoInterface) {
					t.Errorf("%s: sending: %v", how, err)
				}
				var p carp.Packet
				if ok, err := ca.TryReadPacket(&p); ok || err != nil {
					t.Errorf("%s: trying to read: %t, %v", how, ok, err)
				}
			}
			wantLink(t, ca, "at first", carp.LinkUp)
			peer()
			groups := memberships(a, "lan")

			for range 2 {
				a.IP("link del lan")
				gone("deleted")
				a.Veth("lan", b, "lan")
				wantLink(t, ca, "made again", carp.LinkUp)
				peer()
				if got := memberships(a, "lan"); got != groups {
					t.Errorf("memberships were\n%s\nand are now\n%s", groups, got)
				}
			}

			a.IP("link set lan name other")
			gone("renamed away")
			inject := injector(t, b, "lan")
			inject(frame(t, carp.Packet{Dst: carp.Group4}))
			none(t, heard, "an interface of another name is read")
			a.IP("link set other name lan")
			wantLink(t, ca, "renamed back", carp.LinkUp)
			peer()

			// Another interface takes the name over while the first one lives on.
			a.IP("link set lan name other")
			gone("renamed away again")
			a.Veth("lan", b, "lan2")
			wantLink(t, ca, "replaced", carp.LinkUp)
			inject(frame(t, carp.Packet{Dst: carp.Group4}))
			none(t, heard, "the old interface is still read")
			injector(t, b, "lan2")(frame(t, carp.Packet{Dst: carp.Group4}))
			next(t, heard, "on the interface that took the name")
			if left := memberships(a, "other"); left != "" {
				t.Errorf("still a member on the old interface:\n%s", left)
			}
		})
	}
}
