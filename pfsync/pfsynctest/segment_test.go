package pfsynctest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gocarp/gocarp/pfsync"
	"github.com/gocarp/gocarp/pfsync/pfsynctest"
)

var (
	addrA = netip.MustParseAddr("10.0.0.2")
	addrB = netip.MustParseAddr("10.0.0.3")
	addrC = netip.MustParseAddr("10.0.0.4")

	sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

// bubble runs test in a synctest bubble with three ports.
func bubble(t *testing.T, seed uint64, test func(t *testing.T, seg *pfsynctest.Segment, a, b, c *pfsynctest.Port)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seg := pfsynctest.NewSegment(seed)
		a, b, c := seg.Attach("a", addrA), seg.Attach("b", addrB), seg.Attach("c", addrC, netip.MustParseAddr("fe80::4"))
		test(t, seg, a, b, c)
		for _, p := range []*pfsynctest.Port{a, b, c} {
			p.Close()
		}
	})
}

// say sends words to the group, all at once.
func say(t *testing.T, p *pfsynctest.Port, words ...string) {
	t.Helper()
	var payloads [][]byte
	for _, w := range words {
		payloads = append(payloads, []byte(w))
	}
	if n, err := p.WritePackets(pfsync.Group4, payloads); n != len(words) || err != nil {
		t.Fatalf("%s: %d written, %v", p.Name(), n, err)
	}
}

// heard is the words that wait at p.
func heard(t *testing.T, p *pfsynctest.Port) []string {
	t.Helper()
	if p.Queued() == 0 {
		return nil
	}
	packets := make([]pfsync.Packet, p.Queued())
	n, err := p.ReadPackets(packets)
	if err != nil || n != len(packets) {
		t.Fatalf("%s: %d of %d read, %v", p.Name(), n, len(packets), err)
	}
	words := make([]string, n)
	for i := range packets {
		words[i] = string(packets[i].Data)
	}
	return words
}

func wantHeard(t *testing.T, sentence string, p *pfsynctest.Port, words ...string) {
	t.Helper()
	if diff := cmp.Diff(words, heard(t, p)); diff != "" {
		t.Errorf("%s %s (-want +got):\n%s", p.Name(), sentence, diff)
	}
}

// next is the first packet that waits at p.
func next(t *testing.T, p *pfsynctest.Port) pfsync.Packet {
	t.Helper()
	packets := make([]pfsync.Packet, 1)
	if n, err := p.ReadPackets(packets); n != 1 || err != nil {
		t.Fatalf("%s: %d read, %v", p.Name(), n, err)
	}
	return packets[0]
}

func TestHub(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, c *pfsynctest.Port) {
		data := []byte("one")
		a.WritePackets(pfsync.Group4, [][]byte{data})
		data[0] = 'X' // it must not have been kept
		want := pfsync.Packet{Data: []byte("one"), Src: addrA, Dst: pfsync.Group4, TTL: 255}
		if diff := cmp.Diff(want, next(t, b), sameAddr); diff != "" {
			t.Errorf("b read (-want +got):\n%s", diff)
		}
		wantHeard(t, "hears the group", c, "one")
		wantHeard(t, "does not hear itself", a)

		a.WritePackets(addrB, [][]byte{[]byte("three"), []byte("four")})
		wantHeard(t, "hears its own address", b, "three", "four")
		wantHeard(t, "does not hear another's", c)

		c.WritePackets(pfsync.Group6, [][]byte{[]byte("six")})
		if p := next(t, a); p.Src != netip.MustParseAddr("fe80::4") {
			t.Errorf("IPv6 from %v", p.Src)
		}
		a.WritePackets(pfsync.Group6, [][]byte{[]byte("six")})
		if p := next(t, c); p.Src != netip.IPv6Unspecified() {
			t.Errorf("IPv6 from %v without an address", p.Src)
		}
	})
}

// A read takes what there is and leaves what does not fit, in the room it is given.
func TestReadPackets(t *testing.T) {
	bubble(t, 1, func(t *testing.T, _ *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		say(t, a, "one", "two", "three")
		room := make([]byte, 0, 100)
		packets := []pfsync.Packet{{Data: room, TTL: 7, IfIndex: 7}, {}}
		n, err := b.ReadPackets(packets)
		if n != 2 || err != nil || string(packets[0].Data) != "one" || string(packets[1].Data) != "two" {
			t.Errorf("read %d, %v: %+v", n, err, packets)
		}
		if &packets[0].Data[0] != &room[:1][0] || packets[0].IfIndex != 0 || packets[0].TTL != 255 {
			t.Errorf("read %+v", packets[0])
		}
		wantHeard(t, "keeps the rest", b, "three")
	})
}

func TestSendRaw(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, c *pfsynctest.Port) {
		forged := pfsync.Packet{Data: []byte("x"), Src: addrC, Dst: addrB, TTL: 7, IfIndex: 9}
		a.SendRaw(forged)
		for _, p := range []*pfsynctest.Port{b, c} {
			if diff := cmp.Diff(forged, next(t, p), sameAddr); diff != "" {
				t.Errorf("%s read (-want +got):\n%s", p.Name(), diff)
			}
		}
	})
}

