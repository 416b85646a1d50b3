package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/internal/pcap"
)

// advert1 is an advert of vhid 1 without passphrase for 10.0.0.1.
var advert1 = func() []byte {
	key, err := carp.NewKey(carp.KeyConfig{VHID: 1, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}})
	if err != nil {
		panic(err)
	}
	h := carp.Header{VHID: 1, AdvBase: 1, AdvSkew: 100, Demote: 2, Counter: 0x0123456789abcdef}
	key.Sign(&h)
	b, _ := h.MarshalBinary()
	return b
}()

// ipv4 puts an IPv4 header in front of a payload.
func ipv4(proto byte, payload []byte) []byte {
	b := []byte{0x45, 0x10, 0, 0, 0, 0, 0x40, 0, 255, proto, 0, 0, 10, 0, 0, 2, 224, 0, 0, 18}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
	binary.BigEndian.PutUint16(b[10:], inet.Checksum(b))
	return append(b, payload...)
}

// ipv6 puts an IPv6 header in front of extension headers and payload.
func ipv6(next byte, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, next, 255}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	src, dst := netip.MustParseAddr("fe80::2"), netip.MustParseAddr("ff02::12")
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, payload...)
}

const (
	virtualMAC = "00005e000101"
	groupMAC   = "01005e000012"
)

// behind is a packet behind a link header given in hex.
func behind(header string, packet []byte) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(header, " ", ""))
	if err != nil {
		panic(err)
	}
	return append(b, packet...)
}

func ethernet(packet []byte) []byte { return behind(groupMAC+virtualMAC+"0800", packet) }

// with is a copy of b with octets replaced.
func with(b []byte, at int, octets ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], octets)
	return b
}

func TestLinkTypes(t *testing.T) {
	v4, v6 := ipv4(112, advert1), ipv6(112, advert1)
	pfsync := append([]byte{6, 0, 0, 20}, make([]byte, 16)...)
	const carp4 = "carp 10.0.0.2 > 224.0.0.18 vhid 1"
	const carp6 = "carp fe80::2 > ff02::12 vhid 1"
	const mac = " from 00:00:5e:00:01:01"
	for _, tt := range []struct {
		name  string
		link  pcap.LinkType
		frame []byte
		want  string
	}{
		{"Ethernet", 1, ethernet(v4), carp4 + mac},
		{"Ethernet with padding", 1, ethernet(append(v4, 0, 0, 0, 0)), carp4 + mac},
		{"Ethernet, IPv6", 1, behind(groupMAC+virtualMAC+"86dd", v6), carp6 + mac},
		{"VLAN", 1, behind(groupMAC+virtualMAC+"8100 c064 0800", v4), carp4 + mac + " vlan [100]"},
		{"VLAN in VLAN", 1, behind(groupMAC+virtualMAC+"88a8 0007 8100 0064 86dd", v6), carp6 + mac + " vlan [7 100]"},
		{"VLAN tag cut", 1, behind(groupMAC+virtualMAC+"8100 00", nil), ""},
		{"Ethernet, ARP", 1, behind(groupMAC+virtualMAC+"0806", v4), ""},
		{"Ethernet, another protocol", 1, ethernet(ipv4(17, advert1)), ""},
		{"Ethernet cut", 1, make([]byte, 13), ""},
		{"loopback, little-endian", 0, behind("02000000", v4), carp4},
		{"loopback, big-endian, IPv6", 0, behind("0000001c", v6), carp6},
		{"loopback cut", 0, []byte{2, 0, 0}, ""},
		{"OpenBSD loopback", 108, behind("00000002", v4), carp4},
		{"raw", 101, v4, carp4},
		{"raw, IPv6", 101, v6, carp6},
		{"raw, empty", 101, nil, ""},
		{"IPv4", 228, v4, carp4},
		{"IPv6", 229, v6, carp6},
		{"12 as raw", 12, v4, carp4},
		{"12 as loopback", 12, behind("00000018", v6), carp6},
		{"14 as raw", 14, v6, carp6},
		{"cooked", 113, behind("0000 0001 0006"+virtualMAC+"0000 0800", v4), carp4 + mac},
		{"cooked, no address", 113, behind("0000 0304 0000 0000000000000000 86dd", v6), carp6},
		{"cooked, VLAN", 113, behind("0000 0001 0006"+virtualMAC+"0000 8100 0064 0800", v4), carp4 + mac + " vlan [100]"},
		{"cooked cut", 113, make([]byte, 15), ""},
		{"cooked 2", 276, behind("0800 0000 00000002 0001 00 06"+virtualMAC+"0000", v4), carp4 + mac},
		{"cooked 2, IPv6", 276, behind("86dd 0000 00000002 0304 00 00 0000000000000000", v6), carp6},
		{"cooked 2 cut", 276, make([]byte, 19), ""},
		{"pfsync, bare", 246, pfsync, "pfsync  >  vhid 0"},
		{"pfsync, OpenBSD's number", 18, pfsync, "pfsync  >  vhid 0"},
		{"pfsync with IP header", 246, ipv4(240, pfsync), "pfsync 10.0.0.2 > 224.0.0.18 vhid 0"},
		{"pfsync on Ethernet", 1, ethernet(ipv4(240, pfsync)), "pfsync 10.0.0.2 > 224.0.0.18 vhid 0" + mac},
		{"another link type", 105, v4, ""},
	} {
		var have string
		for _, p := range packets(t, "-r", save(t, tt.link, tt.frame)) {
			have += fmt.Sprintf("%s %s > %s vhid %d", p.Proto, p.Src, p.Dst, p.VHID)
			if p.SrcMAC != "" {
				have += " from " + p.SrcMAC
			}
			if p.VLAN != nil {
				have += fmt.Sprint(" vlan ", p.VLAN)
			}
			if p.TTL != 255 && p.Src != "" || p.Error != "" {
				have += fmt.Sprintf(" ttl %d error %q", p.TTL, p.Error)
			}
		}
		if have != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, have, tt.want)
		}
	}
}

