package vip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
	"github.com/google/go-cmp/cmp"
)

// shouts has the returned function say what has left the firewall from the shared
// hardware address since it was called last.
func (b *bench) shouts() func() []string {
	b.t.Helper()
	const all = 3 // ETH_P_ALL
	conn := openPacket(b.t, b.lab.Switch(), b.lab.Port("lan", "fw"), all)
	frames := make(chan string, 1000)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if dst, src, etherType, payload, ok := unframe(buf[:n]); ok && src == vmac {
				frames <- fmt.Sprintf("to %v, type %#04x: %x", dst, etherType, payload)
			}
		}
	}()
	return func() []string {
		var out []string
		for {
			select {
			case f := <-frames:
				out = append(out, f)
			case <-time.After(50 * time.Millisecond):
				return out
			}
		}
	}
}

func (b *bench) wantNone(what string, shouts []string) {
	b.t.Helper()
	if len(shouts) > 0 {
		b.t.Errorf("%s: frames from the shared hardware address:\n%s", what, strings.Join(shouts, "\n"))
	}
}

// wantSilence wants a machine to be unnoticed that has the addresses: nobody who
// asks for them is answered, who knows them is, and nothing leaves from the shared
// hardware address.
func (b *bench) wantSilence(what string, shouts func() []string) {
	b.t.Helper()
	for _, p := range config(RealMAC).Addresses {
		if got := b.whoHas(p.Addr()); len(got) != 0 {
			b.t.Errorf("%s: %v answer for %v", what, got, p.Addr())
		}
	}
	b.ping(what)
	// It asks for others, which nobody is, from the shared addresses.
	b.fw.Try("ping", "-c1", "-W0.2", "-I", vip4.Addr().String(), "192.0.2.77")
	b.fw.Try("ping", "-c1", "-W0.2", "-I", vip6.Addr().String(), "2001:db8::77")
	b.wantNone(what, shouts())
}

// wantVoice is the opposite.
func (b *bench) wantVoice(what string) {
	b.t.Helper()
	for _, p := range config(RealMAC).Addresses {
		if diff := cmp.Diff(map[answer]int{{vmac, vmac}: 1}, b.whoHas(p.Addr())); diff != "" {
			b.t.Errorf("%s: who has %v (-want +got):\n%s", what, p.Addr(), diff)
		}
	}
	b.ping(what)
}

// meet has the client know where the shared addresses are, and the firewall where
// the client is, as neighbours do.
func (b *bench) meet() {
	b.t.Helper()
	b.fw.Run("ping", "-c1", "-W2", "-I", "192.0.2.11", "192.0.2.99")
	b.fw.Run("ping", "-c1", "-W2", "-I", "2001:db8::11", "2001:db8::99")
	for _, p := range config(RealMAC).Addresses {
		b.client.IP("neigh replace %v lladdr %v dev lan nud permanent", p.Addr(), vmac)
	}
}

// A former master has the addresses a moment longer, but only those notice who
// have sent something to it before.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			shouts := b.shouts()
			b.meet()
			a := b.open(config(mode))
			stop := b.run(a)
			if err := a.Silence(); err == nil {
				t.Error("silenced what is not held")
			}
			silence := func(what string) {
				t.Helper()
				if err := a.Silence(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				shouts() // what was said before
			}

			b.acquire(a)
			if err := a.Announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			silence("just held") // the kernel still has reports of multicast groups to send
			b.wantSilence("silent", shouts)
			if err := a.Announce(t.Context()); err == nil {
				t.Error("announced in silence")
			}
			if err := a.SetAddresses(t.Context(), config(mode).Addresses); err != nil {
				t.Error(err)
			}
			inject(t, b.client, "lan", foreignClaim(t))
			time.Sleep(2 * contestDelay)
			b.wantNone("told, and provoked, to announce", shouts())

			b.acquire(a) // master again before the moment is over
			b.wantVoice("held again")
			if err := a.Announce(t.Context()); err != nil {
				t.Error(err)
			}
			silence("a second time")
			b.wantSilence("silent a second time", shouts)

			// Repaired behind our back, it is silent still.
			b.fw.IP("link del lan")
			b.lab.Switch().Veth("again", b.fw, "lan")
			b.lab.Switch().IP("link set again master lan")
			b.fw.Addr("lan", "192.0.2.11/24", "2001:db8::11/64")
			link, want := "lan", both
			if mode == VirtualMAC {
				link, want = "lan-07", held
			}
			b.awaitAddrs("interface made again", link, want)
			b.meet()
			b.wantSilence("silent on a new interface", shouts)

			if err := a.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.wantNone("released", shouts())
			b.acquire(a)
			b.wantVoice("master once more")

			stop()
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if err := a.Silence(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

// One virtual host falls silent, not the other on the same interface.
func TestSilenceOfOne(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{VirtualMAC, RewrittenMAC} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			cfg1, cfg2 := config(mode), config(mode)
			cfg1.Addresses, cfg1.MAC[5] = []netip.Prefix{vip4}, 8
			cfg2.Addresses = []netip.Prefix{vip6, other}
			a1, a2 := b.open(cfg1), b.open(cfg2)
			b.acquire(a1)
			b.acquire(a2)
			if err := a1.Silence(); err != nil {
				t.Fatal(err)
			}
			for addr, want := range map[netip.Prefix]map[answer]int{
				vip4: {}, vip6: {{vmac, vmac}: 1}, other: {{vmac, vmac}: 1},
			} {
				if diff := cmp.Diff(want, b.whoHas(addr.Addr())); diff != "" {
					t.Errorf("who has %v (-want +got):\n%s", addr, diff)
				}
			}
		})
	}
}

// With the interface's own hardware address, it is the neighbours that have to
// learn something: a silent machine is a machine that announces nothing.
func TestSilenceWithRealMAC(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(RealMAC))
	b.acquire(a)
	if err := a.Silence(); err != nil {
		t.Fatal(err)
	}
	b.ping("silent")
	if err := a.Announce(t.Context()); err == nil {
		t.Error("announced in silence")
	}
}

// What cannot be silenced says so, and lets go.
func TestSilenceFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.open(config(VirtualMAC))
	b.acquire(a)
	b.fw.IP("link del lan-07")
	if err := a.Silence(); err == nil {
		t.Error("silenced a macvlan that is gone")
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
