package carptest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/carp/carptest"
)

var (
	addrA = netip.MustParseAddr("10.0.0.2")
	addrB = netip.MustParseAddr("10.0.0.3")
	addrC = netip.MustParseAddr("10.0.0.4")
)

// bubble runs test in a synctest bubble with three ports.
func bubble(t *testing.T, seed uint64, test func(t *testing.T, seg *carptest.Segment, a, b, c *carptest.Port)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seg := carptest.NewSegment(seed)
		a, b, c := seg.Attach("a", addrA), seg.Attach("b", addrB), seg.Attach("c", addrC, netip.MustParseAddr("fe80::4"))
		test(t, seg, a, b, c)
		for _, p := range []*carptest.Port{a, b, c} {
			p.Close()
		}
	})
}

// say sends a word to the group.
func say(t *testing.T, p *carptest.Port, word string) {
	t.Helper()
	if err := p.WritePacket(carp.Packet{Data: []byte(word), Dst: carp.Group4}); err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
}

// wantHeard compares the words that wait at p.
func wantHeard(t *testing.T, sentence string, p *carptest.Port, words ...string) {
	t.Helper()
	var heard []string
	for {
		var pkt carp.Packet
		ok, err := p.TryReadPacket(&pkt)
		if err != nil {
			t.Fatalf("%s: %v", p.Name(), err)
		}
		if !ok {
			break
		}
		heard = append(heard, string(pkt.Data))
	}
	if diff := cmp.Diff(words, heard); diff != "" {
		t.Errorf("%s %s (-want +got):\n%s", p.Name(), sentence, diff)
	}
}

func TestHub(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, b, c *carptest.Port) {
		data := []byte("one")
		a.WritePacket(carp.Packet{Data: data, Dst: carp.Group4, TTL: 3, IfIndex: 4})
		data[0] = 'X' // it must not have been kept
		var p carp.Packet
		if err := b.ReadPacket(&p); err != nil {
			t.Fatal(err)
		}
		want := carp.Packet{Data: []byte("one"), Src: addrA, Dst: carp.Group4, TTL: 255}
		if string(p.Data) != string(want.Data) || p.Src != want.Src || p.Dst != want.Dst || p.TTL != 255 || p.IfIndex != 0 {
			t.Errorf("b read %+v, want %+v", p, want)
		}
		wantHeard(t, "hears the group", c, "one")
		wantHeard(t, "does not hear itself", a)

		seg.SetReflect(true)
		say(t, a, "two")
		wantHeard(t, "hears itself from a reflecting switch", a, "two")
		seg.SetReflect(false)
		wantHeard(t, "hears it once", b, "two")
		wantHeard(t, "hears it once", c, "two")

		a.WritePacket(carp.Packet{Data: []byte("three"), Dst: addrB})
		wantHeard(t, "hears its own address", b, "three")
		wantHeard(t, "does not hear another's", c)

		c.WritePacket(carp.Packet{Data: []byte("six"), Dst: carp.Group6})
		if a.ReadPacket(&p); p.Src != netip.MustParseAddr("fe80::4") {
			t.Errorf("IPv6 from %v", p.Src)
		}
		a.WritePacket(carp.Packet{Data: []byte("six"), Dst: carp.Group6})
		if c.ReadPacket(&p); p.Src != netip.IPv6Unspecified() {
			t.Errorf("IPv6 from %v without an address", p.Src)
		}
	})
}

func TestSendRaw(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *carptest.Segment, a, b, c *carptest.Port) {
		forged := carp.Packet{Data: []byte("x"), Src: addrC, Dst: addrB, TTL: 7, IfIndex: 9}
		a.SendRaw(forged)
		for _, p := range []*carptest.Port{b, c} {
			var got carp.Packet
			if err := p.ReadPacket(&got); err != nil || cmp.Diff(fmt.Sprint(forged), fmt.Sprint(got)) != "" {
				t.Errorf("%s read %+v, want %+v", p.Name(), got, forged)
			}
		}
	})
}

// What the segment and its ports are told reaches the network below.
func TestControls(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, b, c *carptest.Port) {
		seg.Cut("a", "b")
		say(t, a, "one")
		wantHeard(t, "is cut off", b)
		wantHeard(t, "is not cut off", c, "one")
		seg.Partition([]string{"c"})
		say(t, a, "two")
		wantHeard(t, "is alone", c)
		seg.Heal()
		seg.SetFaults(carptest.Faults{Duplicate: 1})
		say(t, a, "three")
		wantHeard(t, "hears again, doubly", b, "three", "three")
		seg.SetFaults(carptest.Faults{})

		b.Freeze()
		b.SetQueue(1)
		say(t, a, "four")
		say(t, a, "five")
		wantHeard(t, "is frozen", b)
		b.Thaw()
		wantHeard(t, "had room for one", b, "four")
		if n := b.Dropped(); n != 1 {
			t.Errorf("%d dropped, want 1", n)
		}

		broken := errors.New("broken")
		a.FailWrites(broken)
		if err := a.WritePacket(carp.Packet{Dst: carp.Group4}); err != broken {
			t.Errorf("write gave %v, want %v", err, broken)
		}
	})
}

func TestTap(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, _, _ *carptest.Port) {
		var journal carptest.Journal
		seg.Tap(journal.Packet)
		h := carp.Header{VHID: 7, AdvBase: 1, AdvSkew: 100, Demote: 3}
		data, _ := h.AppendBinary(nil)
		say(t, a, string(data))
		say(t, a, "no advert")
		entries := journal.Entries()
		if got, want := fmt.Sprint(entries[0], entries[1:]), "a advert 1/100 demote 3 [a no advert]"; got != want {
			t.Errorf("tapped %s, want %s", got, want)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *carptest.Segment, a, b, _ *carptest.Port) {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_, tryErr := b.TryReadPacket(new(carp.Packet))
		for what, err := range map[string]error{
			"a read": b.ReadPacket(new(carp.Packet)), "a try": tryErr,
			"a write": b.WritePacket(carp.Packet{Dst: carp.Group4}), "a second close": b.Close(),
		} {
			if err != net.ErrClosed {
				t.Errorf("%s gave %v", what, err)
			}
		}
		b.SendRaw(carp.Packet{Dst: carp.Group4, Data: []byte("from the dead")})
		wantHeard(t, "hears nothing of a closed port", a)
	})
}
