package main

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
)

func TestParseGroup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pass")
	if err := os.WriteFile(file, []byte("two words\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mac := carp.HardwareAddr{2, 0, 0x5e, 0x10, 0x20, 0x30}
	addrs := func(s ...string) (a []netip.Addr) {
		for _, s := range s {
			a = append(a, netip.MustParseAddr(s))
		}
		return a
	}
	for _, tt := range []struct {
		words string
		want  group
		err   string
	}{
		{"vhid 1 10.0.0.1", group{1, "", carp.HardwareAddr{}, addrs("10.0.0.1")}, ""},
		{" vhid  255 pass pw 10.0.0.1/24\t2001:db8::1/64 ", group{255, "pw", carp.HardwareAddr{}, addrs("10.0.0.1", "2001:db8::1")}, ""},
		{"fe80::1%em0/64 lladdr 02:00:5e:10:20:30 pass vhid vhid 7", group{7, "vhid", mac, addrs("fe80::1%em0")}, ""},
		{"vhid 1 passfile " + file + " 10.0.0.1", group{1, "two words", carp.HardwareAddr{}, addrs("10.0.0.1")}, ""},

		{"", group{}, `no "vhid N"`},
		{"10.0.0.1", group{}, `no "vhid N"`},
		{"vhid", group{}, `"vhid" is the last word: a number from 1 to 255 was expected`},
		{"vhid 0 10.0.0.1", group{}, `word 2: vhid "0": a number from 1 to 255 was expected`},
		{"vhid 256 10.0.0.1", group{}, `vhid "256"`},
		{"vhid one 10.0.0.1", group{}, `vhid "one"`},
		{"vhid 1 vhid 2", group{}, `word 3: "vhid" a second time`},
		{"vhid 1", group{}, "no address"},
		{"vhid 1 pass", group{}, `"pass" is the last word: a passphrase`},
		{"vhid 1 pass a passfile " + file + " 10.0.0.1", group{}, `"pass" and "passfile"`},
		{"vhid 1 passfile " + dir + "/none 10.0.0.1", group{}, "word 4: passfile: open " + dir + "/none"},
		{"vhid 1 lladdr 02:00 10.0.0.1", group{}, `word 4: lladdr "02:00": a MAC address`},
		{"vhid 1 lladdr 02-00-5e-10-20-30-40-50 10.0.0.1", group{}, "a MAC address"},
		{"vhid 1 10.0.0.300/24", group{}, `word 3: "10.0.0.300/24": an IPv4 or IPv6 address`},
		{"vhid 1 pass pw 10.0.0.1/33", group{}, `word 5: "10.0.0.1/33": an IPv4 or IPv6 address`},
		{"vhid 1 10.0.0.1/x", group{}, `word 3: "10.0.0.1/x"`},
		{"vhid 1 advskew 100 10.0.0.1", group{}, `word 3: "advskew": vhid, pass, passfile, lladdr or an address`},
		{"vhid 1 pass two words 10.0.0.1", group{}, "word 5, after the passphrase"},
	} {
		have, err := parseGroup(strings.Fields(tt.words))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.words, err, tt.err)
			}
			continue
		}
		same := err == nil && have.vhid == tt.want.vhid && have.pass == tt.want.pass && have.lladdr == tt.want.lladdr &&
			len(have.addrs) == len(tt.want.addrs)
		for i := range tt.want.addrs {
			same = same && have.addrs[i] == tt.want.addrs[i]
		}
		if !same {
			t.Errorf("%q: %+v, %v, want %+v", tt.words, have, err, tt.want)
		}
	}
}

// TestDialects signs as each kind of peer does and wants it accepted under the
// right dialects only.
func TestDialects(t *testing.T) {
	addrs := func(s string) (a []netip.Addr) {
		for s := range strings.FieldsSeq(s) {
			a = append(a, netip.MustParseAddr(s))
		}
		return a
	}
	secret, _ := carp.Passphrase("pw")
	const given = "10.0.0.1 2001:db8::1 fe80::205"
	mac := carp.HardwareAddr{2, 0, 0x5e, 0x10, 0x20, 0x30}
	for _, tt := range []struct {
		peer   string
		lladdr carp.HardwareAddr
		signed string
		want   string // auto, openbsd, freebsd
	}{
		{"OpenBSD", carp.HardwareAddr{}, "10.0.0.1 2001:db8::1", "ok ok bad"},
		{"older OpenBSD, with the automatic address", carp.HardwareAddr{}, given + " fe80::200:5eff:fe00:1cd", "ok ok bad"},
		{"FreeBSD", carp.HardwareAddr{}, given, "ok bad ok"},
		{"OpenBSD with lladdr", mac, "10.0.0.1 2001:db8::1", "ok ok bad"},
		{"the same, with the automatic address", mac, given + " fe80::5eff:fe10:2030", "ok ok bad"},
		{"another lladdr", carp.HardwareAddr{2}, "10.0.0.1 2001:db8::1", "bad bad bad"},
		{"another address", carp.HardwareAddr{}, "10.0.0.2 2001:db8::1", "bad bad bad"},
	} {
		key, err := carp.NewKey(carp.KeyConfig{Secret: secret, VHID: 205, Addrs: addrs(tt.signed), LLAddr: tt.lladdr, Digest: carp.DigestAll})
		if err != nil {
			t.Fatal(err)
		}
		h := carp.Header{VHID: 205, Counter: 99}
		key.Sign(&h)
		words := "vhid 205 pass pw " + given
		if tt.lladdr == mac {
			words += " lladdr " + mac.String()
		}
		var have []string
		for _, dialect := range []string{"auto", "openbsd", "freebsd"} {
			ring, err := newKeyring([]string{"vhid 205 pass other 10.0.0.1", words}, dialect, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, ring.verify(&h))
		}
		if got := strings.Join(have, " "); got != tt.want {
			t.Errorf("%s: auto, openbsd, freebsd: %s, want %s", tt.peer, got, tt.want)
		}
	}
}
