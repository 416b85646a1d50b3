package conntrack

import (
	"net/netip"
	"testing"
)

func TestTranslation(t *testing.T) {
	t.Parallel()
	port := tcp4(1)
	port.Reply.DstPort = 2000
	redirect := tcp4(1)
	redirect.Reply.SrcPort = 8443
	for name, want := range map[string][2]string{
		"tcp4":                             {"", ""},
		"esp":                              {"", ""},
		"icmp":                             {"", ""},
		"snat4":                            {"198.51.100.1:2", ""},
		"dnat6":                            {"", "[2001:db8:3::1]:8443"},
		"snat and dnat":                    {"198.51.100.1:2", "203.0.113.9:8443"},
		"icmp snat":                        {"198.51.100.1:78", ""},
		"icmp dnat":                        {"", "203.0.113.9:0"},
		"only the port of the source":      {"192.0.2.100:2000", ""},
		"only the port of the destination": {"", "198.51.100.100:8443"},
		"no answers' tuple":                {"", ""},
	} {
		entries := sample()
		entries["only the port of the source"] = port
		entries["only the port of the destination"] = redirect
		entries["no answers' tuple"] = Entry{Orig: port.Orig}
		e, ok := entries[name]
		if !ok {
			t.Fatal(name)
		}
		var got [2]string
		if to, ok := e.SNAT(); ok {
			got[0] = to.String()
		}
		if to, ok := e.DNAT(); ok {
			got[1] = to.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestInverse(t *testing.T) {
	t.Parallel()
	icmp := map[uint8]map[uint8]uint8{
		ProtoICMP: {
			0: 8, 8: 0, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17,
			3: 3, 5: 5, 11: 11, 12: 12, 255: 255,
		},
		ProtoICMPv6: {128: 129, 129: 128, 139: 140, 140: 139, 0: 0, 8: 8, 1: 1, 135: 135},
		ProtoTCP:    {8: 8},
	}
	for proto, types := range icmp {
		for typ, want := range types {
			tuple := Tuple{Proto: proto, ICMPType: typ, ICMPID: 7, ICMPCode: 1}
			got := tuple.Inverse()
			if wanted := (Tuple{Proto: proto, ICMPType: want, ICMPID: 7, ICMPCode: 1}); got != wanted {
				t.Errorf("protocol %d type %d: %+v, want %+v", proto, typ, got, wanted)
			}
		}
	}
	for name, e := range sample() {
		if got := e.Orig.Inverse().Inverse(); got != e.Orig {
			t.Errorf("%s: twice inverted %+v, want %+v", name, got, e.Orig)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	e := snat4(1)
	e.Counters = [2]Counters{{Packets: 3, Bytes: 180}, {Packets: 2, Bytes: 120}}
	unreplied := sample()["udp"]
	unreplied.Zone, unreplied.ZoneDir = 5, ZoneReply
	icmp := sample()["icmp snat"]
	icmp.Status |= StatusSeenReply
	offloaded := sample()["mark and zone"]
	offloaded.Status |= StatusOffload
	offloaded.TCP.State = 77
	odd := sample()["esp"]
	odd.Status |= StatusHWOffload
	odd.Zone, odd.ZoneDir = 1, 99
	for _, row := range []struct {
		e    Entry
		want string
	}{
		{e, "tcp      6 3600 ESTABLISHED src=192.0.2.100 dst=198.51.100.100 sport=1 dport=443 packets=3 bytes=180 " +
			"src=198.51.100.100 dst=198.51.100.1 sport=443 dport=2 packets=2 bytes=120 [ASSURED] mark=0"},
		{unreplied, "udp      17 3600 src=192.0.2.100 dst=198.51.100.100 sport=1 dport=443 [UNREPLIED] " +
			"src=198.51.100.100 dst=192.0.2.100 sport=443 dport=1 mark=0 zone-reply=5"},
		{icmp, "icmp     1 3600 src=192.0.2.100 dst=198.51.100.100 type=8 code=0 id=77 " +
			"src=198.51.100.100 dst=198.51.100.1 type=0 code=0 id=78 mark=0"},
		{offloaded, "tcp      6 3600 77 src=192.0.2.100 dst=198.51.100.100 sport=1 dport=443 " +
			"src=198.51.100.100 dst=198.51.100.1 sport=443 dport=2 [OFFLOAD] mark=14600926 zone=5"},
		{odd, "unknown  50 3600 src=192.0.2.100 dst=198.51.100.100 [UNREPLIED] " +
			"src=198.51.100.100 dst=192.0.2.100 [HW_OFFLOAD] mark=0 zone=1"},
		{Entry{}, "unknown  0 0 src=invalid IP dst=invalid IP [UNREPLIED] src=invalid IP dst=invalid IP mark=0"},
	} {
		if got := row.e.String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

// TestPlainValue holds that entries can be compared and be keys.
func TestPlainValue(t *testing.T) {
	t.Parallel()
	a, b := snat4(1), snat4(1)
	b.Orig.Src = netip.AddrFrom4([4]byte{192, 0, 2, 100})
	if seen := map[Entry]bool{a: true}; a != b || !seen[b] {
		t.Error("two entries with the same fields differ")
	}
}
