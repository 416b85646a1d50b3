package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/pcap"
	"github.com/gocarp/gocarp/pfsync"
)

// contract is the message that the contract of this program gives as an example,
// with what it cuts short. It is in the capture of NAT.
const contract = `{"id":"6b01f6d400000005","creatorid":"44319e56","ifname":"all","direction":"out","proto":6,
"wire":{"af":"inet","addr":["203.0.113.100","203.0.113.1"],"port":[80,60311],"rdomain":0},
"stack":{"af":"inet","addr":["203.0.113.100","10.1.0.100"],"port":[80,43001],"rdomain":0},
"src":{"state":4,"seqlo":1665017560,"seqhi":1665083096,"seqdiff":0,"max_win":63,"mss":0,"wscale":138},
"dst":{"state":4,"seqlo":4062714380,"seqhi":4062778892,"seqdiff":0,"max_win":64,"mss":0,"wscale":138},
"rule":13,"anchor":-1,"nat_rule":-1,"creation":1,"expire":86399,"packets":[4,3],"bytes":[219,172],
"timeout":"tcp.established","rtableid":[0,-1],"state_flags":0,"log":0,"rt":0,
"sync_flags":0,"max_mss":0,"min_ttl":0,"set_tos":0,"set_prio":[0,0]}`

func TestPfsyncContract(t *testing.T) {
	var example map[string]any
	decode(t, []byte(contract), &example)
	have := packets(t, "-r", "testdata/captures/openbsd/pfsync-nat.pcap")[0].Sections[0].Messages[1]
	for _, extra := range []string{"af", "updates"} {
		if have[extra] == nil {
			t.Errorf("no %s", extra)
		}
		delete(have, extra)
	}
	if diff := cmp.Diff(example, have); diff != "" {
		t.Error(diff)
	}
}

