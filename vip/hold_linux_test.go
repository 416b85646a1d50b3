package vip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

func TestAcquireRelease(t *testing.T) {
	t.Parallel()
	for _, tt := range modes {
		t.Run(tt.mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			a := b.open(config(tt.mode))
			b.wantAddrs("after Open", tt.link, tt.free)
			for range 2 { // a second time changes nothing
				b.acquire(a)
				b.wantAddrs("after Acquire", tt.link, tt.held)
			}
			b.ping("after Acquire")
			for range 2 {
				if err := a.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				b.wantAddrs("after Release", tt.link, tt.free)
			}
			b.acquire(a)
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if err := a.Acquire(done); !errors.Is(err, context.Canceled) {
				t.Errorf("Acquire with a context that is done: %v", err)
			}
			if err := a.Release(done); err != nil {
				t.Errorf("Release with a context that is done: %v", err)
			}
			b.wantAddrs("after Release with a context that is done", tt.link, tt.free)
			b.acquire(a)
			for range 2 { // while held
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
			}
			b.wantAddrs("after Close", "lan", own)
			if tt.link != "lan" {
				b.wantAddrs("after Close", tt.link, nil)
			}
			for _, method := range []func(context.Context) error{a.Acquire, a.Announce, a.Release, a.Run} {
				if err := method(t.Context()); !errors.Is(err, net.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			}
		})
	}
}

func TestForeignAddress(t *testing.T) {
	t.Parallel()
	for _, foreign := range []string{"198.51.100.1/32", "198.51.100.1/24", "2001:db8::1/128", "2001:db8::1/64"} {
		for _, mode := range []Mode{RealMAC, VirtualMAC} {
			t.Run(mode.String()+" "+foreign, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.fw.Addr("lan", foreign)
				before := b.addrs("lan")
				a := b.open(config(mode))
				err := a.Acquire(t.Context())
				addr, _, _ := strings.Cut(foreign, "/")
				if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), addr+" on lan") {
					t.Errorf("Acquire: %v, want an error that names %s", err, addr)
				}
				b.wantAddrs("after a failed Acquire", "lan", before)
				if err := a.Release(t.Context()); err != nil {
					t.Error(err)
				}
				b.wantAddrs("after Release", "lan", before)
			})
		}
	}
}

// If the kernel refuses one address, the others come off again.
func TestAcquireRollsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fw.SetSysctl("net.ipv6.conf.lan.disable_ipv6", "1")
	a := b.open(config(RealMAC))
	if err := a.Acquire(t.Context()); err == nil || !strings.Contains(err.Error(), vip6.String()) {
		t.Errorf("Acquire: %v, want an error that names %v", err, vip6)
	}
	b.wantAddrs("after a failed Acquire", "lan", own[:1])
}

// Whatever else is wrong, Release takes the addresses off.
func TestReleaseInSpiteOfErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, err := b.tryOpen(config(VirtualMAC))
	if err != nil {
		t.Fatal(err)
	}
	b.acquire(a)
	a.sysctls.v4.Close() // as if /proc were not there any more
	if err := a.Release(t.Context()); err == nil {
		t.Error("Release does not say that the sysctls are out of reach")
	}
	b.wantAddrs("after Release", "lan-07", []string{})
	if err := a.Close(); err == nil {
		t.Error("Close does not say that the sysctls are out of reach")
	}
	b.wantAddrs("after Close", "lan-07", nil)
}

func TestAcquireNeedsTheInterface(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := config(RealMAC)
	cfg.Interface = "wan"
	if _, err := b.tryOpen(cfg); !errors.Is(err, ErrNoInterface) {
		t.Errorf("Open on no interface: %v", err)
	}
	cfg.Interface = "lo"
	if _, err := b.tryOpen(cfg); err == nil {
		t.Error("the loopback was accepted")
	}
	for _, mode := range []Mode{RealMAC, VirtualMAC, RewrittenMAC} {
		a := b.open(config(mode))
		b.fw.IP("link set lan down")
		if err := a.Acquire(t.Context()); err == nil {
			t.Errorf("%v: acquired on an interface that is down", mode)
		}
		b.fw.IP("link set lan up")
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestInterfaceGone(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{RealMAC, VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			a := b.open(config(mode))
			b.fw.IP("link del lan")
			if err := a.SetAddresses(t.Context(), []netip.Prefix{vip4}); err != nil {
				t.Errorf("SetAddresses: %v", err)
			}
			if err := a.Acquire(t.Context()); !errors.Is(err, ErrNoInterface) {
				t.Errorf("Acquire: %v", err)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
		})
	}
}

func TestForeignMacvlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fw.IP("link add lan-07 link lan type macvlan mode bridge")
	if _, err := b.tryOpen(config(VirtualMAC)); !errors.Is(err, ErrForeign) {
		t.Errorf("Open over a macvlan of somebody else: %v", err)
	}
	b.fw.IP("link show lan-07")
	cfg := config(VirtualMAC)
	cfg.LinkName = "carp7"
	b.acquire(b.open(cfg))
	b.wantAddrs("with a name of our own", "carp7", held)
}

