package vip

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := func() Config {
		return Config{Interface: "lan", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
	}
	addresses := func(prefixes ...string) func(*Config) {
		return func(c *Config) {
			c.Addresses = nil
			for _, p := range prefixes {
				c.Addresses = append(c.Addresses, netip.MustParsePrefix(p))
			}
		}
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // part of the error; empty: valid
	}{
		{"the least", func(*Config) {}, ""},
		{"both families", addresses("192.0.2.1/32", "2001:db8::1/128", "fe80::1/64"), ""},
		{"virtual MAC", func(c *Config) { c.Mode, c.MAC = VirtualMAC, HardwareAddr{0, 0, 0x5e, 0, 1, 1} }, ""},
		{"for ever", func(c *Config) { c.Lifetime = Forever }, ""},
		{"no interface", func(c *Config) { c.Interface = "" }, `Interface ""`},
		{"long interface", func(c *Config) { c.Interface = "sixteen-octets-x" }, "Interface"},
		{"path as interface", func(c *Config) { c.Interface = "../all" }, "Interface"},
		{"parent directory as interface", func(c *Config) { c.Interface = ".." }, "Interface"},
		{"no address", addresses(), "empty"},
		{"zero address", func(c *Config) { c.Addresses = make([]netip.Prefix, 1) }, "invalid Prefix"},
		{"multicast", addresses("224.0.0.18/32"), "224.0.0.18/32"},
		{"broadcast", addresses("255.255.255.255/32"), "unicast"},
		{"loopback", addresses("::1/128"), "::1/128"},
		{"unspecified", addresses("0.0.0.0/0"), "0.0.0.0/0"},
		{"mapped", addresses("::ffff:192.0.2.1/128"), "unicast"},
		{"twice", addresses("192.0.2.1/24", "192.0.2.1/32"), "192.0.2.1 is there twice"},
		{"mode", func(c *Config) { c.Mode = 7 }, "mode 7"},
		{"virtual without MAC", func(c *Config) { c.Mode = VirtualMAC }, "MAC 00:00:00:00:00:00"},
		{"virtual with group MAC", func(c *Config) { c.Mode, c.MAC = VirtualMAC, HardwareAddr{1} }, "MAC 01:"},
		{"bad link name", func(c *Config) { c.Mode, c.MAC, c.LinkName = VirtualMAC, HardwareAddr{2}, "a b" }, `LinkName "a b"`},
		{"link name of the interface", func(c *Config) { c.Mode, c.MAC, c.LinkName = VirtualMAC, HardwareAddr{2}, "lan" }, "LinkName"},
		{"short lifetime", func(c *Config) { c.Lifetime = time.Millisecond }, "Lifetime 1ms"},
		{"long lifetime", func(c *Config) { c.Lifetime = 2 * time.Hour }, "Lifetime 2h"},
		{"negative lifetime", func(c *Config) { c.Lifetime = -time.Second }, "Lifetime -1s"},
		{"short repeats", func(c *Config) { c.RepeatAnnouncements = 1 }, "RepeatAnnouncements 1ns"},
	}
	for _, tt := range tests {
		c := good()
		tt.change(&c)
		err := c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Open(Config{Mode: 9, Lifetime: 1}); err == nil {
		t.Error("Open accepted a bad Config")
	}
	err := (&Config{Mode: 9, Lifetime: 1, RepeatAnnouncements: 1}).Validate()
	if n := strings.Count(err.Error(), "vip: "); n != 5 {
		t.Errorf("%d problems in %q, want all 5", n, err)
	}
}

func TestDefaults(t *testing.T) {
	tests := []struct {
		lifetime time.Duration
		seconds  uint32
		renewal  time.Duration
	}{
		{0, 2, 500 * time.Millisecond},
		{Forever, 0, time.Second},
		{time.Second, 1, 250 * time.Millisecond},
		{1001 * time.Millisecond, 2, 500 * time.Millisecond},
	}
	for _, tt := range tests {
		c := Config{Lifetime: tt.lifetime}
		if s, r := c.lifetime(), c.renewal(); s != tt.seconds || r != tt.renewal {
			t.Errorf("lifetime %v: %d s renewed each %v, want %d s, %v", tt.lifetime, s, r, tt.seconds, tt.renewal)
		}
	}
	for _, tt := range []struct{ ifname, want string }{
		{"lan", "lan-07"}, {"enp130s0f1np1", "enp130s0f1np-07"}, {"eth0.100", "eth0.100-07"},
	} {
		c := Config{Interface: tt.ifname, MAC: HardwareAddr{0, 0, 0x5e, 0, 1, 7}}
		if got := c.linkName(); got != tt.want || !validLinkName(got) {
			t.Errorf("macvlan on %s is called %q, want %q", tt.ifname, got, tt.want)
		}
	}
}
