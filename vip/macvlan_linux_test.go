package vip

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The macvlan forwards if the interface does, and takes nothing from router
// advertisements.
func TestMacvlanSettings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fw.SetSysctl("net.ipv4.conf.lan.forwarding", "1")
	b.fw.SetSysctl("net.ipv6.conf.lan.forwarding", "1")
	a := b.open(config(VirtualMAC))
	b.acquire(a)
	for key, want := range map[string]string{
		"net.ipv4.conf.lan-07.forwarding": "1",
		"net.ipv6.conf.lan-07.forwarding": "1",
		"net.ipv6.conf.lan-07.accept_ra":  "0",
		"net.ipv6.conf.lan-07.autoconf":   "0",
		"net.ipv4.conf.lan-07.rp_filter":  "2",
	} {
		if got := b.fw.Sysctl(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if out := b.fw.IP("-6 addr show dev lan-07"); strings.Contains(out, "fe80:") {
		t.Errorf("the macvlan has a link-local address, which all nodes would share:\n%s", out)
	}
}

func TestSysctlsAreShared(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ignore, announce = "net.ipv4.conf.lan.arp_ignore", "net.ipv4.conf.lan.arp_announce"
	b.fw.SetSysctl(announce, "1")
	want := func(when, ignoreWant, announceWant string) {
		t.Helper()
		if i, n := b.fw.Sysctl(ignore), b.fw.Sysctl(announce); i != ignoreWant || n != announceWant {
			t.Errorf("%s: arp_ignore %s, arp_announce %s, want %s and %s", when, i, n, ignoreWant, announceWant)
		}
	}
	cfg1, cfg2 := config(VirtualMAC), config(VirtualMAC)
	cfg2.MAC[5] = 8
	cfg2.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")}
	a1, a2 := b.open(cfg1), b.open(cfg2)
	stop := b.run(a2)
	want("with two", "1", "2")
	if err := a1.Close(); err != nil {
		t.Fatal(err)
	}
	want("with one", "1", "2")

	b.fw.SetSysctl(ignore, "0") // another process was done with it
	for start := time.Now(); b.fw.Sysctl(ignore) != "1" && time.Since(start) < 2*time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	want("lowered by somebody", "1", "2")

	stop()
	if err := a2.Close(); err != nil {
		t.Fatal(err)
	}
	want("with none", "0", "1")

	// Values that are high enough are not touched, nor are changes undone.
	b.fw.SetSysctl(ignore, "2")
	b.fw.SetSysctl(announce, "0")
	a3, err := b.tryOpen(cfg1)
	if err != nil {
		t.Fatal(err)
	}
	want("with higher values", "2", "2")
	b.fw.SetSysctl(announce, "1") // the operator, in the meantime
	if err := a3.Close(); err != nil {
		t.Fatal(err)
	}
	want("after a change by the operator", "2", "1")

	cfg1.KeepSysctls = true
	b.open(cfg1)
	want("told to keep them", "2", "1")
}