func TestKeepPrefixLen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := config(RealMAC)
	cfg.KeepPrefixLen = true
	cfg.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")}
	cfg.Lifetime = Forever
	b.acquire(b.open(cfg))
	b.wantAddrs("after Acquire", "lan", []string{own[0], own[1], "203.0.113.1/24 112"}[:3])
	if out := b.fw.IP("addr show dev lan"); strings.Count(out, "valid_lft forever") != 4 {
		t.Errorf("want all four addresses for ever:\n%s", out)
	}
}

func TestSetAddresses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fw.Addr("lan", "192.0.2.66/32")
	before := b.addrs("lan")
	a := b.open(config(RewrittenMAC))
	set := func(prefixes ...netip.Prefix) error { return a.SetAddresses(t.Context(), prefixes) }
	if err := set(vip6); err != nil {
		t.Fatal(err)
	}
	b.wantAddrs("not held", "lan", before)
	b.acquire(a)
	with := func(more ...string) []string { return slices.Sorted(slices.Values(append(more, before...))) }
	b.wantAddrs("held", "lan", with(held[2]))

	heard := tap(t, b.client, "lan")
	if err := set(vip4, other); err != nil {
		t.Fatal(err)
	}
	b.wantAddrs("after a change", "lan", with(held[0], held[1]))
	if got := collect(heard, 100*time.Millisecond); len(got) != 4 {
		t.Errorf("announced %+v, want two addresses in two forms", got)
	}
	if err := set(vip4, netip.MustParsePrefix("192.0.2.66/32")); !errors.Is(err, ErrForeign) {
		t.Errorf("a set with an address of somebody else: %v", err)
	}
	b.wantAddrs("after a change that failed", "lan", with(held[0], held[1]))
	if err := set(); err == nil {
		t.Error("an empty set was accepted")
	}
}

// A daemon that is started a second time by mistake does no harm to the first.
func TestStartedTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range modes {
		t.Run(tt.mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			a := b.open(config(tt.mode))
			b.acquire(a)
			if _, err := b.tryOpen(config(tt.mode)); !errors.Is(err, ErrInUse) {
				t.Errorf("opened twice: %v, want %v", err, ErrInUse)
			}
			b.wantAddrs("after the second Open", tt.link, tt.held)
			if err := a.SetAddresses(t.Context(), []netip.Prefix{vip4}); err != nil {
				t.Fatal(err)
			}
			cfg := config(tt.mode)
			cfg.Addresses, cfg.MAC[5] = []netip.Prefix{vip6}, 8
			b.acquire(b.open(cfg)) // an address moves to another virtual host
		})
	}
}

// Two virtual hosts on one interface do not touch each other's addresses.
func TestTwoVirtualHosts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg1, cfg2 := config(RealMAC), config(RealMAC)
	cfg1.Addresses, cfg2.Addresses = []netip.Prefix{vip4}, []netip.Prefix{vip6}
	a1, a2 := b.open(cfg1), b.open(cfg2)
	b.acquire(a1)
	b.acquire(a2)
	if err := a1.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wantAddrs("after the first released", "lan", []string{own[0], held[2], own[1]})
	if err := a1.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(cfg1) // its sweep, too, is for its own addresses only
	b.wantAddrs("after another start of the first", "lan", []string{own[0], held[2], own[1]})
}

// BenchmarkAcquire measures what a takeover waits for: two IPv4 addresses and
// one IPv6 address put on.
func BenchmarkAcquire(b *testing.B) {
	for _, mode := range []Mode{RealMAC, VirtualMAC, RewrittenMAC} {
		b.Run(mode.String(), func(b *testing.B) {
			lab := netns.New(b, "fw")
			lab.Bridge("lan", "fw")
			var a *Applier
			var err error
			lab.NS("fw").Do(func() { a, err = Open(config(mode)) })
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			for b.Loop() {
				if err := a.Acquire(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := a.Release(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
