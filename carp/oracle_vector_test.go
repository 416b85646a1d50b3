package carp_test

import (
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
)

// A vector is a digest that a kernel's routines made, run in user space.
type vector struct {
	Name       string   `json:"name"`
	Password   string   `json:"password"`
	VHID       uint8    `json:"vhid"`
	Addrs      []string `json:"addresses_in_config_order"`
	Counter    hexBytes `json:"counter_hex"`
	AdvBase    uint8    `json:"advbase"`
	AdvSkew    uint8    `json:"advskew"`
	Demote     uint8    `json:"demote"`
	LLAddr     string   `json:"custom_lladdr"`
	AcceptedBy struct {
		OpenBSD []string `json:"openbsd"`
		Others  []string `json:"freebsd_netbsd"`
	} `json:"accepted_by"`
	OpenBSD hexBytes `json:"header_hex_openbsd"`
	Others  hexBytes `json:"header_hex_freebsd"`
}

func TestVectors(t *testing.T) {
	type file struct {
		Vectors []vector `json:"vectors"`
		CARP    []vector `json:"carp"` // the same, in the original
	}
	eachOracle(t, "vectors.json", "carp-hmac-vectors.json", func(t *testing.T, f file) {
		vectors := append(f.Vectors, f.CARP...)
		if len(vectors) == 0 {
			t.Fatal("no vectors")
		}
		for _, v := range vectors {
			t.Run(v.Name, func(t *testing.T) {
				v.test(t, carp.DigestOpenBSD, v.AcceptedBy.OpenBSD, v.OpenBSD)
				if v.LLAddr == "" {
					v.test(t, carp.DigestAll, v.AcceptedBy.Others, v.Others)
				}
			})
		}
	})
}

// test signs and verifies the way of d. Wire is the advert that the kernel
// sends, accepted are the digests it takes.
func (v *vector) test(t *testing.T, d carp.Digest, accepted []string, wire []byte) {
	t.Helper()
	secret, _ := carp.Passphrase(v.Password)
	key := newKey(t, carp.KeyConfig{Secret: secret, VHID: v.VHID, Addrs: addrs(v.Addrs), LLAddr: hardwareAddr(t, v.LLAddr), Digest: d})

	var want carp.Header
	if err := want.UnmarshalBinary(wire); err != nil {
		t.Fatalf("the vector itself: %v", err)
	}
	h := carp.Header{
		VHID: v.VHID, AdvBase: v.AdvBase, AdvSkew: v.AdvSkew, Counter: want.Counter,
		Demote: want.Demote, // 0 in the adverts of those that do not know it
	}
	key.Sign(&h)
	if h != want {
		t.Errorf("digest %v: signed %+v, the kernel's is %+v", d, h, want)
	}
	if b, _ := h.MarshalBinary(); string(b) != string(wire) {
		t.Errorf("digest %v: header %x, the kernel's is %x", d, b, wire)
	}
	for _, digest := range accepted {
		b, err := hex.DecodeString(digest)
		if err != nil {
			t.Fatal(err)
		}
		h.Digest = [20]byte(b)
		if !key.Verify(&h) {
			t.Errorf("digest %v: refused %s, which the kernel takes", d, digest)
		}
	}
	for i := range h.Digest {
		if h.Digest[i] ^= 1; key.Verify(&h) {
			t.Errorf("digest %v: octet %d may be anything", d, i)
		}
		h.Digest[i] ^= 1
	}
}

