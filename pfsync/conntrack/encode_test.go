package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// tree is a message in words: type, flags and family, and the attributes by
// number, nested ones in braces, others in hexadecimal.
func tree(b []byte) string {
	if int(binary.NativeEndian.Uint32(b)) != len(b) {
		return "wrong length"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%#x flags %#x seq %d family %d", binary.NativeEndian.Uint16(b[4:]),
		binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:]), b[nlHeaderLen])
	appendTree(&s, b[nlHeaderLen+nfHeaderLen:])
	return s.String()
}

func appendTree(s *strings.Builder, b []byte) {
	for len(b) > 0 {
		n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		fmt.Fprintf(s, " %d", typ&^attrNested)
		if value := b[attrLen:n]; typ&attrNested != 0 {
			s.WriteString("{")
			appendTree(s, value)
			s.WriteString(" }")
		} else {
			fmt.Fprintf(s, ":%x", value)
		}
		b = b[(n+3)&^3:]
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	sample := sample()
	const (
		orig    = " 1{ 1{ 1:c0000264 2:c6336464 } 2{ 1:06 2:0001 3:01bb } }"
		inverse = " 2{ 1{ 1:c6336464 2:c0000264 } 2{ 1:06 2:01bb 3:0001 } }"
		state   = " 3:0000000e 7:00000e10 4{ 1{ 1:03 2:07 3:09 4:0b0b 5:0b0b } }"
		key6    = " 1{ 1{ 3:20010db8000100000000000000000100 4:20010db8000200000000000000000100 } 2{ 1:06 2:0001 3:01bb } }"
		reply6  = " 2{ 1{ 3:20010db8000200000000000000000100 4:20010db8000100000000000000000100 } 2{ 1:06 2:01bb 3:0001 } }"
		icmp    = " 1{ 1{ 1:c0000264 2:c6336464 } 2{ 1:01 4:004d 5:08 6:00 } } 2{ 1{ 1:c6336464 2:c0000264 } 2{ 1:01 4:004d 5:00 6:00 } }"
		zone    = " 18:0005"
	)
	noScale := tcp4(1)
	noScale.TCP.Flags[DirReply] = 0x70 | TCPCloseInit // 0x70: of the kernel's own window tracking
	wild := tcp4(1)
	wild.TCP.WScale = [2]uint8{255, 15}
	wild.Status = 1<<32 - 1
	bare := Entry{Orig: tcp4(1).Orig}
	mapped := tcp4(1)
	mapped.Orig.Src, mapped.Orig.Dst = netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("::1")

	for _, row := range []struct {
		name   string
		append func([]byte, uint32, *Entry) ([]byte, error)
		e      Entry
		want   string
	}{
		{"create", AppendCreate, tcp4(1), "0x100 flags 0x601 seq 7 family 2" + orig + inverse + state},
		{"create snat", AppendCreate, snat4(1), "0x100 flags 0x601 seq 7 family 2" + orig + inverse + state +
			" 6{ 1:c6336401 2:c6336401 3{ 1:0002 2:0002 } }"},
		{"create snat and dnat", AppendCreate, sample["snat and dnat"], "0x100 flags 0x601 seq 7 family 2" + orig + inverse + state +
			" 6{ 1:c6336401 2:c6336401 3{ 1:0002 2:0002 } } 13{ 1:cb007109 2:cb007109 3{ 1:20fb 2:20fb } }"},
		{"create dnat6", AppendCreate, sample["dnat6"], "0x100 flags 0x601 seq 7 family 10" + key6 + reply6 + state +
			" 13{ 4:20010db8000300000000000000000001 5:20010db8000300000000000000000001 3{ 1:20fb 2:20fb } }"},
		{"create marked", AppendCreate, sample["mark and zone"], "0x100 flags 0x601 seq 7 family 2" + orig + inverse + state +
			" 8:00decade" + zone + " 6{ 1:c6336401 2:c6336401 3{ 1:0002 2:0002 } }"},
		{"create icmp snat", AppendCreate, sample["icmp snat"], "0x100 flags 0x601 seq 7 family 2" + icmp +
			" 3:00000008 7:00000e10 6{ 1:c6336401 2:c6336401 3{ 1:004e 2:004e } }"},
		{"create icmp dnat", AppendCreate, sample["icmp dnat"], "0x100 flags 0x601 seq 7 family 2" + icmp +
			" 3:00000008 7:00000e10 13{ 1:cb007109 2:cb007109 }"},
		{"create with one window scale", AppendCreate, noScale, "0x100 flags 0x601 seq 7 family 2" + orig + inverse +
			" 3:0000000e 7:00000e10 4{ 1{ 1:03 4:0b0b 5:0c0c } }"},
		{"create with nonsense", AppendCreate, wild, "0x100 flags 0x601 seq 7 family 2" + orig + inverse +
			" 3:0000000e 7:00000e10 4{ 1{ 1:03 2:0e 3:0e 4:0b0b 5:0b0b } }"},
		{"create adjusted", AppendCreate, sample["sequence adjustment"], "0x100 flags 0x601 seq 7 family 2" + orig + inverse + state +
			" 15{ 1:000003e8 2:fffffffb 3:00000007 } 16{ 1:000007d0 2:00000000 3:fffffff7 } 6{ 1:c6336401 2:c6336401 3{ 1:0002 2:0002 } }"},
		{"update", AppendUpdate, snat4(1), "0x100 flags 0x1 seq 7 family 2" + orig + state},
		{"update with nonsense", AppendUpdate, wild, "0x100 flags 0x1 seq 7 family 2" + orig +
			" 3:0000000f 7:00000e10 4{ 1{ 1:03 2:0e 3:0e 4:0b0b 5:0b0b } }"},
		{"update of what is known alone", AppendUpdate, bare, "0x100 flags 0x1 seq 7 family 2" + orig + " 3:00000008"},
		{"delete", AppendDelete, sample["mark and zone"], "0x102 flags 0x1 seq 7 family 2" + orig + zone},
		{"delete in a zone of one direction", AppendDelete, sample["zone of the original direction"], "0x102 flags 0x1 seq 7 family 2" +
			" 1{ 1{ 1:c0000264 2:c6336464 } 2{ 1:06 2:0001 3:01bb } 3:0005 }"},
		{"delete in a zone of the other direction", AppendDelete, sample["zone of the answers"], "0x102 flags 0x1 seq 7 family 2" + orig},
		{"get", AppendGet, tcp6(1), "0x101 flags 0x1 seq 7 family 10" + key6},
		{"get of a mapped address", AppendGet, mapped, "0x101 flags 0x1 seq 7 family 10" +
			" 1{ 1{ 3:00000000000000000000ffffc0000201 4:00000000000000000000000000000001 } 2{ 1:06 2:0001 3:01bb } }"},
	} {
		b, err := row.append([]byte("before"), 7, &row.e)
		if err != nil || string(b[:6]) != "before" {
			t.Errorf("%s: %q, %v", row.name, b, err)
			continue
		}
		if got := tree(b[6:]); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.name, got, row.want)
		}
	}
}

