package carp_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// An advert is signed with the key that the nodes of a group share, and says
// nothing of the addresses but through the digest.
func ExampleKey() {
	secret, _ := carp.Passphrase("mekmitasdigoat")
	key, err := carp.NewKey(carp.KeyConfig{
		Secret: secret,
		VHID:   1,
		Addrs:  []netip.Addr{netip.MustParseAddr("10.0.0.1")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := carp.Header{VHID: 1, AdvBase: 1, Counter: 0x0123456789abcdef}
	key.Sign(&h)
	packet, _ := h.MarshalBinary()
	fmt.Printf("%x\n", packet)
	// Output: 21010007000146510123456789abcdeff3fb8f3f23ac65ede114fc6f719a4ebe7d47d285
}

// A Machine is told what happened and when, and says what to do.
func ExampleMachine() {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := carp.NewMachine(carp.Config{VHID: 1, AdvSkew: 100}, carp.IPv4)

	show := func(now time.Time, ev carp.Event) {
		out := m.Step(now, ev)
		fmt.Printf("%.3fs: %v -> %v", now.Sub(start).Seconds(), out.From, out.To)
		if out.From != out.To {
			fmt.Printf(", %v", out.Reason)
		}
		if out.Send {
			fmt.Printf(", advert %d/%d", out.Advert.AdvBase, out.Advert.AdvSkew)
		}
		if !out.Deadline.IsZero() {
			fmt.Printf(", next %.3fs", out.Deadline.Sub(start).Seconds())
		}
		fmt.Println()
	}
	show(start, carp.Event{Kind: carp.EventUp})
	show(start.Add(3390625*time.Microsecond), carp.Event{Kind: carp.EventTimer})
	show(start.Add(4*time.Second), carp.Event{
		Kind: carp.EventAdvert, Family: carp.IPv4, Advert: carp.Header{VHID: 1, AdvBase: 1, AdvSkew: 0},
	})
	show(start.Add(5*time.Second), carp.Event{
		Kind: carp.EventAdvert, Family: carp.IPv4, Advert: carp.Header{VHID: 1, AdvBase: 255, AdvSkew: 255},
	})
	// Output:
	// 0.000s: INIT -> BACKUP, up and running, next 3.391s
	// 3.391s: BACKUP -> MASTER, master timed out, advert 1/100, next 4.781s
	// 4.000s: MASTER -> BACKUP, heard a faster master, next 7.391s
	// 5.000s: BACKUP -> MASTER, master bowed out, advert 1/100, next 6.391s
}

// A VirtualHost deals in packets, so that it can stand in any event loop: here,
// one master leaves and the other takes over.
func ExampleVirtualHost() {
	secret, _ := carp.Passphrase("mekmitasdigoat")
	host := func(skew uint8) *carp.VirtualHost {
		v, err := carp.NewVirtualHost(carp.HostConfig{
			Config:    carp.Config{VHID: 1, AdvSkew: skew},
			Secret:    secret,
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
			Counter:   1000 + uint64(skew),
		})
		if err != nil {
			panic(err)
		}
		return v
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b := host(0), host(100)
	deadline := a.Step(now, carp.Event{Kind: carp.EventUp}).Deadline
	b.Step(now, carp.Event{Kind: carp.EventUp})
	a.Step(deadline, carp.Event{Kind: carp.EventTimer}) // becomes master

	now = deadline.Add(time.Second)
	leave := a.Step(now, carp.Event{Kind: carp.EventDown})
	for _, p := range a.AppendPackets(nil, now, leave.Advert) {
		p.Src = netip.MustParseAddr("10.0.0.2")
		out, err := b.Receive(now, &p)
		fmt.Println(p.Dst, out.From, out.To, out.Reason, err)
	}
	// Output: 224.0.0.18 BACKUP MASTER master bowed out <nil>
}
