package rtnl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// open makes a namespace with a link "lan" that has a carrier, and a Conn in it.
func open(t *testing.T) (*Conn, *netns.Lab) {
	t.Helper()
	lab := netns.New(t, "a")
	lab.Bridge("lan", "a")
	var c *Conn
	var err error
	lab.NS("a").Do(func() { c, err = Dial() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, lab
}

func mustLink(t *testing.T, c *Conn, name string) Link {
	t.Helper()
	l, err := c.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c, lab := open(t)
	lan := mustLink(t, c, "lan")
	want := Link{Index: lan.Index, Name: "lan", MAC: lab.NS("a").MAC("lan"), MTU: 1500, AdminUp: true,
		Running: true, OperState: 6, Kind: "veth", ParentIndex: lan.ParentIndex}
	if diff := cmp.Diff(want, lan); diff != "" {
		t.Errorf("LinkByName (-want +got):\n%s", diff)
	}
	byIndex, err := c.LinkByIndex(lan.Index)
	if err != nil || byIndex != lan {
		t.Errorf("LinkByIndex: %v, %v", byIndex, err)
	}
	links, err := c.Links()
	if err != nil || len(links) != 2 || links[0].Name != "lo" || links[1] != lan {
		t.Errorf("Links: %v, %v", links, err)
	}

	lab.Carrier("lan", "a", false)
	if l := mustLink(t, c, "lan"); l.Running || !l.AdminUp {
		t.Errorf("with the cable out: %+v", l)
	}
	lab.Carrier("lan", "a", true)
	if err := c.SetUp(lan.Index, false); err != nil {
		t.Error(err)
	}
	if l := mustLink(t, c, "lan"); l.Running || l.AdminUp {
		t.Errorf("set down: %+v", l)
	}

	for _, name := range []string{"", "nope", "a-name-too-long-for-linux"} {
		if _, err := c.LinkByName(name); !errors.Is(err, ErrNoLink) {
			t.Errorf("LinkByName(%q): %v", name, err)
		}
	}
	for _, index := range []int{-1, 0, 4711} {
		if _, err := c.LinkByIndex(index); !errors.Is(err, ErrNoLink) {
			t.Errorf("LinkByIndex(%d): %v", index, err)
		}
	}
	if err := c.SetUp(4711, true); !errors.Is(err, ErrNoLink) {
		t.Errorf("SetUp of no link: %v", err)
	}
}

func TestMacvlan(t *testing.T) {
	t.Parallel()
	c, lab := open(t)
	lan := mustLink(t, c, "lan")
	mac := [6]byte{0, 0, 0x5e, 0, 1, 7}
	got, err := c.AddMacvlan("lan-vm7", lan.Index, mac, "ours")
	if err != nil {
		t.Fatal(err)
	}
	want := Link{Index: got.Index, Name: "lan-vm7", MAC: mac, MTU: 1500, OperState: 2, Kind: "macvlan",
		Alias: "ours", ParentIndex: lan.Index}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("AddMacvlan (-want +got):\n%s", diff)
	}
	if l := mustLink(t, c, "lan-vm7"); l != got {
		t.Errorf("looked up again: %+v, want %+v", l, got)
	}
	ip := lab.NS("a").IP("-d link show lan-vm7")
	if !strings.Contains(ip, "macvlan mode bridge") || !strings.Contains(ip, "addrgenmode none") {
		t.Errorf("want a macvlan in bridge mode with addrgenmode none, have\n%s", ip)
	}
	if err := c.SetUp(got.Index, true); err != nil {
		t.Fatal(err)
	}
	if addrs, err := c.Addrs(got.Index); err != nil || len(addrs) != 0 {
		t.Errorf("the macvlan made itself addresses: %v, %v", addrs, err)
	}
	mac[5] = 8
	if err := c.SetMAC(got.Index, mac); err != nil {
		t.Error(err)
	}
	if l := mustLink(t, c, "lan-vm7"); l.MAC != mac || !l.Running {
		t.Errorf("after SetMAC: %+v", l)
	}

	if _, err := c.AddMacvlan("lan-vm7", lan.Index, mac, ""); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second one of that name: %v", err)
	}
	// The kernel's own words: a macvlan cannot sit on the loopback.
	if _, err := c.AddMacvlan("lo-vm7", 1, mac, ""); err == nil {
		t.Error("a macvlan on the loopback was accepted")
	}
	for range 2 {
		if err := c.DeleteLink(got.Index); err != nil {
			t.Errorf("DeleteLink: %v", err)
		}
	}
}

