package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/cli"
)

// A keyring holds the keys to try for each virtual host ID.
type keyring map[uint8][]*carp.Key

// verify is "ok" if one of the keys for h signed it, "bad" if none did, and
// "unchecked" if there is none.
func (k keyring) verify(h *carp.Header) string {
	keys := k[h.VHID]
	switch {
	case len(keys) == 0:
		return "unchecked"
	case slices.ContainsFunc(keys, func(key *carp.Key) bool { return key.Verify(h) }):
		return "ok"
	}
	return "bad"
}

// newKeyring makes keys of the words of each -carp flag.
func newKeyring(flags []string, dialect string, log *slog.Logger) (keyring, error) {
	ring := make(keyring)
	for i, words := range flags {
		where := "-carp"
		if len(flags) > 1 {
			where = fmt.Sprintf("-carp number %d", i+1)
		}
		g, err := parseGroup(strings.Fields(words))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if len(g.pass) > carp.MaxPassphrase {
			log.Warn("passphrase cut as ifconfig does", "vhid", g.vhid, "octets", carp.MaxPassphrase)
		}
		for _, c := range g.configs(dialect) {
			key, err := carp.NewKey(c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			ring[g.vhid] = append(ring[g.vhid], key)
		}
	}
	return ring, nil
}

// configs are the ways in which a peer of the dialect may sign the adverts of g.
func (g group) configs(dialect string) []carp.KeyConfig {
	secret, _ := carp.Passphrase(g.pass)
	// OpenBSD does not hash a MAC that is the parent interface's own, and a
	// capture does not tell which that is.
	macs := []carp.HardwareAddr{{}}
	if g.lladdr != (carp.HardwareAddr{}) {
		macs = append(macs, g.lladdr)
	}
	var all []carp.KeyConfig
	for _, mac := range macs {
		c := carp.KeyConfig{Secret: secret, VHID: g.vhid, Addrs: g.addrs, LLAddr: mac, Digest: carp.DigestAll}
		if dialect != "openbsd" {
			all = append(all, c)
		}
		if dialect != "freebsd" {
			c.Addrs, c.Digest = append(slices.Clip(g.addrs), g.linkLocal()...), carp.DigestOpenBSD
			all = append(all, c)
		}
	}
	return all
}

// linkLocal is the address that an OpenBSD carp interface makes of its MAC, by
// EUI-64, as soon as it has any IPv6 address.
func (g group) linkLocal() []netip.Addr {
	if !slices.ContainsFunc(g.addrs, netip.Addr.Is6) {
		return nil
	}
	m := g.lladdr
	if m == (carp.HardwareAddr{}) {
		m = carp.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x01, g.vhid}
	}
	return []netip.Addr{netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: m[0] ^ 0x02, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5],
	})}
}

// A group is what the words of one -carp flag say.
type group struct {
	vhid   uint8
	pass   string
	lladdr carp.HardwareAddr
	addrs  []netip.Addr
}

// parseGroup reads "vhid N [pass P | passfile F] [lladdr MAC] ADDR...", in any
// order. Its errors quote the wrong word, but never one that may belong to the
// passphrase.
func parseGroup(words []string) (group, error) {
	var g group
	seen := make(map[string]bool)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch word {
		case "vhid", "pass", "passfile", "lladdr":
			if seen[word] {
				return g, fmt.Errorf("word %d: %q a second time", i+1, word)
			}
			seen[word] = true
			if i++; i == len(words) {
				return g, fmt.Errorf("%q is the last word: %s was expected after it", word, expected[word])
			}
			if err := g.set(word, words[i]); err != nil {
				return g, fmt.Errorf("word %d: %w", i+1, err)
			}
		default:
			addr, err := parseAddr(word)
			if err != nil {
				afterPass := i >= 2 && words[i-2] == "pass"
				return g, fmt.Errorf("word %d%s", i+1, refuse(word, afterPass))
			}
			g.addrs = append(g.addrs, addr)
		}
	}
	switch {
	case !seen["vhid"]:
		return g, errors.New(`no "vhid N"`)
	case seen["pass"] && seen["passfile"]:
		return g, errors.New(`"pass" and "passfile": one of them was expected`)
	case len(g.addrs) == 0:
		return g, errors.New("no address: all the virtual addresses were expected, the HMAC covers them")
	}
	return g, nil
}

// refuse says what is wrong with a word that is neither keyword nor address. It
// quotes the word unless that may be the rest of a passphrase with blanks.
func refuse(word string, afterPass bool) string {
	switch {
	case strings.ContainsAny(word, ".:") && strings.Trim(word, "0123456789abcdefABCDEF.:/") == "":
		return fmt.Sprintf(": %q: an IPv4 or IPv6 address, alone or with its prefix length, was expected", word)
	case afterPass:
		return ", after the passphrase: vhid, passfile, lladdr or an address was expected;" +
			" a passphrase with blanks must come from a passfile"
	}
	return fmt.Sprintf(": %q: vhid, pass, passfile, lladdr or an address was expected", word)
}

// expected says what follows each keyword.
var expected = map[string]string{
	"vhid":     "a number from 1 to 255",
	"pass":     "a passphrase",
	"passfile": "a file with the passphrase",
	"lladdr":   "a MAC address such as 02:00:5e:10:20:30",
}

// set takes the value of a keyword.
func (g *group) set(keyword, value string) error {
	switch keyword {
	case "vhid":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil || n == 0 {
			return fmt.Errorf("vhid %q: %s was expected", value, expected[keyword])
		}
		g.vhid = uint8(n)
	case "pass":
		g.pass = value
	case "passfile":
		pass, err := cli.ReadSecret(value)
		if err != nil {
			return fmt.Errorf("passfile: %w", err)
		}
		g.pass = pass
	case "lladdr":
		mac, err := net.ParseMAC(value)
		if err != nil || len(mac) != len(g.lladdr) {
			return fmt.Errorf("lladdr %q: %s was expected", value, expected[keyword])
		}
		g.lladdr = carp.HardwareAddr(mac)
	}
	return nil
}

// parseAddr reads an address with or without prefix length, which the HMAC does
// not cover, and with or without zone.
func parseAddr(word string) (netip.Addr, error) {
	s, length, prefix := strings.Cut(word, "/")
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return addr, err
	}
	if prefix {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || int(n) > addr.BitLen() {
			return addr, fmt.Errorf("prefix length %q", length)
		}
	}
	return addr, nil
}
