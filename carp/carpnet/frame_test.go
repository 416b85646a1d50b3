package carpnet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/inet"
)

// A golden is a line of testdata/frames.txt.
type golden struct {
	verdict, note string
	frame         []byte
}

func goldens(t testing.TB) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		frame, err := hex.DecodeString(f[len(f)-1])
		if len(f) != 3 || err != nil {
			t.Fatalf("bad line in testdata: %q", line)
		}
		all = append(all, golden{f[0], f[1], frame})
	}
	return all
}

// What a kernel counted as received is decoded, what it did not is refused.
func TestParseFrameLikeKernels(t *testing.T) {
	dropped := map[string]error{
		"unicast ethernet destination (parent MAC) with the multicast IP: not even counted": ErrLinkUnicast,
		"first fragment flag (MF)": ErrFragment,
	}
	for _, g := range goldens(t) {
		p := carp.Packet{Data: []byte("dirty"), IfIndex: 9}
		err := ParseFrame(g.frame, &p)
		if g.verdict == "dropped" {
			if want := dropped[g.note]; want == nil || !errors.Is(err, want) {
				t.Errorf("%s: got error %v, want %v", g.note, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", g.note, err)
			continue
		}
		if p.LinkSrc != carp.HardwareAddr(g.frame[6:]) || p.IfIndex != 0 {
			t.Errorf("%s: got %+v", g.note, p)
		}
		ip := g.frame[etherHeaderLen:]
		wantTTL, wantLen := ip[8], int(binary.BigEndian.Uint16(ip[2:]))-int(ip[0]&0xf)*4
		if ip[0]>>4 == 6 {
			wantTTL, wantLen = ip[7], int(binary.BigEndian.Uint16(ip[4:]))
		}
		if p.TTL != wantTTL || !bytes.Equal(p.Data, g.frame[len(g.frame)-wantLen:]) {
			t.Errorf("%s: got TTL %d and %d octets, want %d and %d", g.note, p.TTL, len(p.Data), wantTTL, wantLen)
		}
	}
}

// From what was decoded, the very bytes that OpenBSD and FreeBSD sent come out.
func TestAppendFrameLikeKernels(t *testing.T) {
	n := 0
	for _, g := range goldens(t) {
		if g.verdict != "sent" || g.frame[0] == 0xff || g.frame[0]&1 == 0 {
			continue // ucarp's broadcast mode, or unicast: framed by the kernel
		}
		var p carp.Packet
		if err := ParseFrame(g.frame, &p); err != nil {
			t.Fatal(err)
		}
		ip, _, _ := inet.ParseIP(g.frame[etherHeaderLen:])
		got, err := AppendFrame([]byte("x"), &p, ip.TOS, ip.ID)
		if want := append([]byte("x"), g.frame...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: error %v\n got %x\nwant %x", g.note, err, got, want)
		}
		n++
	}
	if n < 15 {
		t.Errorf("only %d frames were compared", n)
	}
}

func TestParseFrameRefuses(t *testing.T) {
	frame4, err := AppendFrame(nil, &carp.Packet{Dst: carp.Group4, Data: make([]byte, 36)}, DefaultTOS, 0)
	if err != nil {
		t.Fatal(err)
	}
	frame6, err := AppendFrame(nil, &carp.Packet{Dst: carp.Group6, Data: make([]byte, 36)}, DefaultTOS, 0)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(frame []byte, f func([]byte) []byte) []byte { return f(bytes.Clone(frame)) }

	for _, tt := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"nothing", nil, ErrNotCARP},
		{"Ethernet header only", frame4[:14], ErrNotCARP},
		{"IPv4 header cut off", frame4[:33], ErrNotCARP},
		{"IPv4 payload cut off", frame4[:69], ErrShort},
		{"IPv6 payload cut off", frame6[:89], ErrShort},
		{"TTL changed, checksum not", edit(frame4, func(b []byte) []byte { b[22]--; return b }), ErrIPChecksum},
		{"UDP", edit(frame4, func(b []byte) []byte { b[23] = 17; return b }), ErrNotCARP},
		{"IPv6 hop-by-hop header", edit(frame6, func(b []byte) []byte { b[20] = 0; return b }), ErrNotCARP},
		{"IPv6 under the IPv4 type", edit(frame6, func(b []byte) []byte { b[12], b[13] = 8, 0; return b }), ErrNotCARP},
		{"IPv4 under the IPv6 type", edit(frame4, func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b }), ErrNotCARP},
		{"ARP", edit(frame4, func(b []byte) []byte { b[13] = 6; return b }), ErrNotCARP},
		{"VLAN tag", append(append(bytes.Clone(frame4[:12]), 0x81, 0, 0, 10), frame4[12:]...), ErrNotCARP},
		{"IPv6 group to one host", edit(frame6, func(b []byte) []byte { b[0] = 2; return b }), ErrLinkUnicast},
	} {
		p := carp.Packet{Data: []byte("dirty"), TTL: 7}
		if err := ParseFrame(tt.frame, &p); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if string(p.Data) != "dirty" || p.TTL != 7 {
			t.Errorf("%s: the packet was changed: %+v", tt.name, p)
		}
	}
}

func TestAppendFrame(t *testing.T) {
	// Padding to the minimum length is cut off again, a zone and an IPv4 address
	// in IPv6 form do no harm, and a source of the other family is not used.
	for _, tt := range []struct{ src, dst, wantSrc, wantDst string }{
		{"192.0.2.1", "224.0.0.18", "192.0.2.1", "224.0.0.18"},
		{"::ffff:192.0.2.1", "::ffff:224.0.0.18", "192.0.2.1", "224.0.0.18"},
		{"fe80::1", "224.0.0.18", "0.0.0.0", "224.0.0.18"},
		{"fe80::1%eth0", "ff02::12%eth0", "fe80::1", "ff02::12"},
		{"192.0.2.1", "ff02::12", "::", "ff02::12"},
		{"192.0.2.1", "239.129.3.4", "192.0.2.1", "239.129.3.4"},
	} {
		in := carp.Packet{
			Data: []byte{0x21, 1, 2}, LinkSrc: carp.HardwareAddr{0, 0, 0x5e, 0, 1, 7},
			Src: netip.MustParseAddr(tt.src), Dst: netip.MustParseAddr(tt.dst),
		}
		frame, err := AppendFrame(nil, &in, DefaultTOS, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := in
		want.Src, want.Dst, want.TTL = netip.MustParseAddr(tt.wantSrc), netip.MustParseAddr(tt.wantDst), 255
		var got carp.Packet
		if err := ParseFrame(append(frame, make([]byte, 20)...), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s to %s (-want +got):\n%s", tt.src, tt.dst, diff)
		}
	}
	if frame, _ := AppendFrame(nil, &carp.Packet{Dst: netip.MustParseAddr("239.129.3.4")}, 0, 0); !bytes.HasPrefix(frame, []byte{1, 0, 0x5e, 1, 3, 4}) {
		t.Errorf("239.129.3.4 became Ethernet address %x: only 23 bits of the group count", frame[:6])
	}
	for _, dst := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")} {
		if _, err := AppendFrame(nil, &carp.Packet{Dst: dst}, 0, 0); err == nil {
			t.Errorf("%v was taken for a group", dst)
		}
	}
}

func TestFrameAllocs(t *testing.T) {
	p := carp.Packet{Data: make([]byte, 36), Dst: carp.Group4, Src: netip.MustParseAddr("192.0.2.1")}
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		frame, err := AppendFrame(buf, &p, DefaultTOS, 0)
		if err == nil {
			err = ParseFrame(frame, &p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a frame there and back allocates %v times", n)
	}
}
