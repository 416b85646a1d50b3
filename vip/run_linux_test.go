package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/rtnl"
)

func TestRepair(t *testing.T) {
	t.Parallel()
	for _, tt := range modes {
		t.Run(tt.mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			heard := tap(t, b.client, "lan")
			claims := make(chan Claim, 10)
			cfg := config(tt.mode)
			cfg.Claimed = func(c Claim) { claims <- c }
			a := b.open(cfg)
			b.run(a)
			b.acquire(a)
			if err := a.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			collect(heard, 2*repairPause) // no repair is waiting for its pause to end

			for _, p := range []netip.Prefix{vip4, vip6} {
				b.fw.IP("addr del %v dev %s", p, tt.link)
				if took := b.awaitAddrs("deleted "+p.String(), tt.link, tt.held); took > 300*time.Millisecond {
					t.Errorf("%v came back after %v, not at once", p, took)
				}
			}
			if got := collect(heard, 300*time.Millisecond); len(got) == 0 {
				t.Error("a repair was not announced")
			}

			// IPv6 addresses go with a link that is set down.
			b.fw.IP("link set %s down", tt.link)
			b.fw.IP("link set lan up")
			if tt.link == "lan" {
				b.fw.Addr("lan", "2001:db8::11/64") // the machine's own are gone for good
			}
			b.awaitAddrs("down and up", tt.link, tt.held)

			// The interface is removed, as by a driver reset, and comes back.
			b.fw.IP("link del lan")
			b.awaitAddrs("interface gone", tt.link, nil)
			b.lab.Switch().Veth("again", b.fw, "lan")
			b.lab.Switch().IP("link set again master lan")
			b.fw.Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
			b.awaitAddrs("interface made again", tt.link, tt.held)
			b.ping("on the new interface")
			inject(t, b.client, "lan", foreignClaim(t))
			if got := collect(claims, 200*time.Millisecond); len(got) != 1 {
				t.Errorf("on the new interface, %d claims were reported, want 1", len(got))
			}
			heard = tap(t, b.client, "lan")
			if err := a.Announce(t.Context()); err != nil {
				t.Error(err)
			}
			if got := collect(heard, 200*time.Millisecond); len(got) == 0 {
				t.Error("on the new interface, nothing was announced")
			}
		})
	}
}

// An address that the kernel does not use because it waits for, or believes in,
// a duplicate is put on anew.
func TestRepairTentative(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(RealMAC))
	b.run(a)
	b.acquire(a)
	b.fw.SetSysctl("net.ipv6.conf.lan.accept_dad", "1")
	var c *rtnl.Conn
	var err error
	b.fw.Do(func() { c, err = rtnl.Dial() })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lan, err := c.LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	addr := rtnl.Addr{Index: lan.Index, Prefix: vip6, Proto: addrMark, Lifetime: 2}
	if err := errors.Join(c.DeleteAddr(addr), c.AddAddr(addr)); err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	start := time.Now()
	for time.Since(start) < time.Second { // duplicate detection takes longer
		if !strings.Contains(b.fw.IP("-6 addr show dev lan"), "tentative") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if out := b.fw.IP("-6 addr show dev lan"); strings.Contains(out, "tentative") || !strings.Contains(out, "2001:db8::1/128") {
		t.Errorf("the address is still unusable:\n%s", out)
	}
}

// An address of ours that somebody else puts on as well, while we hold it, is
// left alone and reported.
func TestFaultAndRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	faults := make(chan error, 10)
	cfg := config(RealMAC)
	cfg.Addresses = []netip.Prefix{vip4}
	cfg.Fault = func(err error) { faults <- err }
	a := b.open(cfg)
	b.run(a)
	b.acquire(a)
	b.fw.IP("addr add 192.0.2.1/30 dev lan")
	select {
	case err := <-faults:
		if !errors.Is(err, ErrForeign) {
			t.Errorf("fault %v, want ErrForeign", err)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("no fault was reported")
	}
	if got := b.addrs("lan"); !slices.Contains(got, "192.0.2.1/30 0") {
		t.Errorf("the address of somebody else is gone: %v", got)
	}
	b.fw.IP("addr del 192.0.2.1/30 dev lan")
	select {
	case err := <-faults:
		if err != nil {
			t.Errorf("fault %v, want nil for recovery", err)
		}
	case <-time.After(3 * time.Second):
		t.Error("no recovery was reported")
	}
	b.awaitAddrs("after recovery", "lan", []string{"192.0.2.1/32 112", own[0], own[1]})
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(RealMAC))
	b.run(a)
	b.acquire(a)
	// Without renewals the kernel takes up to 3 s to remove them.
	for start := time.Now(); time.Since(start) < 3500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if got := b.addrs("lan"); !slices.Equal(got, both) {
			t.Fatalf("after %v: %v", time.Since(start), got)
		}
	}
}

// A process that was stopped does not put its expired addresses back at once:
// the election has to hear of the new master first.
func TestStall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := config(RealMAC)
	cfg.Lifetime = time.Second
	a := b.open(cfg)
	b.acquire(a)
	time.Sleep(time.Second) // nobody renews
	b.awaitAddrs("expired", "lan", own)
	for _, lifetimes := range []bool{keep, renew} {
		if _, err := a.mend(lifetimes); !errors.Is(err, errStalled) {
			t.Errorf("after a stall: %v, want %v", err, errStalled)
		}
	}
	b.wantAddrs("after a stall", "lan", own)
	time.Sleep(cfg.renewal())
	if repaired, err := a.mend(renew); !repaired || err != nil {
		t.Errorf("at the next renewal: repaired %t, %v", repaired, err)
	}
	b.wantAddrs("at the next renewal", "lan", both)
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(RealMAC))
	b.run(a)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() {
		for range 20 {
			b.fw.Try("ip", "addr", "del", vip4.String(), "dev", "lan")
		}
	})
	ctx := context.Background()
	for i := range 50 {
		if err := errors.Join(a.Acquire(ctx), a.Announce(ctx), a.Announce(ctx)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		if err := a.Release(ctx); err != nil {
			t.Fatal(err)
		}
	}
	b.wantAddrs("at the end", "lan", own)
}