// TestEncodeRefuses holds that nothing comes of an entry without a tuple: a
// message to delete it would empty the table.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	edit := func(f func(*Entry)) Entry { e := snat4(1); f(&e); return e }
	ip6 := netip.MustParseAddr("2001:db8::1")
	scoped := netip.MustParseAddr("fe80::1%lan")
	all := map[string]Entry{
		"an empty entry":       {},
		"no source":            edit(func(e *Entry) { e.Orig.Src = netip.Addr{} }),
		"no destination":       edit(func(e *Entry) { e.Orig.Dst = netip.Addr{} }),
		"two families":         edit(func(e *Entry) { e.Orig.Dst = ip6 }),
		"a scoped source":      edit(func(e *Entry) { e.Orig.Src, e.Orig.Dst = scoped, ip6 }),
		"a scoped destination": edit(func(e *Entry) { e.Orig.Src, e.Orig.Dst = ip6, scoped }),
		"ports of ICMP":        edit(func(e *Entry) { e.Orig.Proto = ProtoICMP }),
		"an ICMP id of TCP":    edit(func(e *Entry) { e.Orig.ICMPID = 1 }),
		"an ICMP type of TCP":  edit(func(e *Entry) { e.Orig.ICMPType = 8 }),
	}
	change := map[string]Entry{"a TCP state": edit(func(e *Entry) { e.TCP.State = 10 })}
	create := map[string]Entry{
		"no answers":                  edit(func(e *Entry) { e.Reply = Tuple{} }),
		"answers of two families":     edit(func(e *Entry) { e.Reply.Src = ip6 }),
		"answers of another family":   edit(func(e *Entry) { e.Reply.Src, e.Reply.Dst = ip6, ip6 }),
		"answers of another protocol": edit(func(e *Entry) { e.Reply.Proto = ProtoUDP }),
		"answers with an ICMP code":   edit(func(e *Entry) { e.Reply.ICMPCode = 8 }),
		"TCP without a state":         edit(func(e *Entry) { e.TCP.State = TCPNone }),
		"no timeout":                  edit(func(e *Entry) { e.Timeout = 0 }),
	}
	for _, form := range []struct {
		name   string
		append func([]byte, uint32, *Entry) ([]byte, error)
		refuse []map[string]Entry
	}{
		{"create", AppendCreate, []map[string]Entry{all, change, create}},
		{"update", AppendUpdate, []map[string]Entry{all, change}},
		{"delete", AppendDelete, []map[string]Entry{all}},
		{"get", AppendGet, []map[string]Entry{all}},
	} {
		for _, set := range form.refuse {
			for name, e := range set {
				before := []byte("before")
				b, err := form.append(slices.Clone(before), 7, &e)
				if !errors.Is(err, ErrInvalid) || !slices.Equal(b, before) {
					t.Errorf("%s: %s: %q, %v", form.name, name, b, err)
				}
			}
		}
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	e := full()
	b := make([]byte, 0, 1024)
	for name, f := range map[string]func([]byte, uint32, *Entry) ([]byte, error){
		"create": AppendCreate, "update": AppendUpdate, "delete": AppendDelete, "get": AppendGet,
	} {
		if n := testing.AllocsPerRun(100, func() { f(b, 1, &e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