// TestMalformed wants the reason, and every field that could still be read.
func TestMalformed(t *testing.T) {
	v4, v6 := ipv4(112, advert1), ipv6(112, advert1)
	whole := jsonPacket{Proto: "carp", TTL: 255, Src: "10.0.0.2", Dst: "224.0.0.18", Len: 36, Version: 2, Type: 1, VHID: 1, AdvBase: 1,
		AdvSkew: 100, Demote: 2, AuthLen: 7, Counter: "0123456789abcdef", Checksum: "ok", HMAC: "ok"}
	whole6 := whole
	whole6.Src, whole6.Dst = "fe80::2", "ff02::12"
	but := func(p jsonPacket, err string, change func(*jsonPacket)) jsonPacket {
		p.Error = err
		change(&p)
		return p
	}
	none := func(*jsonPacket) {}
	empty := func(p *jsonPacket) {
		*p = jsonPacket{Proto: "carp", TTL: 255, Src: p.Src, Dst: p.Dst, HMAC: "unchecked", Error: p.Error}
	}
	const short = "packet shorter than 36 octets"
	hopByHop := append([]byte{112, 0, 1, 4, 0, 0, 0, 0}, advert1...)
	fragment := func(offset uint16, payload []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{112, 0}, offset), append([]byte{0, 0, 0, 1}, payload...)...)
	}

	for _, tt := range []struct {
		name  string
		frame []byte
		want  jsonPacket
	}{
		{"nothing wrong", v4, whole},
		{"nothing wrong, IPv6", v6, whole6},
		{"TTL 254", with(v4, 8, 254, 112, 0, 0), but(whole, "", func(p *jsonPacket) { p.TTL = 254 })},
		{"authlen", ipv4(112, with(advert1, 3, 0)), but(whole, "wrong checksum", func(p *jsonPacket) { p.AuthLen, p.Checksum = 0, "bad" })},
		{"trailing octets", ipv4(112, append(slices.Clone(advert1), 1, 2, 3)), but(whole, "", func(p *jsonPacket) { p.Len = 39 })},
		{"checksum", ipv4(112, with(advert1, 6, 1)), but(whole, "wrong checksum", func(p *jsonPacket) { p.Checksum = "bad" })},
		{"digest", ipv4(112, with(advert1, 16, 1)), but(whole, "wrong checksum", func(p *jsonPacket) { p.Checksum, p.HMAC = "bad", "bad" })},
		{"checksum and version", ipv4(112, with(advert1, 0, 0x41)), but(whole, "wrong checksum", func(p *jsonPacket) { p.Version, p.Checksum = 4, "bad" })},
		{"20 octets", ipv4(112, advert1[:20]), but(whole, short, func(p *jsonPacket) { p.Len, p.Checksum, p.HMAC = 20, "", "unchecked" })},
		{"5 octets", ipv4(112, advert1[:5]), but(whole, short, func(p *jsonPacket) {
			p.Len, p.AdvBase, p.Counter, p.Checksum, p.HMAC = 5, 0, "", "", "unchecked"
		})},
		{"no payload", ipv4(112, nil), but(whole, short, empty)},
		{"IPv4 checksum", with(v4, 10, 1, 1), but(whole, "wrong IPv4 header checksum", none)},
		{"IPv4 checksum left to hardware", with(v4, 10, 0, 0), whole},
		{"IPv4 header cut", v4[:15], but(jsonPacket{Proto: "carp", TTL: 255, HMAC: "unchecked"}, "IPv4 header ends after 15 octets", none)},
		{"IPv4 header length too small", with(v4, 0, 0x44), but(whole, "IPv4 header length of 16 octets", empty)},
		{"IPv4 header length too large", with(v4, 0, 0x4f)[:59-5], but(whole, "IPv4 header length of 60 octets", empty)},
		{"IPv4 length too small", with(v4, 2, 0, 19), but(whole, "IPv4 length of 19 octets", empty)},
		{"packet cut", v4[:40], but(whole, "only 20 of 36 octets are there", func(p *jsonPacket) {
			p.Len, p.Checksum, p.HMAC = 20, "", "unchecked"
		})},
		{"first fragment", with(v4, 6, 0x20, 0, 255, 112, 0, 0), but(whole, "first fragment only", none)},
		{"later fragment", with(v4, 6, 0x00, 3, 255, 112, 0, 0), but(whole, "fragment at offset 24", empty)},
		{"IPv6 header cut", v6[:39], but(jsonPacket{Proto: "carp", TTL: 255, HMAC: "unchecked"}, "IPv6 header ends after 39 octets", none)},
		{"IPv6 packet cut", v6[:60], but(whole6, "only 20 of 36 octets are there", func(p *jsonPacket) {
			p.Len, p.Checksum, p.HMAC = 20, "", "unchecked"
		})},
		{"IPv6 options", ipv6(0, hopByHop), whole6},
		{"IPv6 atomic fragment", ipv6(44, fragment(0, advert1)), whole6},
		{"IPv6 first fragment", ipv6(44, fragment(1, advert1)), but(whole6, "first fragment only", none)},
		{"IPv6 later fragment", ipv6(44, fragment(24, advert1)), but(whole6, "fragment at offset 24", empty)},
	} {
		have := packets(t, "-carp", "vhid 1 10.0.0.1", "-r", save(t, pcap.LinkRaw, tt.frame))
		for i := range have {
			tt.want.Time = have[i].Time
		}
		if diff := cmp.Diff([]jsonPacket{tt.want}, have); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}

	for name, frame := range map[string][]byte{
		"cut before the protocol":      v4[:9],
		"not IPv4":                     ethernet(with(v4, 0, 0x65)),
		"IPv6 cut before the protocol": v6[:7],
		"IPv6 options cut":             ipv6(0, []byte{112}),
		"IPv6 options too long":        ipv6(0, with(hopByHop, 1, 9)),
		"IPv6 fragment header cut":     ipv6(44, []byte{112, 0, 0}),
		"IPv6, another protocol":       ipv6(0, with(hopByHop, 0, 17)),
	} {
		if have := packets(t, "-r", save(t, pcap.LinkRaw, frame)); len(have) != 0 {
			t.Errorf("%s: %+v, want nothing", name, have)
		}
	}
}