// foreignClaim is what a machine says that believes the IPv4 address its own.
func foreignClaim(t *testing.T) []byte {
	t.Helper()
	f, err := GratuitousARP(ARPRequest, HardwareAddr{2, 0, 0, 0, 0, 0x66}, vip4.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{RealMAC, VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			a := b.open(config(mode))
			if err := a.Announce(t.Context()); err == nil {
				t.Error("announced what is not held")
			}
			b.acquire(a)
			mac := HardwareAddr(b.fw.MAC("lan"))
			if mode != RealMAC {
				mac = vmac
			}
			heard := tap(t, b.client, "lan")
			if err := a.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := make(map[Claim]int)
			for _, c := range collect(heard, 200*time.Millisecond) {
				got[c]++
			}
			want := map[Claim]int{
				{vip4.Addr(), mac, mac, broadcast}:   2, // both forms
				{other.Addr(), mac, mac, broadcast}:  2,
				{vip6.Addr(), mac, mac, allNodesMAC}: 1,
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("announced\n%v\nwant\n%v", got, want)
			}
		})
	}
}

func TestRepeatAnnouncements(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cfg := config(RealMAC)
	cfg.Addresses, cfg.RequestsOnly, cfg.RepeatAnnouncements = []netip.Prefix{vip4}, true, time.Second
	a := b.open(cfg)
	b.run(a)
	b.acquire(a)
	heard := tap(t, b.client, "lan")
	start := time.Now()
	if err := a.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		select {
		case <-heard:
		case <-time.After(3 * time.Second):
			t.Fatalf("%d announcements, then none for 3 s; want one each second", i)
		}
		if took := time.Since(start); took < time.Duration(i)*time.Second-50*time.Millisecond {
			t.Errorf("announcement %d after %v", i, took)
		}
	}
}

// Claims by others are reported and answered; a storm of them slowly; a
// FreeBSD backup's reply, which only we hear, not at all.
func TestForeignClaims(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	claims := make(chan Claim, 1000)
	cfg := config(RealMAC)
	cfg.RequestsOnly = true
	cfg.Claimed = func(c Claim) { claims <- c }
	a := b.open(cfg)
	b.run(a)
	heard := tap(t, b.client, "lan")

	storm := func() {
		for range 50 {
			inject(t, b.client, "lan", foreignClaim(t))
		}
	}
	storm() // of a master while we are backup: as it should be
	if got, said := len(collect(claims, 200*time.Millisecond)), len(collect(heard, 10*time.Millisecond)); got != 0 || said != 0 {
		t.Errorf("as backup: %d claims reported, %d announcements", got, said)
	}

	b.acquire(a)
	if err := a.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	collect(heard, takeOver)

	reply := foreignClaim(t)
	mac := b.fw.MAC("lan")
	copy(reply, mac[:])
	inject(t, b.client, "lan", reply)
	if got, said := len(collect(claims, 200*time.Millisecond)), len(collect(heard, 10*time.Millisecond)); got != 1 || said != 0 {
		t.Errorf("after a reply to us alone: %d claims reported, want 1; %d announcements, want none", got, said)
	}

	na, err := UnsolicitedNA(HardwareAddr{2, 0, 0, 0, 0, 0x66}, netip.MustParseAddr("fe80::66"), vip6.Addr(), false)
	if err != nil {
		t.Fatal(err)
	}
	inject(t, b.client, "lan", na)
	storm()
	time.Sleep(5 * contestDelay) // the first answer
	storm()
	rounds := 0
	for _, c := range collect(heard, 1500*time.Millisecond) {
		if c.Addr == vip6.Addr() {
			rounds++
		}
	}
	if got := len(collect(claims, 10*time.Millisecond)); got != 101 {
		t.Errorf("%d claims reported, want 101", got)
	}
	if rounds != 2 {
		t.Errorf("answered %d times within 1.5 s, want at once and after 1 s", rounds)
	}

	// Whose successor claims them leaves it at that.
	a.Yield()
	collect(heard, 1500*time.Millisecond)
	storm()
	if said := len(collect(heard, 1500*time.Millisecond)); said != 0 {
		t.Errorf("answered %d times after Yield, want none", said)
	}
	b.acquire(a)
	if err := a.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	collect(heard, 100*time.Millisecond)
	collect(claims, 10*time.Millisecond)
	b.wantAddrs("after a storm", "lan", both)

	// The machine's own addresses are none of our business.
	notOurs, err := GratuitousARP(ARPRequest, HardwareAddr{2, 0, 0, 0, 0, 0x66}, netip.MustParseAddr("192.0.2.11"))
	if err != nil {
		t.Fatal(err)
	}
	inject(t, b.client, "lan", notOurs)
	if got := len(collect(claims, 100*time.Millisecond)); got != 0 {
		t.Errorf("%d claims of another address reported", got)
	}
}
