package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyncSettings(t *testing.T) {
	read := func(text string) (settings, error) {
		t.Helper()
		return readSettings(files(t, map[string]string{settingsFile: "[sync]\n" + text + "\n"}))
	}
	s, err := read(`exclude = ["carp:pass", "hooks:90-local"]
skew-add = 100
extra.dns = ["/etc/dnsmasq.conf", "systemctl", "reload", "dnsmasq"]
[sync.extra]
vpn = ["/etc/vpn.conf"]`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"dns": "/etc/dnsmasq.conf", "vpn": "/etc/vpn.conf"}, s.sync.paths()); diff != "" {
		t.Error(diff)
	}
	if s.sync.skewAdd != 100 || len(s.sync.rules) != 2 || len(s.sync.extra["dns"].run) != 3 || len(s.sync.extra["vpn"].run) != 0 {
		t.Errorf("%+v", s.sync)
	}
	other := s
	if other.sync = (syncSettings{}); !s.equal(other) {
		t.Error("a reload says that they count from the next start on, but they count at once")
	}
	for text, want := range map[string]string{
		`exclude = "carp"`:                   `firewall.toml:2: word "sync.exclude": expected what this node keeps for itself`,
		`exclude = ["carp:inet"]`:            `word "sync.exclude": "carp:inet": want a word of ifconfig`,
		`exclude = ["nat"]`:                  `"nat": want a section`,
		`skew-add = 0`:                       "1 to 254",
		`skew-add = 255`:                     "1 to 254",
		`direction = "both"`:                 "expected one of sync.exclude, sync.skew-add, sync.extra.NAME",
		`extra.dns = []`:                     "expected the path of a file",
		`extra.dns = "/etc/dns"`:             "expected the path of a file",
		`extra.dns = ["etc/dns"]`:            "expected the path of a file",
		`extra.dns = ["/etc/../dns"]`:        "expected the path of a file",
		`extra.dns.x = ["/etc/dns"]`:         "expected the path of a file",
		"extra.a=[\"/x\"]\nextra.b=[\"/x\"]": "expected each file once: /x",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
