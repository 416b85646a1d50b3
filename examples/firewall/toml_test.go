package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/vip"
)

func TestSettings(t *testing.T) {
	have, err := readSettings(files(t, map[string]string{settingsFile: `
# comment
mac = "virtual" # comment
dialect = 'freebsd'

[carp]
allow = ["192.0.2.1", '2001:db8::/64',] # comment
[ pfsync ]
peers=["10.10.10.2"]
states = 1_000_000
[hooks]
timeout	=	5
demote = 10
`}))
	want := settings{
		mac: vip.VirtualMAC, carpDialect: carp.FreeBSD, pfsyncDialect: pfsync.FreeBSD15,
		carpAllow: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")},
		syncPeers: []netip.Addr{netip.MustParseAddr("10.10.10.2")}, maxStates: 1000000,
		hookTimeout: 5 * time.Second, hookDemote: 10, wan: defaultWAN(),
	}
	if err != nil || !have.equal(want) {
		t.Errorf("%+v, %v, want %+v", have, err, want)
	}
}

func TestTOML(t *testing.T) {
	all, err := parseTOML("f", "a = true\nb = \"x # y\"\n[t]\na = -3\nb = []\nc = ['']\n[t . u-1]\na.b = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]any)
	for _, v := range all {
		got[v.key] = v.v
	}
	want := map[string]any{"a": true, "b": "x # y", "t.a": int64(-3), "t.b": []string{}, "t.c": []string{""}, "t.u-1.a.b": int64(1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTOMLErrors(t *testing.T) {
	for text, want := range map[string]string{
		"mac":                      "f:1: expected key = value",
		"= 1":                      "f:1: expected key = value",
		"[t":                       "f:1: expected a table",
		"[t] x":                    "f:1: expected a table",
		"[[t]]":                    "f:1: expected a table",
		"[t.]":                     "f:1: expected a table",
		"[.t]":                     "f:1: expected a table",
		"a. = 1":                   "f:1: expected key = value",
		"\na = 1\na = 2":           `f:3: word "a": expected it once`,
		"a = 1 2":                  `f:1: word "a": expected nothing after the value`,
		"a = x":                    `f:1: word "a": expected a string in quotes`,
		"a = 1.5":                  `f:1: word "a": expected nothing after the value`,
		"a =":                      `f:1: word "a": expected a string in quotes`,
		"a = \"x":                  `f:1: word "a": expected a closing quote`,
		"a = \"x\\n\"":             `f:1: word "a": expected a closing quote, and no backslash`,
		"a = [1]":                  `f:1: word "a": expected strings in quotes`,
		"a = [\"x\" \"y\"]":        `f:1: word "a": expected , or ]`,
		"a = [\"x\",":              `f:1: word "a": expected strings in quotes`,
		"a = [[\"x\"]]":            `f:1: word "a": expected strings in quotes`,
		"a = 99999999999999999999": `f:1: word "a": expected a string in quotes`,
	} {
		if _, err := parseTOML("f", text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Every key is refused, with what was expected, if its value is of no use.
func TestSettingsErrors(t *testing.T) {
	for _, line := range []string{
		"mac = 1", "dialect = \"netbsd\"", "dialect = true", "[carp]\nallow = \"192.0.2.1\"", "[carp]\nallow = [\"x\"]",
		"[pfsync]\npeers = [\"224.0.0.240\"]", "[pfsync]\npeers = 3", "[pfsync]\nstates = 0", "[pfsync]\nstates = 16777215",
		"[hooks]\ntimeout = 0", "[hooks]\ntimeout = \"5\"", "[hooks]\ndemote = 256", "x = 1",
	} {
		if _, err := readSettings(files(t, map[string]string{settingsFile: line})); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