// TestVRRP wants VRRP left out, and nothing else: see [isVRRP].
func TestVRRP(t *testing.T) {
	v2 := func(n, auth int) []byte {
		b := append([]byte{0x21, 1, 100, byte(n), 0, 1, 0, 0}, make([]byte, 4*n+auth)...)
		binary.BigEndian.PutUint16(b[6:], inet.Checksum(b))
		return b
	}
	v3 := func(n, extra int) []byte {
		b := append([]byte{0x31, 1, 100, byte(n), 0, 100, 0, 0}, make([]byte, 4*n+extra)...)
		h := ip{src: netip.MustParseAddr("10.0.0.2"), dst: netip.MustParseAddr("224.0.0.18"), proto: 112, payload: b}
		binary.BigEndian.PutUint16(b[6:], pseudoChecksum(&h))
		return b
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		vrrp    bool
	}{
		{"version 2, one address", v2(1, 8), true},
		{"version 2, one address, no room for authentication", v2(1, 0), true},
		{"version 2, seven addresses", v2(7, 8), true},
		{"version 2, seven addresses, as long as CARP", v2(7, 0), false},
		{"version 2, wrong length", v2(2, 4), false},
		{"version 3, one address", v3(1, 0), true},
		{"version 3, wrong checksum", with(v3(1, 0), 6, 1), true},
		{"version 3, seven addresses", v3(7, 0), true},
		{"version 3, count of both families", v3(5, 8), true}, // FreeBSD 15, IPv6
		{"version 3 as a forged advert", with(advert1, 0, 0x31), false},
		{"an advert", advert1, false},
	} {
		have := packets(t, "-r", save(t, pcap.LinkRaw, ipv4(112, tt.payload)))
		if vrrp := len(have) == 0; vrrp != tt.vrrp {
			t.Errorf("%s: VRRP %t, want %t", tt.name, vrrp, tt.vrrp)
		}
	}
	res := runDump(t, "-r", save(t, pcap.LinkRaw, ipv4(112, v2(1, 8)), ipv4(112, v3(1, 0))))
	if res.code != 0 || !strings.Contains(res.stderr, "VRRP") || !strings.Contains(res.stderr, "packets=2") {
		t.Errorf("exit code %d, %q: want 0 and a note that 2 VRRP packets were left out", res.code, res.stderr)
	}
}