// pfsyncPacket is a header and sections given in hex; the length is right.
func pfsyncPacket(version byte, sections ...string) []byte {
	b := behind(fmt.Sprintf("%02x 00 0000 %032x", version, 0), nil)
	for _, s := range sections {
		b = append(b, behind(s, nil)...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// Sections of version 5; with 03 instead of the pad they are of version 6.
const (
	idOne  = "0000000000000001 0a0b0c0d"
	idTwo  = "0000000000000002 0a0b0c0d"
	delC   = "07 00 0001" + idOne
	delC6  = "07 03 0001" + idOne
	endOf5 = "0c 00 0001"
)

// TestPfsyncMalformed wants the reason, and everything that could still be read.
func TestPfsyncMalformed(t *testing.T) {
	whole := pfsyncPacket(6, delC6)
	del := "06 00 0001" + strings.Repeat("00", 242)
	for _, tt := range []struct {
		name    string
		dialect string
		payload []byte
		err     string
		want    string // action, count, and messages that are there
	}{
		{"nothing", "auto", nil, "packet shorter than its header", ""},
		{"header cut", "auto", whole[:19], "packet shorter than its header", ""},
		{"header alone", "auto", pfsyncPacket(6), "", ""},
		{"version 4", "auto", pfsyncPacket(4, delC), "version is neither 5 nor 6", ""},
		{"OpenBSD, FreeBSD is wanted", "freebsd", whole, "version is not 5", ""},
		{"FreeBSD, OpenBSD is wanted", "openbsd", pfsyncPacket(5, delC), "version is not 6", ""},
		{"OpenBSD is wanted", "openbsd", whole, "", "DEL_C 1/1"},
		{"FreeBSD is wanted", "freebsd", pfsyncPacket(5, delC, endOf5), "", "DEL_C 1/1 EOF 1/0"},
		{"length less than the header", "auto", with(whole, 2, 0, 19), "length of 19, shorter than its header", ""},
		{"length and no more", "auto", with(whole, 2, 0, 20), "", ""},
		{"length more than there is", "auto", with(whole, 2, 1, 0), "length of 256 in a packet of 36 octets", "DEL_C 1/1"},
		{"cut", "auto", pfsyncPacket(6, "07 03 0003"+idOne+idTwo+idOne)[:50], "length of 60 in a packet of 50 octets", "DEL_C 3/2"},
		{"octets behind the length", "auto", append(slices.Clone(whole), 1, 2, 3, 4), "", "DEL_C 1/1"},
		{"half a section", "auto", pfsyncPacket(6, delC6, "07 03"), "", "DEL_C 1/1"},
		{"count too large", "auto", pfsyncPacket(6, delC6, "07 03 0003"+idOne+"00"), "3 messages of action DEL_C, and data for 1", "DEL_C 1/1 DEL_C 3/1"},
		{"count too large, octets behind the length", "auto", append(pfsyncPacket(6, "07 03 0002"+idOne), make([]byte, 12)...), "2 messages of action DEL_C, and data for 1", "DEL_C 2/1"},
		{"count too large for FreeBSD", "auto", pfsyncPacket(5, delC, "02 00 ffff"+idOne), "65535 messages of action INS_ACK, and data for 1", "DEL_C 1/1 INS_ACK 65535/1"},
		{"action 17", "auto", pfsyncPacket(6, "11 02 0001 0000000000000000", delC6), "", "17 1/0 DEL_C 1/1"},
		{"action 17 without length", "auto", pfsyncPacket(6, delC6, "11 00 0001", delC6), "1 messages of 0 octets of action 17, which cannot be skipped", "DEL_C 1/1 17 1/0"},
		{"dead actions", "auto", pfsyncPacket(6, "01 01 0001 00000000", "0b 01 0001 00000000"), "", "OINS 1/0 OTDB 1/0"},
		{"short message", "auto", pfsyncPacket(6, "07 02 0001 0000000000000000"), "", "DEL_C 1/0"},
		{"long message", "auto", pfsyncPacket(6, "07 04 0001"+idOne+"00000000", delC6), "", "DEL_C 1/1 DEL_C 1/1"},
		{"action 17 on FreeBSD", "auto", pfsyncPacket(5, delC, "11 00 0001", delC), "action 17 is unknown", "DEL_C 1/1 17 1/0"},
		{"INS_F on FreeBSD", "auto", pfsyncPacket(5, delC, "08 00 0001", delC), "action INS_F is unknown", "DEL_C 1/1 INS_F 1/0"},
		{"no EOF", "auto", pfsyncPacket(5, delC, delC), "", "DEL_C 1/1 DEL_C 1/1"},
		{"octets behind EOF", "auto", pfsyncPacket(5, delC, endOf5, "00 00"), "2 octets behind EOF", "DEL_C 1/1 EOF 1/0"},
		{"DEL of FreeBSD 12", "auto", pfsyncPacket(5, del, "01 00 0001"+del[10:], endOf5), "", "DEL 1/1 INS_1301 1/1 EOF 1/0"},
		{"DEL cut", "auto", pfsyncPacket(5, "06 00 0002"+del[10:]), "2 messages of action DEL, and data for 1", "DEL 2/1"},
	} {
		p := packets(t, "-dialect", tt.dialect, "-r", save(t, pcap.LinkRaw, ipv4(240, tt.payload)))[0]
		var have []string
		for _, s := range p.Sections {
			have = append(have, fmt.Sprintf("%s %d/%d", s.Action, s.Count, len(s.Messages)))
		}
		if p.Error != tt.err || strings.Join(have, " ") != tt.want || p.Sections == nil {
			t.Errorf("%s: error %q, %q, want %q, %q", tt.name, p.Error, have, tt.err, tt.want)
		}
	}
}

// TestPfsyncLinks wants the same packet wherever it stands.
func TestPfsyncLinks(t *testing.T) {
	b := pfsyncPacket(5, delC, endOf5)
	v6 := ipv6(240, b)
	for _, tt := range []struct {
		name  string
		link  pcap.LinkType
		frame []byte
		want  string
	}{
		{"DLT 18, IP header", 18, ipv4(240, b), "10.0.0.2 ttl 255"},
		{"DLT 18, IPv6 header", 18, v6, "fe80::2 ttl 255"},
		{"DLT 18, none", 18, b, " ttl 0"},
		{"246, IP header", 246, ipv4(240, b), "10.0.0.2 ttl 255"},
		{"246, none", 246, b, " ttl 0"},
		{"Ethernet, IPv6", 1, behind("3333000000f0"+virtualMAC+"86dd", v6), "fe80::2 ttl 255"},
		{"cooked", 113, behind("0000 0001 0006"+virtualMAC+"0000 86dd", v6), "fe80::2 ttl 255"},
		{"TTL", 101, with(ipv4(240, b), 8, 254, 240, 0, 0), "10.0.0.2 ttl 254"},
	} {
		p := packets(t, "-r", save(t, tt.link, tt.frame))[0]
		have := fmt.Sprintf("%s ttl %d", p.Src, p.TTL)
		if have != tt.want || p.Error != "" || len(p.Sections) != 2 || p.Sections[0].Messages[0]["id"] != "0000000000000001" {
			t.Errorf("%s: %s, want %s: %+v", tt.name, have, tt.want, p)
		}
	}
}

// TestPfsyncFreeBSD wants states as the pfctl of the system that made the format.
func TestPfsyncFreeBSD(t *testing.T) {
	st := pfsync.State{
		StateID: pfsync.StateID{ID: 1, CreatorID: 2}, AF: 2, Proto: 17, Direction: pfsync.In, Timeout: pfsync.UDPSingle,
		RtAddr: pfsync.Addr{10, 0, 0, 9}, Rt: pfsync.RouteTo, RtAF: 2, Flags: pfsync.FlagNoDF, RTableID: [2]int32{3, -1},
	}
	copy(st.IfName[:], "all")
	copy(st.OrigIfName[:], "em2")
	copy(st.RtIfName[:], "em1")
	for _, tt := range []struct {
		format        pfsync.Format
		number        byte
		with, without string
	}{
		{pfsync.Format1301, 1, "act INS ST 1301 count 1\n\tall udp ", "no-df"},
		{pfsync.Format1400, 13, "route-to: 10.0.0.9@em1 rtable: 3", "em2"},
		{pfsync.Format1400, 14, "act UPD ST 1400 count 1\n\tall udp ", "em2"},
		{pfsync.Format1500, 15, "no-df", "UNKNOWN"},
		{pfsync.Format1500, 16, "\n\t   origif: em2\n", "UNKNOWN"},
	} {
		b := append(pfsyncPacket(5), tt.number, 0, 0, 1)
		b = st.Append(tt.format, b)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		have := runDump(t, "-v", "-r", save(t, pcap.LinkRaw, ipv4(240, b))).stdout
		if !strings.Contains(have, tt.with) || strings.Contains(have, tt.without) {
			t.Errorf("%d: %s: want %q and not %q", tt.format, have, tt.with, tt.without)
		}
	}
}

// TestPfsyncNumbers wants what has no word as a number, and bad values pointed out.
func TestPfsyncNumbers(t *testing.T) {
	st := pfsync.State{AF: 10, Direction: 1, Timeout: 2, Proto: 6}
	if name, ok := pfsync.MakeName("em0\x1b[2J"); ok {
		st.IfName = name
	}
	state := func(change func(b []byte)) []byte {
		b := append(pfsyncPacket(6, "0d 42 0001"), st.Append(pfsync.FormatOpenBSD, nil)...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		change(b[24:])
		return b
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		want    string // of the JSON, or after -v of the text
	}{
		{"bulk status 3", pfsyncPacket(6, "0a 03 0001 0a0b0c0d 00000e11 03 000000"), `"endtime":3601,"status":"3"`},
		{"bulk status 3", pfsyncPacket(6, "0a 03 0001 0a0b0c0d 00000e11 03 000000"), "-v age: 01:00:01 status: 3\n"},
		{"timeout 200", state(func(b []byte) { b[255] = 200 }), `"timeout":"200"`},
		{"timeout 200", state(func(b []byte) { b[255] = 200 }), `"refused":"bad value: timeout class 200"`},
		{"timeout 200", state(func(b []byte) { b[255] = 200 }), "-v [bad value: timeout class 200]\n"},
		{"direction 3", state(func(b []byte) { b[252] = 3 }), `"direction":"3"`},
		{"direction 3, refused", state(func(b []byte) { b[252] = 3 }), `"refused":"bad value: direction 3"`},
		{"direction 3 of an UPD, where no kernel looks", with(state(func(b []byte) { b[252] = 3 }), 20, 14), `"set_prio":[0,0]}]}]}`},
		{"Linux's AF_INET6", state(func(b []byte) { b[250] = 10 }), `"wire":{"af":"10","addr":["00000000000000000000000000000000"`},
		{"IPv6 of the state in its keys", state(func([]byte) {}), `"wire":{"af":"inet6","addr":["::"`},
		{"no words for a terminal", state(func([]byte) {}), `-v em0\x1b[2J tcp`},
		{"no words for a terminal", state(func([]byte) {}), `"ifname":"em0\u001b[2J"`},
		{"interface of CLR", pfsyncPacket(6, "00 05 0001 656d3100000000000000000000000000 0a0b0c0d"), "-v creatorid: 0a0b0c0d interface: em1\n"},
		{"no words for a terminal in CLR", pfsyncPacket(6, "00 05 0001 656d1b5b324a0aff0000000000000000 0a0b0c0d"), `-v interface: em\x1b[2J\n\xff`},
		{"CLR of all", pfsyncPacket(6, "00 05 0001 00656d00000000000000000000000000 0a0b0c0d"), "-v creatorid: 0a0b0c0d\n"},
		{"unknown action", pfsyncPacket(6, "11 02 0001 0000000000000000"), "-v act UNKNOWN id 17 count 1\n"},
		{"TTL", nil, "-v PFSYNC [ttl=254!] [malformed: packet shorter than its header]\n"},
	} {
		form := "-json"
		want, text := strings.CutPrefix(tt.want, "-v ")
		if text {
			form = "-v"
		}
		packet := ipv4(240, tt.payload)
		if tt.name == "TTL" {
			packet = with(packet, 8, 254, 240, 0, 0)
		}
		res := runDump(t, form, "-r", save(t, pcap.LinkRaw, packet))
		if !strings.Contains(res.stdout, want) {
			t.Errorf("%s: no %q in %s", tt.name, want, res.stdout)
		}
	}
}
