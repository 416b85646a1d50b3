package carp

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

var benchAddrs = []netip.Addr{
	netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1"),
}

func benchKey(tb testing.TB) (*Key, KeyConfig) {
	secret, _ := Passphrase("mekmitasdigoat")
	c := KeyConfig{Secret: secret, VHID: 1, Addrs: benchAddrs}
	k, err := NewKey(c)
	if err != nil {
		tb.Fatal(err)
	}
	return k, c
}

func benchMachine(c Config) (*Machine, time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewMachine(c, IPv4|IPv6)
	m.Step(now, Event{Kind: EventUp})
	return m, now
}

// TestAllocations holds the hot paths to what they promise.
func TestAllocations(t *testing.T) {
	k, _ := benchKey(t)
	h := Header{VHID: 1, AdvBase: 1, Counter: 1}
	buf := make([]byte, 0, HeaderLen)
	k.Sign(&h)
	data, _ := h.MarshalBinary()
	m, now := benchMachine(Config{VHID: 1, AdvSkew: 100})
	vh, err := NewVirtualHost(HostConfig{
		Config: Config{VHID: 1, AdvSkew: 100}, Counter: 1,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::1/128")},
	})
	if err != nil {
		t.Fatal(err)
	}
	vh.Step(now, Event{Kind: EventUp})
	packets := make([]Packet, 0, 2)
	vh.AppendPackets(packets, now, Header{VHID: 1})

	for _, op := range []struct {
		name string
		f    func()
	}{
		{"Key.Sign", func() { k.Sign(&h) }},
		{"Key.Verify", func() { k.Verify(&h) }},
		{"Header.AppendBinary", func() { h.AppendBinary(buf) }},
		{"Header.UnmarshalBinary", func() { h.UnmarshalBinary(data) }},
		{"Machine.Step", func() { m.Step(now, Event{Kind: EventAdvert, Advert: h, Family: IPv4}) }},
		{"VirtualHost.AppendPackets", func() { vh.AppendPackets(packets, now, h) }},
		{"VirtualHost.Receive", func() { vh.Receive(now, &Packet{Data: data, TTL: 255, Dst: Group4}) }},
	} {
		if n := testing.AllocsPerRun(100, op.f); n != 0 {
			t.Errorf("%s: %v allocations, want none", op.name, n)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	k, _ := benchKey(b)
	h := Header{VHID: 1, AdvBase: 1}
	b.ReportAllocs()
	for b.Loop() {
		h.Counter++
		k.Sign(&h)
	}
}

func BenchmarkVerify(b *testing.B) {
	k, _ := benchKey(b)
	h := Header{VHID: 1, AdvBase: 1, Counter: 1}
	k.Sign(&h)
	b.ReportAllocs()
	for b.Loop() {
		if !k.Verify(&h) {
			b.Fatal("refused")
		}
	}
}

// BenchmarkVerifyYardstick is what Verify is measured by: crypto/hmac over the
// same message.
func BenchmarkVerifyYardstick(b *testing.B) {
	_, c := benchKey(b)
	msg := binary.BigEndian.AppendUint64(message(c, hashOrder(c.Addrs)), 1)
	mac := hmac.New(sha1.New, c.Secret[:])
	mac.Write(msg)
	want, sum := mac.Sum(nil), make([]byte, 0, sha1.Size)
	b.ReportAllocs()
	for b.Loop() {
		mac.Reset()
		mac.Write(msg)
		if sum = mac.Sum(sum[:0]); !hmac.Equal(sum, want) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	h := Header{VHID: 1, AdvBase: 1}
	data, _ := h.MarshalBinary()
	b.ReportAllocs()
	for b.Loop() {
		if err := h.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	for _, d := range []Dialect{OpenBSD, FreeBSD, UCarp} {
		b.Run(d.String()+"/advert", func(b *testing.B) {
			m, now := benchMachine(Config{VHID: 1, AdvSkew: 100, Dialect: d})
			ev := Event{Kind: EventAdvert, Advert: Header{VHID: 1, AdvBase: 1}, Family: IPv4}
			b.ReportAllocs()
			for b.Loop() {
				m.Step(now, ev)
			}
		})
		b.Run(d.String()+"/timer", func(b *testing.B) {
			m, now := benchMachine(Config{VHID: 1, Dialect: d})
			b.ReportAllocs()
			for b.Loop() {
				now = m.Step(now, Event{Kind: EventTimer}).Deadline
			}
		})
	}
}