func TestBlackhole(t *testing.T) {
	t.Parallel()
	netns.Require(t, "ping")
	c, lab := open(t)
	lan := mustLink(t, c, "lan")
	lab.NS("a").Addr("lan", "192.0.2.1/24")
	lab.Switch().Addr("lan", "192.0.2.2/24")
	for _, on := range []bool{false, true, true, false, false} {
		if err := c.SetBlackhole(lan.Index, on); err != nil {
			t.Fatal(err)
		}
		if l := mustLink(t, c, "lan"); l.Blackhole != on {
			t.Errorf("set to %t: %+v", on, l)
		}
		if _, err := lab.NS("a").Try("ping", "-c1", "-W1", "192.0.2.2"); (err == nil) == on {
			t.Errorf("set to %t: ping: %v", on, err)
		}
	}
	if err := c.SetBlackhole(4711, true); !errors.Is(err, ErrNoLink) {
		t.Errorf("no such link: %v", err)
	}
}

func TestAddrs(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	lan := mustLink(t, c, "lan")
	for _, prefix := range []string{"192.0.2.1/32", "2001:db8::1/128"} {
		a := Addr{Index: lan.Index, Prefix: netip.MustParsePrefix(prefix), Flags: unix.IFA_F_NODAD, Proto: 99, Lifetime: 100}
		if err := c.AddAddr(a); err != nil {
			t.Fatal(err)
		}
		if err := c.AddAddr(a); !errors.Is(err, unix.EEXIST) {
			t.Errorf("added twice: %v", err)
		}
		if got := find(t, c, a); got.Lifetime != 100 || got.Proto != 99 || got.Flags&unix.IFA_F_PERMANENT != 0 {
			t.Errorf("after AddAddr: %+v", got)
		}
		a.Lifetime = 200
		if err := c.ReplaceAddr(a); err != nil {
			t.Error(err)
		}
		if got := find(t, c, a); got.Lifetime != 200 || got.Proto != 99 {
			t.Errorf("after ReplaceAddr: %+v", got)
		}
		a.Lifetime = 0
		if err := c.ReplaceAddr(a); err != nil {
			t.Error(err)
		}
		if got := find(t, c, a); got.Lifetime != 0 || got.Flags&unix.IFA_F_PERMANENT == 0 {
			t.Errorf("after ReplaceAddr for ever: %+v", got)
		}
		for range 2 {
			if err := c.DeleteAddr(a); err != nil {
				t.Errorf("DeleteAddr: %v", err)
			}
		}
		if got := find(t, c, a); got.Prefix.IsValid() {
			t.Errorf("after DeleteAddr: %+v", got)
		}
		a.Index = 4711
		if err := c.DeleteAddr(a); err != nil {
			t.Errorf("DeleteAddr without link: %v", err)
		}
		if err := c.AddAddr(a); !errors.Is(err, ErrNoLink) {
			t.Errorf("AddAddr without link: %v", err)
		}
	}
	if _, err := c.Addrs(4711); !errors.Is(err, ErrNoLink) {
		t.Errorf("Addrs without link: %v", err)
	}
	if err := c.AddAddr(Addr{Index: lan.Index}); err == nil {
		t.Error("an empty address was accepted")
	}
}

