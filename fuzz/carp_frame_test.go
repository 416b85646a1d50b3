package fuzz

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carpnet"
)

// FuzzFrame decodes any Ethernet frame, and encodes what it accepts.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, was []byte) {
		frame := bytes.Clone(was)
		var p carp.Packet
		err := carpnet.ParseFrame(frame[:len(frame):len(frame)], &p)

		dirty := carp.Packet{Data: []byte("dirt"), TTL: 77, IfIndex: 7, LinkSrc: carp.HardwareAddr{7}, Src: carp.Group6, Dst: carp.Group6}
		kept := dirty
		spare := append(bytes.Clone(frame), bytes.Repeat([]byte{0x45}, 64)...)[:len(frame)]
		if err2 := carpnet.ParseFrame(spare, &dirty); err2 != err {
			t.Fatalf("error %v, but %v with spare capacity", err, err2)
		}
		if !bytes.Equal(frame, was) {
			t.Fatal("decoding changed the frame")
		}
		if err != nil {
			if !slices.Contains(frameErrors, err) {
				t.Fatalf("an unknown error: %v", err)
			}
			if !same(p, carp.Packet{}) || !same(dirty, kept) {
				t.Fatalf("refused, yet it made %+v and %+v", p, dirty)
			}
			return
		}
		if !same(p, dirty) {
			t.Fatalf("decoded over another packet it is different:\n%s", diff(p, dirty))
		}
		// The payload and the addresses are in the frame, and the former is a copy.
		if p.IfIndex != 0 || !bytes.Contains(frame, p.Data) || !bytes.Contains(frame, p.Src.AsSlice()) ||
			!bytes.Contains(frame, p.Dst.AsSlice()) || p.Src.Is4() != p.Dst.Is4() {
			t.Fatalf("%+v is not in the frame", p)
		}
		data := bytes.Clone(p.Data)
		for i := range frame {
			frame[i]++
		}
		if !bytes.Equal(p.Data, data) {
			t.Fatal("the payload is part of the frame")
		}
		checkFrame(t, p)
	})
}

// checkFrame encodes p and wants it back, padded to the least Ethernet allows.
func checkFrame(t *testing.T, p carp.Packet) {
	wire, err := carpnet.AppendFrame(nil, &p, carpnet.DefaultTOS, 1)
	if (err == nil) != p.Dst.IsMulticast() {
		t.Fatalf("to %v: %v", p.Dst, err)
	}
	if err != nil {
		return
	}
	p.TTL = 255
	var again carp.Packet
	if err := carpnet.ParseFrame(append(wire, make([]byte, max(0, 60-len(wire)))...), &again); err != nil || !same(p, again) {
		t.Fatalf("encoded and decoded: %v\n%s", err, diff(p, again))
	}
}

var frameErrors = []error{
	carpnet.ErrNotCARP, carpnet.ErrLinkUnicast, carpnet.ErrShort, carpnet.ErrIPChecksum, carpnet.ErrFragment,
}

// An empty payload may be nil or not.
var asPackets = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

func same(p, q carp.Packet) bool   { return cmp.Equal(p, q, asPackets) }
func diff(p, q carp.Packet) string { return cmp.Diff(p, q, asPackets) }