func TestTap(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		var taps []string
		seg.Tap(func(r pfsynctest.Record) {
			taps = append(taps, fmt.Sprintf("%s %t %v>%v %s", r.From, r.Side, r.Packet.Src, r.Packet.Dst, r.Packet.Data))
			r.Packet.Data[0] = 'X' // it is the tap's own
		})
		side := seg.AttachSide("b", addrB)
		seg.SetFaults(pfsynctest.Faults{Loss: 1})
		seg.Cut("b", "a")
		say(t, a, "lost")
		seg.SetFaults(pfsynctest.Faults{})
		say(t, a, "heard")
		wantHeard(t, "hears what the tap has not touched", b, "heard")
		side.WritePacket(addrA, []byte("cut"))
		want := []string{"a false 10.0.0.2>224.0.0.240 lost", "a false 10.0.0.2>224.0.0.240 heard", "b true 10.0.0.3>10.0.0.2 cut"}
		if diff := cmp.Diff(want, taps); diff != "" {
			t.Errorf("tapped (-want +got):\n%s", diff)
		}
		side.Close()
	})
}

// What the segment and its ports are told reaches the network below.
func TestControls(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, c *pfsynctest.Port) {
		seg.Cut("a", "b")
		say(t, a, "one")
		wantHeard(t, "is cut off", b)
		wantHeard(t, "is not cut off", c, "one")
		seg.Partition([]string{"c"})
		say(t, a, "two")
		wantHeard(t, "is alone", c)
		seg.Heal()
		seg.SetFaults(pfsynctest.Faults{Duplicate: 1})
		say(t, a, "three")
		wantHeard(t, "hears again, doubly", b, "three", "three")
		seg.SetFaults(pfsynctest.Faults{})

		b.Freeze()
		b.SetQueue(1)
		say(t, a, "four", "five")
		read := make(chan string)
		go func() { read <- string(next(t, b).Data) }()
		synctest.Wait()
		select {
		case word := <-read:
			t.Errorf("read %q while frozen", word)
		default:
		}
		b.Thaw()
		if word := <-read; word != "four" || b.Dropped() != 1 {
			t.Errorf("read %q, %d dropped, want four and 1", word, b.Dropped())
		}

		broken := errors.New("broken")
		a.FailWrites(broken)
		if n, err := a.WritePackets(pfsync.Group4, [][]byte{nil, nil}); n != 0 || err != broken {
			t.Errorf("write gave %d, %v, want 0, %v", n, err, broken)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_, readErr := b.ReadPackets(make([]pfsync.Packet, 1))
		n, writeErr := b.WritePackets(pfsync.Group4, [][]byte{nil})
		for what, err := range map[string]error{"a read": readErr, "a write": writeErr, "a second close": b.Close()} {
			if err != net.ErrClosed {
				t.Errorf("%s gave %v", what, err)
			}
		}
		if n != 0 {
			t.Errorf("%d written", n)
		}
		b.SendRaw(pfsync.Packet{Dst: pfsync.Group4, Data: []byte("from the dead")})
		wantHeard(t, "hears nothing of a closed port", a)

		again := seg.Attach("b", addrB)
		say(t, a, "back")
		wantHeard(t, "hears after it was attached again", again, "back")
		again.Close()
	})
}

// The side channel goes from address to address and has faults of its own, but the
// same cables.
func TestSide(t *testing.T) {
	bubble(t, 1, func(t *testing.T, seg *pfsynctest.Segment, a, b, _ *pfsynctest.Port) {
		sa, sb := seg.AttachSide("a", addrA), seg.AttachSide("b", addrB)
		defer sa.Close()
		defer sb.Close()
		seg.SetFaults(pfsynctest.Faults{Loss: 1})
		if err := sa.WritePacket(addrB, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		p := pfsync.SidePacket{Data: make([]byte, 0, 10)}
		room := &p.Data[:1][0]
		if err := sb.ReadPacket(&p); err != nil || string(p.Data) != "hello" || p.Src != addrA || &p.Data[0] != room {
			t.Errorf("read %+v, %v", p, err)
		}
		seg.SetFaults(pfsynctest.Faults{})
		sa.WritePacket(addrC, []byte("to another"))
		sa.WritePacket(addrA, []byte("to myself"))
		say(t, a, "on the other channel")
		seg.Cut("a", "b")
		sa.WritePacket(addrB, []byte("cut"))
		seg.Heal()
		seg.SetSideFaults(pfsynctest.Faults{Loss: 1})
		sa.WritePacket(addrB, []byte("lost"))
		if sa.Queued() != 0 || sb.Queued() != 0 {
			t.Errorf("queued %d at a, %d at b", sa.Queued(), sb.Queued())
		}
		wantHeard(t, "hears its own channel", b, "on the other channel")

		seg.SetSideFaults(pfsynctest.Faults{})
		sa.FailWrites(net.ErrWriteToConnected)
		if err := sa.WritePacket(addrB, nil); err != net.ErrWriteToConnected || sb.Queued() != 0 {
			t.Errorf("a write that is to fail gave %v, queued %d", err, sb.Queued())
		}
		sa.SendRaw(addrC, addrB, []byte("forged"))
		if sb.ReadPacket(&p); p.Src != addrC {
			t.Errorf("forged from %v, want %v", p.Src, addrC)
		}
		sb.Close()
		if err := sb.ReadPacket(&p); err != net.ErrClosed {
			t.Errorf("reading what is closed gave %v", err)
		}
		if err := sb.WritePacket(addrA, nil); err != net.ErrClosed {
			t.Errorf("writing to what is closed gave %v", err)
		}
	})
}
