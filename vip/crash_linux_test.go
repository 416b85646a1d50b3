package vip

import (
	"slices"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// A killed process loses its addresses by the kernel's clock, in every mode.
func TestKilledProcessLosesItsAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range modes {
		t.Run(tt.mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			cmd := startHolder(t, b.fw, tt.mode, 2*time.Second, false)
			time.Sleep(2500 * time.Millisecond)
			b.wantAddrs("while it runs", tt.link, tt.held)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if took := b.awaitAddrs("killed", tt.link, tt.free); took < time.Second || took > 3500*time.Millisecond {
				t.Errorf("the addresses went after %v, want between 1 and 3.5 s", took)
			} else {
				t.Logf("the addresses went %v after the kill", took)
			}
		})
	}
}

// What a killed process leaves, Open removes: our addresses, and only those.
func TestSweep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fw.Addr("lan", "192.0.2.66/32")
	before := b.addrs("lan")
	cfg := config(RealMAC)
	cmd := startHolder(t, b.fw, cfg.Mode, time.Hour, false)
	cmd.Process.Kill()
	cmd.Wait()
	b.wantAddrs("killed", "lan", slices.Sorted(slices.Values(append(slices.Clone(held), before...))))
	b.open(cfg)
	b.wantAddrs("after Open", "lan", before)
}

func TestSweepMacvlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ignore, announce = "net.ipv4.conf.lan.arp_ignore", "net.ipv4.conf.lan.arp_announce"
	b.fw.SetSysctl(announce, "1")
	cfg := config(VirtualMAC)
	cmd := startHolder(t, b.fw, cfg.Mode, time.Hour, false)
	cmd.Process.Kill()
	cmd.Wait()
	b.wantAddrs("killed", "lan-07", held)
	if got := b.fw.Sysctl(ignore) + b.fw.Sysctl(announce); got != "12" {
		t.Errorf("killed: arp_ignore and arp_announce are %s, want 1 and 2", got)
	}
	a := b.open(cfg)
	b.wantAddrs("after Open", "lan-07", []string{})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b.wantAddrs("after Close", "lan-07", nil)
	if got := b.fw.Sysctl(ignore) + b.fw.Sysctl(announce); got != "01" {
		t.Errorf("after Close: arp_ignore and arp_announce are %s, want 0 and 1 as before the crash", got)
	}
}

// Killed in silence, with a successor: on the macvlan the silence lasts, and the
// next start finds nothing that it cannot remove.
func TestKilledInSilence(t *testing.T) {
	t.Parallel()
	for _, tt := range modes {
		t.Run(tt.mode.String(), func(t *testing.T) {
			t.Parallel()
			netns.Require(t, "ping")
			b := newBench(t)
			shouts := b.shouts()
			cmd := startHolder(t, b.fw, tt.mode, time.Hour, true)
			cmd.Process.Kill()
			cmd.Wait()
			if tt.mode == VirtualMAC {
				b.meet()
				shouts() // what was said before
				b.wantSilence("killed", shouts)
			}
			a := b.open(config(tt.mode))
			b.wantAddrs("after Open", tt.link, tt.free)
			b.acquire(a)
			if tt.mode == RealMAC {
				b.ping("held again")
				return
			}
			b.wantVoice("held again")
		})
	}
}