// TestKernelWords holds that an error says what the kernel says, not only its errno.
func TestKernelWords(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	a := Addr{Index: mustLink(t, c, "lan").Index, Prefix: netip.MustParsePrefix("192.0.2.1/32")}
	if err := c.AddAddr(a); err != nil {
		t.Fatal(err)
	}
	err := c.AddAddr(a)
	const want = "rtnl: add 192.0.2.1/32 to link with index 2: file exists (ipv4: Address already assigned)"
	if fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func find(t *testing.T, c *Conn, want Addr) Addr {
	t.Helper()
	addrs, err := c.Addrs(want.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.Prefix == want.Prefix {
			return a
		}
	}
	return Addr{}
}

// watch runs a Watcher and returns what it reports.
func watch(t *testing.T, lab *netns.Lab, tune func(*Watcher)) <-chan Event {
	t.Helper()
	var w *Watcher
	var err error
	lab.NS("a").Do(func() { w, err = Watch(true) })
	if err != nil {
		t.Fatal(err)
	}
	tune(w)
	ctx, cancel := context.WithCancel(t.Context())
	events, done := make(chan Event), make(chan error)
	go func() {
		done <- w.Run(ctx, func(ev Event) {
			select {
			case events <- ev:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		w.Close()
	})
	return events
}

// await skips events until one is wanted.
func await(t *testing.T, events <-chan Event, what string, want func(Event) bool) Event {
	t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case ev := <-events:
			if want(ev) {
				return ev
			}
		case <-timeout:
			t.Fatalf("no event: %s", what)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	c, lab := open(t)
	lan := mustLink(t, c, "lan")
	events := watch(t, lab, func(*Watcher) {})

	first := await(t, events, "the state at the start", func(Event) bool { return true })
	if first.Kind != Resync || len(first.Links) != 2 || len(first.Addrs) == 0 {
		t.Errorf("the first event is %+v", first)
	}
	lab.Carrier("lan", "a", false)
	await(t, events, "carrier lost", func(ev Event) bool {
		return ev.Kind == LinkSet && ev.Link.Index == lan.Index && !ev.Link.Running
	})
	a := Addr{Index: lan.Index, Prefix: netip.MustParsePrefix("192.0.2.1/32")}
	if err := c.AddAddr(a); err != nil {
		t.Fatal(err)
	}
	await(t, events, "address added", func(ev Event) bool { return ev.Kind == AddrSet && ev.Addr.Prefix == a.Prefix })
	if err := c.DeleteAddr(a); err != nil {
		t.Fatal(err)
	}
	await(t, events, "address deleted", func(ev Event) bool { return ev.Kind == AddrGone && ev.Addr.Prefix == a.Prefix })

	// A link that leaves a bridge is not gone.
	ns := lab.NS("a")
	ns.IP("link add br0 type bridge")
	ns.IP("link set lan master br0")
	ns.IP("link set lan nomaster")
	if err := c.DeleteLink(lan.Index); err != nil {
		t.Fatal(err)
	}
	gone := 0
	ns.IP("link del br0")
	await(t, events, "bridge deleted", func(ev Event) bool {
		if ev.Kind == LinkGone && ev.Link.Index == lan.Index {
			gone++
		}
		return ev.Kind == LinkGone && ev.Link.Name == "br0"
	})
	if gone != 1 {
		t.Errorf("LinkGone of lan %d times, want once", gone)
	}
}

// TestWatchOverrun floods a watcher that does not read. It must notice, and
// what it says at last must be the truth, whichever of the events got lost.
func TestWatchOverrun(t *testing.T) {
	t.Parallel()
	for _, final := range []bool{true, false} {
		t.Run(fmt.Sprintf("address is there at the end: %t", final), func(t *testing.T) {
			t.Parallel()
			c, lab := open(t)
			lan := mustLink(t, c, "lan")
			events := watch(t, lab, func(w *Watcher) {
				if err := w.events.SetReadBuffer(1); err != nil { // the kernel's minimum
					t.Fatal(err)
				}
			})
			await(t, events, "the state at the start", func(ev Event) bool { return ev.Kind == Resync })
			a := Addr{Index: lan.Index, Prefix: netip.MustParsePrefix("192.0.2.1/32")}
			for range 100 {
				if err := errors.Join(c.AddAddr(a), c.DeleteAddr(a)); err != nil {
					t.Fatal(err)
				}
			}
			if final {
				if err := c.AddAddr(a); err != nil {
					t.Fatal(err)
				}
			}
			// A second overrun may follow the first. What counts is the last word.
			present, resyncs := !final, 0
			for quiet := false; !quiet; {
				select {
				case ev := <-events:
					switch {
					case ev.Kind == Resync:
						resyncs++
						present = slices.ContainsFunc(ev.Addrs, func(have Addr) bool { return have.Prefix == a.Prefix })
					case ev.Addr.Prefix == a.Prefix:
						present = ev.Kind == AddrSet
					}
				case <-time.After(200 * time.Millisecond):
					quiet = true
				}
			}
			if resyncs == 0 {
				t.Error("no resync after an overrun")
			}
			if present != final {
				t.Errorf("at last the watcher says that the address is there: %t", present)
			}
		})
	}
}

func BenchmarkAddAddr(b *testing.B) {
	lab := netns.New(b, "a")
	var c *Conn
	var err error
	lab.NS("a").Do(func() { c, err = Dial() })
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	a := Addr{Index: 1, Prefix: netip.MustParsePrefix("192.0.2.1/32")}
	for b.Loop() {
		if err := errors.Join(c.AddAddr(a), c.DeleteAddr(a)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAddrs(b *testing.B) {
	lab := netns.New(b, "a")
	var c *Conn
	var err error
	lab.NS("a").Do(func() { c, err = Dial() })
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if _, err := c.Addrs(1); err != nil {
			b.Fatal(err)
		}
	}
}
