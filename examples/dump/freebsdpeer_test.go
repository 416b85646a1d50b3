package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/pcap"
)

// An advert is a packet as described by the makers of the captures.
type advert struct {
	T            float64
	SrcMAC       string `json:"src_mac"`
	DstMAC       string `json:"dst_mac"`
	IPSrc        string `json:"ip_src"`
	IPDst        string `json:"ip_dst"`
	TTL          uint8
	Version      uint8
	Type         uint8
	VHID         uint8
	AdvBase      uint8
	AdvSkew      uint8
	AuthLen      uint8
	Pad          uint8
	Demote       uint8
	Counter      string
	ChecksumOK   bool   `json:"checksum_ok"`
	HMACMatches  *int   `json:"hmac_matches_config"`
	HMACOwn      bool   `json:"hmac_ok_with_senders_own_password"`
	EthSrc       string `json:"eth_src"`
	EthDst       string `json:"eth_dst"`
	Kind         string
	hmacExpected string
}

// check compares p with a, but for the time.
func (a advert) check(t *testing.T, n int, p jsonPacket) {
	t.Helper()
	checksum := "bad"
	if a.ChecksumOK {
		checksum = "ok"
	}
	want := jsonPacket{
		Time: p.Time, Proto: "carp", Src: a.IPSrc, Dst: a.IPDst, SrcMAC: a.SrcMAC + a.EthSrc, DstMAC: a.DstMAC + a.EthDst,
		TTL: a.TTL, Len: p.Len, Version: a.Version, Type: a.Type, VHID: a.VHID, AdvBase: a.AdvBase, AdvSkew: a.AdvSkew,
		Demote: a.Pad + a.Demote, AuthLen: a.AuthLen, Counter: a.Counter, Checksum: checksum, HMAC: a.hmacExpected, Error: p.Error,
	}
	if fmt.Sprint(p) != fmt.Sprint(want) {
		t.Errorf("packet %d:\nhave %+v\nwant %+v", n+1, p, want)
	}
	if malformed := !a.ChecksumOK || a.Version != 2 || a.Type != 1; malformed != (p.Error != "") && p.Error != "first fragment only" {
		t.Errorf("packet %d: error %q, malformed %t", n+1, p.Error, malformed)
	}
}

// TestFreeBSD compares every advert of a FreeBSD kernel field by field, and its
// counters for the ones made by hand.
func TestFreeBSD(t *testing.T) {
	forEach(t, "freebsd", func(t *testing.T, dir string, truth []byte) {
		var tt struct {
			Captures    map[string]string
			HMACConfigs []struct {
				VHID      uint8
				Key       string
				Addresses []string
			} `json:"hmac_configs"`
			Adverts map[string][]advert
			Cases   json.RawMessage
		}
		unmarshal(t, truth, &tt)
		flags := []string{"-dialect", "freebsd"}
		known := map[uint8]bool{}
		for _, c := range tt.HMACConfigs {
			flags = append(flags, keyFlags(strconv.Itoa(int(c.VHID)), c.Key, "", c.Addresses...)...)
			known[c.VHID] = true
		}
		for segment, adverts := range tt.Adverts {
			all := only("carp", packets(t, append(flags, "-r", filepath.Join(dir, tt.Captures[segment]))...))
			all = slices.DeleteFunc(all, func(p jsonPacket) bool { return p.Len < 36 }) // not in the truth
			if len(all) != len(adverts) {
				t.Fatalf("%d packets of at least 36 octets, want %d", len(all), len(adverts))
			}
			for i, a := range adverts {
				switch {
				case !known[a.VHID]:
					a.hmacExpected = "unchecked"
				case a.HMACMatches == nil:
					a.hmacExpected = "bad"
				default:
					a.hmacExpected = "ok"
				}
				a.check(t, i, all[i])
				if off := all[i].Time.Sub(time.UnixMicro(int64(a.T*1e6 + 0.5))).Abs(); off > time.Microsecond {
					t.Errorf("packet %d: time %v, %v off", i+1, all[i].Time, off)
				}
			}
		}
		if len(tt.Adverts) > 0 && len(tt.Cases) > 0 {
			checkCases(t, tt.Cases)
		}
	})
}

// checkCases wants an error where FreeBSD counted a malformed packet.
func checkCases(t *testing.T, raw json.RawMessage) {
	var cases []struct {
		Case       string
		Frame      string
		StatsDelta map[string]int `json:"stats_delta"`
	}
	unmarshal(t, raw, &cases)
	errors := map[string]string{"badlen": "packet shorter than 36 octets", "badsum": "wrong checksum", "badver": "version is not 2"}
	for _, c := range cases {
		var want []string
		for counter, text := range errors {
			if c.StatsDelta[counter] > 0 {
				want = append(want, text)
			}
		}
		switch {
		case strings.HasPrefix(c.Case, "VRRPv2"): // badlen there, no record here
			want = []string{"no record"}
		case strings.HasPrefix(c.Case, "type 2"): // let pass, or badauth
			want = []string{"type is not 1"}
		case strings.HasPrefix(c.Case, "first fragment"): // waits for the rest
			want = []string{"first fragment only"}
		}
		have := []string{"no record"}
		if p := packets(t, "-r", save(t, pcap.LinkEthernet, unhex(t, c.Frame))); len(p) == 1 {
			have = nil
			if p[0].Error != "" {
				have = []string{p[0].Error}
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %q, want %q", c.Case, have, want)
		}
	}
}
