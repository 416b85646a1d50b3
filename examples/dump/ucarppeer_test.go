package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestUcarp compares every advert of ucarp field by field. Each node has a
// password of its own, and one match is enough.
func TestUcarp(t *testing.T) {
	forEach(t, "ucarp", func(t *testing.T, dir string, truth []byte) {
		var tt struct {
			Pcap  string
			Nodes map[string]struct {
				VHID          uint8
				Password, VIP string
			}
			Frames []advert
		}
		unmarshal(t, truth, &tt)
		var flags []string
		for _, n := range tt.Nodes {
			flags = append(flags, keyFlags(strconv.Itoa(int(n.VHID)), n.Password, "", n.VIP)...)
		}
		adverts := slices.DeleteFunc(tt.Frames, func(a advert) bool { return a.Kind == "arp" })
		all := packets(t, append(flags, "-r", filepath.Join(dir, tt.Pcap))...)
		if len(all) != len(adverts) {
			t.Fatalf("%d packets, want %d", len(all), len(adverts))
		}
		for i, a := range adverts {
			a.hmacExpected = "bad"
			if a.HMACOwn {
				a.hmacExpected = "ok"
			}
			a.check(t, i, all[i])
			want := time.Duration((a.T - adverts[0].T) * 1e9)
			if off := (all[i].Time.Sub(all[0].Time) - want).Abs(); off > 2*time.Microsecond {
				t.Errorf("packet %d: %v off", i+1, off)
			}
		}
	})
}
