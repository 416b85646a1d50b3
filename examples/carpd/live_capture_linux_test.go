package main

import (
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carpnet"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/pcap"
)

// A capture is all CARP that comes by the client.
type capture struct {
	t    testing.TB
	file string
	tool *daemon
}

// An advert is one of them, with the kernel's time of its arrival.
type advert struct {
	carp.Packet
	carp.Header
	At time.Time
}

func (b *bench) capture() *capture {
	b.t.Helper()
	netns.Require(b.t, "tcpdump")
	c := &capture{t: b.t, file: filepath.Join(b.t.TempDir(), "carp.pcap")}
	c.tool = b.start("client", "tcpdump", "-i", "lan", "-U", "--immediate-mode", "-Z", "root", "-w", c.file, "ip proto 112 or ip6 proto 112")
	c.tool.awaitLog(0, "listening on")
	return c
}

// end stops the capture.
func (c *capture) end() {
	c.t.Helper()
	c.tool.stop()
}

// adverts are those of a source up to now, or all.
func (c *capture) adverts(src string) []advert {
	c.t.Helper()
	packets, err := pcap.ReadFile(c.file)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // it is being written
		c.t.Fatal(err)
	}
	var out []advert
	for _, p := range packets {
		a := advert{At: p.Time}
		if err := carpnet.ParseFrame(p.Data, &a.Packet); err != nil {
			c.t.Fatal(err)
		}
		if err := a.UnmarshalBinary(a.Packet.Data); err != nil {
			c.t.Fatal(err)
		}
		if src == "" || a.Src.String() == src {
			out = append(out, a)
		}
	}
	return out
}

// TestWire has others look at our packets: tshark, as what it takes them for and
// as what they are, and our own dump, which knows the passphrase.
func TestWire(t *testing.T) {
	t.Parallel()
	netns.Require(t, "tshark")
	dump := filepath.Join(t.TempDir(), "dump")
	if err := build(dump, "../dump"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		args    []string
		linkSrc string // of all adverts but the bow-out; empty: the interface's own
	}{
		{"openbsd", []string{"-addr", vip4 + "/24", vip6 + "/64"}, ""},
		{"virtual", []string{"-mac", "virtual", "-addr", vip4, vip6}, "00:00:5e:00:01:07"},
		{"freebsd", []string{"-dialect", "freebsd", "-addr", vip4, "198.51.100.1", vip6}, ""},
		{"ucarp", []string{"-dialect", "ucarp", "-addr", vip4}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c := b.capture()
			x := b.carpd("a", append(tt.args, "-advskew", "5")...)
			b.await("three adverts", func() bool { return len(c.adverts("")) >= 3 })
			x.stop() // and the bow-out
			b.await("the bow-out", func() bool {
				all := c.adverts("")
				return all[len(all)-1].BowOut()
			})
			c.end()
			n := len(c.adverts(""))

			own := b.mac("a")
			mac := func(advbase string) string {
				if tt.linkSrc == "" || advbase == "255" { // a bow-out must not turn the switch round
					return own
				}
				return tt.linkSrc
			}
			ttl := func(row []string) string { return row[0] + row[1] } // one of them is empty
			for _, as := range []struct {
				name   string
				decode []string
				fields []string
				want   func(row []string) bool
			}{
				{"carp", []string{"-d", "ip.proto==112,carp"},
					[]string{"ip.ttl", "ipv6.hlim", "eth.src", "ip.checksum.status", "carp.checksum.status", "carp.version", "carp.type", "carp.vhid", "carp.authlen", "carp.adver_int"},
					func(r []string) bool {
						return ttl(r) == "255" && r[2] == mac(r[9]) && (r[3] == "1" || r[3] == "" && r[0] == "") && strings.Join(r[4:9], " ") == "1 2 1 7 7"
					}},
				{"vrrp", nil,
					[]string{"ip.ttl", "ipv6.hlim", "vrrp.version", "vrrp.type", "vrrp.virt_rtr_id", "vrrp.checksum.status"},
					func(r []string) bool {
						// The checksum of VRRP over IPv6 has a pseudo header in it: it is not ours.
						return ttl(r) == "255" && strings.Join(r[2:5], " ") == "2 1 7" && (r[5] == "1" || r[0] == "")
					}},
			} {
				args := append([]string{"-n", "-r", c.file, "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"}, as.decode...)
				for _, f := range as.fields {
					args = append(args, "-e", f)
				}
				rows := rows(t, b.client, "tshark", args...)
				if len(rows) != n {
					t.Errorf("tshark sees %d packets as %s, want %d", len(rows), as.name, n)
				}
				for _, r := range rows {
					if !as.want(strings.Split(r, "|")) {
						t.Errorf("tshark sees as %s:\n%q\n%s", as.name, as.fields, r)
					}
				}
			}

			words := "vhid 7 pass secret"
			for _, a := range tt.args {
				if strings.ContainsAny(a, ".:") {
					words += " " + strings.Split(a, "/")[0]
				}
			}
			out := rows(t, b.client, dump, "-r", c.file, "-json", "-carp", words)
			if len(out) != n {
				t.Errorf("dump sees %d packets, want %d", len(out), n)
			}
			for _, line := range out {
				var p struct {
					Proto, Checksum, HMAC, Error string
					VHID, TTL                    int
				}
				if err := json.Unmarshal([]byte(line), &p); err != nil {
					t.Fatal(err)
				}
				if p.Proto != "carp" || p.Checksum != "ok" || p.HMAC != "ok" || p.Error != "" || p.VHID != 7 || p.TTL != 255 {
					t.Errorf("dump sees %s", line)
				}
			}
		})
	}
}

// rows are the lines that a program prints to its standard output.
func rows(t *testing.T, ns *netns.NS, name string, args ...string) []string {
	t.Helper()
	out := ns.Run("sh", append([]string{"-c", `exec "$0" "$@" 2>/dev/null`, name}, args...)...)
	return strings.Split(strings.TrimSpace(out), "\n")
}
