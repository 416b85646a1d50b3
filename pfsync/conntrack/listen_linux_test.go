package conntrack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

func listen(t testing.TB, tb *table, cfg ListenConfig) *Listener {
	t.Helper()
	l := opened(t, tb.ns, func() (*Listener, error) { return Listen(cfg) })
	t.Cleanup(func() { l.Close() })
	return l
}

// events reads what there is, and what comes within a fifth of a second of it.
func events(t testing.TB, l *Listener) []Event {
	t.Helper()
	var all []Event
	for {
		if err := l.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		err := l.Read(func(ev *Event) { all = append(all, *ev) })
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	l := listen(t, tb, ListenConfig{})
	e := snat4(1)
	e.TCP.State, e.Status = TCPSynSent, StatusConfirmed
	tb.put(e)
	later := snat4(1)
	tb.put(later)
	tb.writer.Delete(&later)
	tb.flush()
	all := events(t, l)
	if len(all) != 3 || all[0].Kind != New || all[1].Kind != Update || all[2].Kind != Destroy {
		t.Fatalf("%d events: %+v", len(all), all)
	}
	wantEntry(t, "new", e, all[0].Entry)
	wantEntry(t, "updated", later, all[1].Entry)
	gone := all[2].Entry
	if gone.Status&StatusDying == 0 {
		t.Errorf("destroyed: %+v", gone)
	}
	gone.Status &^= StatusDying
	gone.TCP.Flags, gone.TCP.WScale = told(later).TCP.Flags, later.TCP.WScale // are not told
	wantEntry(t, "destroyed", later, gone)
}

// TestEventsOfTraffic holds that events come of packets, too, and that those of
// a writer are not reported to who ignores it, while others' are.
func TestEventsOfTraffic(t *testing.T) {
	t.Parallel()
	netns.Require(t, "nft")
	tb := aTable(t)
	tb.rules(`
table inet fw {
	chain in { type filter hook input priority 0;
		ct state new accept; }
}`)
	other := newTable(t, tb.ns)
	l := listen(t, tb, ListenConfig{Ignore: []uint32{12345, tb.writer.PortID()}})
	tb.put(snat4(1))
	other.put(snat4(3))
	conn := opened(t, tb.ns, func() (net.Conn, error) { return net.Dial("udp", "127.0.0.1:9") })
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	all := events(t, l)
	if len(all) != 2 || all[0].Kind != New || all[0].Entry.Orig.SrcPort != 3 || all[1].Kind != New || all[1].Entry.Orig.Proto != ProtoUDP {
		t.Errorf("%d events, want one of another writer and one of traffic: %+v", len(all), all)
	}
	if n := len(tb.all()); n != 3 {
		t.Errorf("%d entries, want 3:%s", n, tb.list())
	}
}

// TestOverrun floods a listener that does not read. It must say so, after what it
// has still got, and hear all that comes afterwards.
func TestOverrun(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	l := listen(t, tb, ListenConfig{ReadBuffer: 64 << 10})
	for round := range 3 {
		tb.put(many(2000, false)...)
		all := events(t, l)
		if len(all) == 0 || len(all) > 1000 || all[len(all)-1].Kind != Overrun {
			t.Fatalf("round %d: %d events, the last %+v", round, len(all), all[len(all)-1:])
		}
		for i := range 20 {
			e := snat4(uint16(1 + 2*i))
			tb.put(e)
		}
		if all = events(t, l); len(all) != 20 {
			t.Fatalf("round %d: %d events after the overrun, want 20", round, len(all))
		}
		for i, ev := range all {
			if ev.Kind != New || ev.Entry.Orig.SrcPort != uint16(1+2*i) {
				t.Errorf("round %d: event %d is %+v", round, i, ev)
			}
		}
		tb.clear()
		if all = events(t, l); all[len(all)-1].Kind != Overrun {
			t.Errorf("round %d: no overrun by %d deletions", round, 2020)
		}
	}
}

func TestNoOverrun(t *testing.T) {
	tb := aTable(t)
	l := listen(t, tb, ListenConfig{})
	want := many(10_000, true)
	tb.put(want...) // nobody reads meanwhile
	all := events(t, l)
	if len(all) != len(want) {
		t.Fatalf("%d events, want %d", len(all), len(want))
	}
	for i, ev := range all {
		if ev.Kind != New || ev.Entry.Orig != want[i].Orig {
			t.Fatalf("event %d: %+v, want %v", i, ev, &want[i])
		}
	}
}

func TestListenerEnds(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	l := listen(t, tb, ListenConfig{})
	nop := func(*Event) {}
	ended := make(chan error)

	time.AfterFunc(20*time.Millisecond, func() { l.SetReadDeadline(time.Unix(1, 0)) })
	if err := l.Read(nop); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	tb.put(tcp4(2))
	if err := l.Read(nop); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline with an event that is there: %v", err)
	}
	l.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := l.Read(nop); err != nil {
		t.Errorf("the event, later: %v", err)
	}
	l.SetReadDeadline(time.Time{})
	go func() { ended <- l.Read(nop) }()
	time.Sleep(20 * time.Millisecond)
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while reading: %v", err)
	}
	if err := l.Read(nop); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}

	l = listen(t, tb, ListenConfig{})
	tb.put(tcp4(1))
	if err := l.Read(func(*Event) { l.Close() }); err != nil {
		t.Errorf("closed by the function: %v", err)
	}
}