// What an OpenBSD kernel has sent: one advert for each counter and digest.
func TestVectorsOpenBSDWire(t *testing.T) {
	type wireVector struct {
		From   string   `json:"from"`
		VHID   uint8    `json:"vhid"`
		Pass   string   `json:"pass"`
		Key    hexBytes `json:"key_hex"`
		LLAddr string   `json:"mac_in_hmac"`
		Inet   []string `json:"inet_as_configured"`
		Inet6  []string `json:"inet6_as_configured"`
		Header hexBytes `json:"carp_header_hex"`
	}
	type file struct {
		Vectors []wireVector `json:"vectors"`
	}
	test := func(t *testing.T, vectors []wireVector) {
		if len(vectors) == 0 {
			t.Fatal("no vectors")
		}
		for _, v := range vectors {
			secret, _ := carp.Passphrase(v.Pass)
			if string(secret[:]) != string(v.Key) {
				t.Errorf("%s: passphrase %q makes key %x, the kernel had %x", v.From, v.Pass, secret[:], v.Key)
			}
			key := newKey(t, carp.KeyConfig{
				Secret: secret, VHID: v.VHID, Addrs: addrs(append(v.Inet, v.Inet6...)), LLAddr: hardwareAddr(t, v.LLAddr),
			})
			var want carp.Header
			if err := want.UnmarshalBinary(v.Header); err != nil {
				t.Errorf("%s vhid %d: %v", v.From, v.VHID, err)
			}
			got := want
			if key.Sign(&got); got != want || !key.Verify(&want) {
				t.Errorf("%s vhid %d: digest %x, the kernel's is %x", v.From, v.VHID, got.Digest, want.Digest)
			}
		}
	}
	eachOracle(t, "vectors-openbsd-wire.json", "none", func(t *testing.T, f file) { test(t, f.Vectors) })
	for _, dir := range captureDirs() {
		if name := filepath.Join(dir, "openbsd", "carp-hmac-vectors.json"); exists(name) {
			test(t, readJSON[[]wireVector](t, name))
		}
	}
}

// Every advert of the FreeBSD captures was made with one of the sets of key and
// addresses that were in force.
func TestDigestsFreeBSDWire(t *testing.T) {
	type config struct {
		VHID  uint8    `json:"vhid"`
		Key   string   `json:"key"`
		Addrs []string `json:"addresses"`
	}
	type file struct {
		Configs []config `json:"hmac_configs"`
		Cases   []any    `json:"cases"` // those files have forgeries
	}
	for _, dir := range captureDirs() {
		files, _ := filepath.Glob(filepath.Join(dir, "freebsd", "*carp*.json"))
		if len(files) == 0 && dir == captureDirs()[0] {
			t.Fatal("no captures")
		}
		for _, name := range files {
			f := readJSON[file](t, name)
			var keys []*carp.Key
			for _, c := range f.Configs {
				secret, _ := carp.Passphrase(c.Key)
				keys = append(keys, newKey(t, carp.KeyConfig{
					Secret: secret, VHID: c.VHID, Addrs: addrs(c.Addrs), Digest: carp.DigestAll,
				}))
			}
			if len(keys) == 0 || len(f.Cases) > 0 {
				continue
			}
			for _, segment := range []string{".lan.pcap", ".wan.pcap"} {
				for _, frame := range readFrames(t, strings.TrimSuffix(name, ".json")+segment) {
					var h carp.Header
					if err := h.UnmarshalBinary(frame.packet.Data); err != nil {
						t.Errorf("%s at %v: %v", name, frame.at, err)
					}
					ok := false
					for _, k := range keys {
						ok = ok || k.Verify(&h)
					}
					if !ok {
						t.Errorf("%s at %v: digest %x is of none of the configurations", name, frame.at, h.Digest)
					}
				}
			}
		}
	}
}

func newKey(t *testing.T, c carp.KeyConfig) *carp.Key {
	t.Helper()
	k, err := carp.NewKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// addrs parses addresses with or without a prefix length.
func addrs(list []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		s, _, _ = strings.Cut(s, "/")
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func hardwareAddr(t *testing.T, s string) carp.HardwareAddr {
	t.Helper()
	if s == "" {
		return carp.HardwareAddr{}
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != 6 {
		t.Fatalf("bad MAC %q", s)
	}
	return carp.HardwareAddr(b)
}
