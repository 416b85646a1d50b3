package main

import (
	"encoding/hex"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/pcap"
)

// TestOpenBSD compares with an OpenBSD kernel: it signed every packet of its own
// with a known key, and counted what was wrong with the ones made by hand.
func TestOpenBSD(t *testing.T) {
	forEach(t, "openbsd", func(t *testing.T, dir string, truth []byte) {
		var tt struct {
			Captures []struct{ File string }
			Carp     []struct {
				VHID        uint8
				CarpNodes   string
				Pass        string
				LLAddrSet   string `json:"lladdr_set"`
				Inet, Inet6 []string
			}
			AltAddrs []struct{ Inet []string } `json:"alt_addrs"`
			Injected []injected
		}
		unmarshal(t, truth, &tt)
		flags := []string{"-dialect", "openbsd"}
		for _, c := range tt.Carp {
			vhids := []string{strconv.Itoa(int(c.VHID))}
			if c.CarpNodes != "" { // vhid:advskew,...
				vhids = nil
				for node := range strings.SplitSeq(c.CarpNodes, ",") {
					vhid, _, _ := strings.Cut(node, ":")
					vhids = append(vhids, vhid)
				}
			}
			for _, vhid := range vhids {
				flags = append(flags, keyFlags(vhid, c.Pass, c.LLAddrSet, append(c.Inet, c.Inet6...)...)...)
				for _, alt := range tt.AltAddrs {
					flags = append(flags, keyFlags(vhid, c.Pass, c.LLAddrSet, append(alt.Inet, c.Inet6...)...)...)
				}
			}
		}

		byHand := map[fingerprint]bool{}
		if len(tt.Carp) > 0 {
			byHand = checkInjected(t, tt.Injected, flags)
		}
		for _, c := range tt.Captures {
			for i, p := range only("carp", packets(t, append(flags, "-r", filepath.Join(dir, c.File))...)) {
				if byHand[identity(p)] {
					continue
				}
				if p.HMAC != "ok" || p.Checksum != "ok" || p.Error != "" || p.TTL != 255 || p.Version != 2 ||
					p.Type != 1 || p.AuthLen != 7 || p.Len != 36 {
					t.Errorf("%s: packet %d, sent by the kernel: %+v", c.File, i+1, p)
				}
			}
		}
	})
}

// An injected frame is one made by hand, with the counters of netstat -s -p carp
// that it changed.
type injected struct {
	What            string
	Frame           string
	CountersChanged map[string]int `json:"counters_changed"`
}

// fingerprint is a packet but for its time.
type fingerprint struct {
	src, mac, counter, hmac, err string
	advbase, advskew, ttl, typ   uint8
	len                          int
}

func identity(p jsonPacket) fingerprint {
	return fingerprint{p.Src, p.SrcMAC, p.Counter, p.HMAC, p.Error, p.AdvBase, p.AdvSkew, p.TTL, p.Type, p.Len}
}

// checkInjected compares the program's verdict on each frame with the kernel's.
func checkInjected(t *testing.T, list []injected, flags []string) map[fingerprint]bool {
	var raw [][]byte
	for _, in := range list {
		raw = append(raw, unhex(t, in.Frame))
	}
	seen := map[fingerprint]bool{}
	have := packets(t, append(flags, "-r", save(t, pcap.LinkEthernet, raw...))...)
	if len(have) != len(list) {
		t.Fatalf("%d packets of %d frames made by hand", len(have), len(list))
	}
	for i, in := range list {
		counted := func(word string) bool {
			for name := range in.CountersChanged {
				if strings.Contains(name, word) {
					return true
				}
			}
			return false
		}
		p := have[i]
		seen[identity(p)] = true
		want := verdict{HMAC: "ok", Checksum: "ok", TTL: 255}
		switch {
		case counted("too short"):
			want.HMAC, want.Checksum, want.Error = "unchecked", "", "packet shorter than 36 octets"
		case counted("bad checksum"):
			want.Checksum, want.Error = "bad", "wrong checksum"
		case counted("bad version"):
			want.Error = "version is not 2"
		case counted("unknown vhid"):
			want.HMAC = "unchecked"
		case counted("bad authentication"):
			want.HMAC = "bad"
		case counted("wrong TTL"):
			want.TTL = 254
		case strings.HasPrefix(in.What, "type "): // not counted: see checkCARP
			want.Error = "type is not 1"
		}
		if v := (verdict{p.HMAC, p.Checksum, p.Error, p.TTL}); v != want {
			t.Errorf("%s: %+v, want %+v", in.What, v, want)
		}
	}
	return seen
}

type verdict struct {
	HMAC, Checksum, Error string
	TTL                   uint8
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