func TestMalformedEvents(t *testing.T) {
	t.Parallel()
	s, kernel := fakeKernel(t)
	l := newListener(s)
	e := tcp4(1)
	cut := entryMessage(0, 0, &e)
	kernel.answer(header(msgDelete, 0, 0, []byte{familyIPv4, 0, 0, 0}), header(4711, 0, 0, nil), entryMessage(0, 0, &e))
	kernel.answer(cut[:len(cut)-8])
	var got []string
	for _, ev := range events(t, l) {
		got = append(got, fmt.Sprint(ev.Kind, " ", ev.Err))
	}
	want := []string{
		"malformed conntrack: malformed message: no TUPLE_ORIG",
		"update <nil>",
		fmt.Sprintf("malformed conntrack: read: malformed message: length %d, there are %d octets", len(cut), len(cut)-8),
		"overrun <nil>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLongEvents is about events with more in them than an Entry has fields for. Of one
// for which there is no room, the hole that it leaves is reported.
func TestLongEvents(t *testing.T) {
	t.Parallel()
	s, kernel := fakeKernel(t)
	l := newListener(s)
	e := tcp4(1)
	with := func(more int) []byte {
		return header(msgNew, 0, 0, append(appendAttr(fromKernel(&e), 0x3ff, more), make([]byte, more)...))
	}
	for _, row := range []struct {
		octets int
		want   []EventKind
	}{
		{0, []EventKind{Update, Update}},
		{15 << 10, []EventKind{Update, Update}},
		{16 << 10, []EventKind{Malformed, Update, Overrun}},
	} {
		kernel.answer(with(row.octets))
		kernel.answer(with(0))
		var got []EventKind
		if err := l.Read(func(ev *Event) { got = append(got, ev.Kind) }); err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%d octets more: %v, %v, want %v", row.octets, got, err, row.want)
		}
	}
}

func TestListenerDoesNotAllocate(t *testing.T) {
	s, kernel := fakeKernel(t)
	l := newListener(s)
	e := tcp4(1)
	msg := entryMessage(0, flagCreate, &e)
	n := 0
	count := func(*Event) { n++ }
	allocs := testing.AllocsPerRun(100, func() {
		for range 10 {
			if _, err := unix.Write(kernel.fd, msg); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Read(count); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 || n != 10*101 {
		t.Errorf("%v allocations by ten events, %d events", allocs, n)
	}
}
