package carp_test

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// A ucarpCapture is traffic of ucarp 1.5.2 and what it logged.
type ucarpCapture struct {
	Nodes map[string]struct {
		Src      string `json:"src"`
		VHID     uint8  `json:"vhid"`
		Password string `json:"password"`
		VIP      string `json:"vip"`
		AdvBase  int    `json:"advbase"`
		AdvSkew  uint8  `json:"advskew"`
	} `json:"nodes"`
	Log    map[string][][2]string `json:"log"`
	Frames []ucarpFrame           `json:"frames"`
}

type ucarpFrame struct {
	T       float64  `json:"t"`
	Src     string   `json:"ip_src"`
	Dst     string   `json:"ip_dst"`
	TTL     uint8    `json:"ttl"`
	VHID    uint8    `json:"vhid"`
	AdvSkew uint8    `json:"advskew"`
	Demote  uint8    `json:"demote"`
	AdvBase uint8    `json:"advbase"`
	Counter hexBytes `json:"counter"`
	HMAC    hexBytes `json:"hmac"`
	OK      *bool    `json:"hmac_ok_with_senders_own_password"`
}

func (f *ucarpFrame) header() carp.Header {
	h := carp.Header{VHID: f.VHID, AdvBase: f.AdvBase, AdvSkew: f.AdvSkew, Demote: f.Demote}
	h.Counter = binary.BigEndian.Uint64(f.Counter)
	copy(h.Digest[:], f.HMAC)
	return h
}

func (f *ucarpFrame) packet() carp.Packet {
	h := f.header()
	data, _ := h.MarshalBinary()
	return carp.Packet{Data: data, Src: netip.MustParseAddr(f.Src), Dst: netip.MustParseAddr(f.Dst), TTL: f.TTL}
}

// The digests of ucarp are ours, but for those that were forged on purpose.
func TestDigestsUCarp(t *testing.T) {
	for _, dir := range captureDirs() {
		files, _ := filepath.Glob(filepath.Join(dir, "ucarp", "*.truth.json"))
		for _, name := range files {
			c := readJSON[ucarpCapture](t, name)
			for _, node := range c.Nodes {
				secret, _ := carp.Passphrase(node.Password)
				key := newKey(t, carp.KeyConfig{
					Secret: secret, VHID: node.VHID, Addrs: addrs([]string{node.VIP}), Digest: carp.DigestAll,
				})
				for _, f := range c.Frames {
					if f.Src != node.Src || f.OK == nil {
						continue
					}
					if h := f.header(); key.Verify(&h) != *f.OK {
						t.Errorf("%s at %.3f: digest %s: verified %v, want %v",
							filepath.Base(name), f.T, hex.EncodeToString(f.HMAC), !*f.OK, *f.OK)
					}
				}
			}
		}
		if len(files) == 0 && dir == captureDirs()[0] {
			t.Error("no captures")
		}
	}
}

// Our node in the place of the ucarp that was sent forged, better, leaving and
// worse adverts goes through the same states. Ucarp looks at packets up to a
// second late.
func TestReplayUCarp(t *testing.T) {
	for _, dir := range captureDirs() {
		c := readJSON[ucarpCapture](t, filepath.Join(dir, "ucarp", "u09_inject.truth.json"))
		a, b := c.Nodes["A"], c.Nodes["B"]
		inWorld(t, func(t *testing.T, w *world) {
			var changes []carp.Change
			n := w.node("A", func(nc *carp.NodeConfig, g *carp.GroupConfig) {
				g.Config = carp.Config{VHID: a.VHID, AdvBase: a.AdvBase, AdvSkew: a.AdvSkew, Dialect: carp.UCarp, Linger: -1}
				g.Secret, _ = carp.Passphrase(a.Password)
				g.Addresses = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(a.VIP), 32)}
				g.Source, g.Overlap = addrs([]string{a.Src}), -1
				nc.Hooks.StateChanged = func(c carp.Change) { changes = append(changes, c) }
			})
			other := w.seg.Attach("B")
			time.Sleep(3391 * time.Millisecond) // it has just become master at 0
			start := time.Now()
			reasserted := n.addrs.Calls("announce")
			for _, f := range c.Frames {
				if f.Src != b.Src {
					continue
				}
				time.Sleep(time.Until(start.Add(time.Duration(f.T * float64(time.Second)))))
				other.SendRaw(f.packet())
			}
			w.sleep(0)

			var want []string
			var times []time.Time
			var first time.Time
			for _, line := range c.Log["A"] {
				at, err := time.Parse("2006-01-02T15:04:05.999999", line[0])
				if err != nil {
					t.Fatal(err)
				}
				if state, ok := strings.CutPrefix(line[1], "Switching to state: "); ok {
					want, times = append(want, state), append(times, at)
					if state == "MASTER" && first.IsZero() {
						first = at
					}
				}
			}
			for i, change := range changes {
				if i >= len(want) || change.To.String() != want[i] {
					t.Fatalf("change %d: %v, ucarp went %v", i, change, want)
				}
				if late := times[i].Sub(first) - change.At.Sub(start); i > 1 && (late < 0 || late > 1100*time.Millisecond) {
					t.Errorf("change %d: %v, ucarp %v later, want up to 1.1 s", i, change, late)
				}
			}
			if len(changes) != len(want) {
				t.Errorf("%d changes, ucarp had %v", len(changes), want)
			}
			s := n.Status().Stats
			if s.BadTTL != 1 || s.BadAuth != 1 {
				t.Errorf("%d bad TTL, %d bad digests, want 1 and 1", s.BadTTL, s.BadAuth)
			}
			// As ucarp's log has it at last.
			if n.addrs.Calls("announce") < reasserted+2 {
				t.Error("heard a worse master and did not announce itself again")
			}
		})
	}
}
