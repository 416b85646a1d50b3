package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/internal/inet"
	"github.com/gocarp/gocarp/pfsync"
)

// TestTrackTCP plays a connection whose sequence numbers pass 0.
func TestTrackTCP(t *testing.T) {
	const iss, irs = 0xffffffff, 5000
	var st pfsync.State
	send := func(why string, reply bool, seq, ack uint32, flags uint8, data int, want bool) {
		t.Helper()
		p := packet{proto: protoTCP, seq: seq, ack: ack, flags: flags, window: 1000, data: make([]byte, data)}
		after := st // as in [firewall.track], where nothing is kept of what is refused
		src, dst := &after.Src, &after.Dst
		if reply {
			src, dst = dst, src
		}
		got := trackTCP(&after, src, dst, &p)
		if got != want {
			t.Errorf("%s: %v, want %v", why, got, want)
		}
		if got {
			st = after
		}
	}
	send("no SYN", false, 0, irs+1, flagACK, 64, false)
	send("SYN", false, iss, 0, flagSYN, 0, true)
	send("SYN again", false, iss, 0, flagSYN, 0, true)
	send("an answer to something else", true, irs, 0x20000, flagSYN|flagACK, 0, false)
	if st.Timeout != pfsync.TCPOpening {
		t.Errorf("after the SYN: %v", st.Timeout)
	}
	send("SYN, ACK", true, irs, 0, flagSYN|flagACK, 0, true)
	send("ACK", false, 0, irs+1, flagACK, 0, true)
	if st.Src.State != pfsync.TCPEstablished || st.Dst.State != pfsync.TCPEstablished || st.Timeout != pfsync.TCPEstab {
		t.Fatalf("after the handshake: %+v, %+v, %v", st.Src, st.Dst, st.Timeout)
	}
	send("data", false, 0, irs+1, flagACK, 64, true)
	send("again", false, 0, irs+1, flagACK, 64, true)
	send("what was sent since the last update", false, 500, irs+1, flagACK, 500, true)
	send("beyond the window", false, 1000, irs+1, flagACK, 1, false)
	send("before the window", false, iss-1000, irs+1, flagACK, 10, false)
	send("ACK from nowhere", true, irs+1, 0x30000, flagACK, 0, false)
	send("ACK moves the window", true, irs+1, 1000, flagACK, 0, true)
	send("beyond the window before", false, 1000, irs+1, flagACK, 1, true)
	want := pfsync.Peer{State: pfsync.TCPEstablished, SeqLo: 1001, SeqHi: 2000, MaxWin: 1000}
	if diff := cmp.Diff(want, st.Src); diff != "" {
		t.Error(diff)
	}
}

func TestTrackUDP(t *testing.T) {
	st := pfsync.State{Timeout: pfsync.UDPFirst}
	for i, tt := range []struct {
		reply    bool
		src, dst pfsync.PeerState
		timeout  pfsync.Timeout
	}{
		{false, pfsync.Single, pfsync.NoTraffic, pfsync.UDPFirst},
		{false, pfsync.Single, pfsync.NoTraffic, pfsync.UDPSingle},
		{true, pfsync.Multiple, pfsync.Single, pfsync.UDPSingle},
		{false, pfsync.Multiple, pfsync.Multiple, pfsync.UDPMultiple},
	} {
		src, dst := &st.Src, &st.Dst
		if tt.reply {
			src, dst = dst, src
		}
		trackUDP(&st, src, dst)
		if st.Src.State != tt.src || st.Dst.State != tt.dst || st.Timeout != tt.timeout {
			t.Errorf("packet %d: %v, %v, %v", i, st.Src.State, st.Dst.State, st.Timeout)
		}
	}
}

// TestPacket puts packets together and takes them apart, whole and damaged.
func TestPacket(t *testing.T) {
	a, b := netip.MustParseAddrPort("10.0.0.100:40001"), netip.MustParseAddrPort("203.0.113.100:22")
	for _, p := range []packet{
		{proto: protoUDP, ttl: 64, src: a, dst: b, data: []byte("odd")},
		{proto: protoTCP, ttl: 3, src: b, dst: a, seq: 1 << 31, ack: 7, flags: flagSYN | flagACK, window: 0xffff, data: []byte{}},
	} {
		f := p.frame(mac{1}, mac{2})
		_, ip, payload, ok := parseIP(f)
		if !ok {
			t.Fatal("no IP packet")
		}
		got, ok := parsePacket(ip, payload)
		if diff := cmp.Diff(p, got, cmp.AllowUnexported(packet{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); !ok || diff != "" {
			t.Errorf("%v, %s", ok, diff)
		}
		for i := range payload {
			payload[i] ^= 1
			if _, ok := parsePacket(ip, payload); ok {
				t.Errorf("octet %d is wrong, and yet it is a packet", i)
			}
			payload[i] ^= 1
			if _, ok := parsePacket(ip, payload[:i]); ok {
				t.Errorf("%d octets of it are a packet", i)
			}
		}
		ip.Src = onLAN.host(9)
		if _, ok := parsePacket(ip, payload); ok {
			t.Error("a packet with another address")
		}
	}
	if _, ok := parsePacket(inet.IP{Src: a.Addr(), Dst: b.Addr(), Protocol: 1}, make([]byte, 64)); ok {
		t.Error("ICMP is taken for something else")
	}
}