// FuzzDecode wants no panic and a line of either form for what is found.
func FuzzDecode(f *testing.F) {
	for _, link := range []pcap.LinkType{0, 1, 12, 101, 108, 113, 246, 276} {
		f.Add(uint16(link), ipv4(112, advert1))
		f.Add(uint16(link), ethernet(ipv4(240, advert1)))
		f.Add(uint16(link), pfsyncPacket(6, delC6, "11 02 0001 0000000000000000", "04 15 0001"+strings.Repeat("01", 84)))
		f.Add(uint16(link), ipv4(240, pfsyncPacket(5, delC, "0e 00 0001"+strings.Repeat("02", 277), "0f 00 0002"+strings.Repeat("03", 360))))
		f.Add(uint16(link), ipv4(240, pfsyncPacket(6, "0d 42 0001"+strings.Repeat("02", 264), "0f 0d 0001"+strings.Repeat("02", 52))))
		f.Add(uint16(link), behind("86dd 0000 00000002 0304 00 00 0000000000000000", ipv6(44, advert1)))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		d := newDecoder(keyring{}, "auto", slog.New(slog.DiscardHandler))
		rec := d.decode(pcap.Packet{LinkType: pcap.LinkType(link), Data: data, Length: uint32(len(data))})
		if rec == nil {
			return
		}
		for _, opt := range []options{{}, {verbose: true}, {json: true}} {
			var b strings.Builder
			if err := newPrinter(opt, &b)(rec); err != nil || !strings.HasSuffix(b.String(), "\n") {
				t.Fatalf("%q, %v: want whole lines", b.String(), err)
			}
			if lines := strings.Count(b.String(), "\n"); lines != 1 && (opt.json || rec.head().Proto == "carp") {
				t.Fatalf("%q: want one line", b.String())
			}
		}
	})
}
