package carptest_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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

func TestCutAndPartition(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, b, c *carptest.Port) {
		seg.Cut("a", "b")
		say(t, a, "a1")
		say(t, b, "b1")
		wantHeard(t, "does not hear what is cut", b)
		wantHeard(t, "hears the other direction", a, "b1")
		wantHeard(t, "hears both", c, "a1", "b1")

		seg.Partition([]string{"a"}, []string{"b"})
		say(t, c, "c2")
		say(t, a, "a2")
		wantHeard(t, "is alone", a)
		wantHeard(t, "is alone", b)
		wantHeard(t, "is alone", c)

		seg.Heal()
		say(t, a, "a3")
		wantHeard(t, "hears again", b, "a3")
		wantHeard(t, "hears again", c, "a3")
	})
}

func TestFreeze(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *carptest.Segment, a, b, _ *carptest.Port) {
		b.Freeze()
		say(t, a, "one")
		wantHeard(t, "is frozen", b)
		read := make(chan string)
		go func() {
			var p carp.Packet
			b.ReadPacket(&p)
			read <- string(p.Data)
		}()
		time.Sleep(time.Hour)
		select {
		case word := <-read:
			t.Errorf("read %q while frozen", word)
		default:
		}
		say(t, b, "still speaks")
		wantHeard(t, "hears the frozen one", a, "still speaks")
		b.Thaw()
		if word := <-read; word != "one" {
			t.Errorf("read %q, want one", word)
		}
	})
}

func TestQueue(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *carptest.Segment, a, b, _ *carptest.Port) {
		b.SetQueue(2)
		for _, word := range []string{"one", "two", "three"} {
			say(t, a, word)
		}
		if n := b.Dropped(); n != 1 {
			t.Errorf("%d dropped, want 1", n)
		}
		wantHeard(t, "keeps the first", b, "one", "two")
	})
}

func TestClose(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *carptest.Segment, a, b, _ *carptest.Port) {
		seg.SetFaults(carptest.Faults{Delay: time.Minute})
		say(t, a, "on its way")
		read := make(chan error)
		go func() { read <- b.ReadPacket(new(carp.Packet)) }()
		synctest.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; err != net.ErrClosed {
			t.Errorf("a waiting read gave %v", err)
		}
		if err := b.ReadPacket(new(carp.Packet)); err != net.ErrClosed {
			t.Errorf("a read gave %v", err)
		}
		if ok, err := b.TryReadPacket(new(carp.Packet)); ok || err != net.ErrClosed {
			t.Errorf("a try gave %v, %v", ok, err)
		}
		if err := b.WritePacket(carp.Packet{Dst: carp.Group4}); err != net.ErrClosed {
			t.Errorf("a write gave %v", err)
		}
		b.SendRaw(carp.Packet{Dst: carp.Group4, Data: []byte("from the dead")})
		if err := b.Close(); err != net.ErrClosed {
			t.Errorf("a second close gave %v", err)
		}
		time.Sleep(time.Hour)
		wantHeard(t, "hears nothing of a closed port", a)
	})
}
