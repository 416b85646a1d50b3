package conntrack

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDumpMany(t *testing.T) {
	tb := aTable(t)
	const n = 100_000
	want := make(map[Tuple]bool, n)
	start := time.Now()
	for _, e := range many(n, true) {
		want[e.Orig] = true
		if err := tb.writer.Upsert(&e); err != nil {
			t.Fatal(err)
		}
	}
	tb.flush()
	t.Logf("%d entries made and put in %v", n, time.Since(start))
	tb.wantStats("", Stats{Created: n})

	start = time.Now()
	for _, e := range tb.all() {
		if to, ok := e.SNAT(); !want[e.Orig] || !ok || to.Port() != e.Orig.SrcPort || e.TCP.State != TCPEstablished {
			t.Fatalf("nobody has put %v, or twice", &e)
		}
		delete(want, e.Orig)
	}
	t.Logf("read in %v", time.Since(start))
	if len(want) != 0 {
		t.Errorf("%d entries are missing", len(want))
	}
	allocs := testing.AllocsPerRun(1, func() {
		tb.dumper.Dump(t.Context(), func(*Entry) error { return nil })
	})
	if allocs > 5 {
		t.Errorf("%v allocations by a dump", allocs)
	}
}

// TestDumpAbandoned ends dumps half-way. The next one must be whole.
func TestDumpAbandoned(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	const n = 5000
	tb.put(many(n, false)...)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, dump := range map[string]func() error{
		"by the function": func() error { return tb.dumper.Dump(t.Context(), func(*Entry) error { return stop }) },
		"by the context": func() error {
			return tb.dumper.Dump(ctx, func(*Entry) error { cancel(); return nil })
		},
	} {
		if err := dump(); err != stop && err != context.Canceled {
			t.Errorf("ended %s: %v", name, err)
		}
		if got := len(tb.all()); got != n {
			t.Errorf("after one that was ended %s: %d entries, want %d", name, got, n)
		}
	}
	if err := tb.dumper.Dump(ctx, func(*Entry) error { return nil }); err != context.Canceled {
		t.Errorf("with a context that is done: %v", err)
	}
}

func TestDumpFilter(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	for i, mark := range []uint32{0, 1, 2, 0x102} {
		for zone := range uint16(2) {
			e := tcp4(uint16(100*i + 1))
			e.Mark, e.Zone = mark, 5*zone
			tb.put(e)
		}
	}
	half := snat4(1)
	half.Zone, half.ZoneDir = 5, ZoneOrig
	half.Orig.SrcPort = 999
	tb.put(half)

	for _, row := range []struct {
		f    Filter
		want int
	}{
		{Filter{}, 9},
		{Filter{Mark: 2, MarkMask: 0xff}, 4},
		{Filter{Mark: 2, MarkMask: 1<<32 - 1}, 2},
		{Filter{MarkMask: 1<<32 - 1}, 3},
		{Filter{Mark: 1}, 9},
		{Filter{InZone: true, Zone: 5}, 4},
		{Filter{InZone: true}, 4},
		{Filter{InZone: true, Zone: 4}, 0},
		{Filter{InZone: true, Zone: 5, Mark: 1, MarkMask: 1}, 1},
	} {
		d := opened(t, tb.ns, func() (*Dumper, error) { return OpenDumper(row.f) })
		n := 0
		if err := d.Dump(t.Context(), func(*Entry) error { n++; return nil }); err != nil || n != row.want {
			t.Errorf("%+v: %d entries, %v, want %d", row.f, n, err, row.want)
		}
		d.Close()
	}
}

// TestDumpProto dumps protocols of both families, one after the other with one Dumper,
// and holds that it is the kernel that leaves out the others, if it can.
func TestDumpProto(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	udp6 := tcp6(2)
	udp6.TCP = TCP{}
	udp6.Orig.Proto, udp6.Reply.Proto = ProtoUDP, ProtoUDP
	udp6.Mark = 7
	kinds := sample()
	tb.put(tcp4(1), tcp4(3), tcp6(1), udp6, kinds["udp"], kinds["icmp"], kinds["icmp6"])

	d := opened(t, tb.ns, func() (*Dumper, error) { return OpenDumper(Filter{Proto: ProtoUDP}) })
	defer d.Close()
	for _, row := range []struct {
		f      Filter
		v4, v6 int
	}{
		{Filter{Proto: ProtoUDP}, 1, 1},
		{Filter{Proto: ProtoTCP}, 2, 1},
		{Filter{Proto: ProtoICMP}, 1, 0},
		{Filter{Proto: ProtoICMPv6}, 0, 1},
		{Filter{Proto: ProtoGRE}, 0, 0},
		{Filter{Proto: ProtoUDP, Mark: 7, MarkMask: 0xff}, 0, 1},
		{Filter{Proto: ProtoUDP, InZone: true, Zone: 5}, 0, 0},
		{Filter{}, 4, 3},
	} {
		for _, noProto := range []bool{false, true} {
			d.SetFilter(row.f)
			d.noProto = noProto
			var v4, v6 int
			err := d.Dump(t.Context(), func(e *Entry) error {
				if e.Orig.Src.Is4() {
					v4++
				} else {
					v6++
				}
				return nil
			})
			if err != nil || v4 != row.v4 || v6 != row.v6 || d.noProto != noProto {
				t.Errorf("%+v: %d and %d entries, %v, want %d and %d; without the kernel's help: %v, now %v",
					row.f, v4, v6, err, row.v4, row.v6, noProto, d.noProto)
			}
		}
	}

	// What the kernel sends, before the Dumper looks at it.
	d.SetFilter(Filter{Proto: ProtoUDP})
	d.noProto = false
	d.request(familyIPv4)
	if err := d.s.send(d.req); err != nil {
		t.Fatal(err)
	}
	n, err := d.s.receive(d.buf)
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for rest := d.buf[:n]; len(rest) > 0; {
		var m message
		if m, rest, err = nextMessage(rest); err != nil {
			t.Fatal(err)
		}
		if m.typ == msgNew {
			entries++
		}
	}
	if entries != 1 {
		t.Errorf("the kernel sent %d entries, want 1", entries)
	}
}

// TestDumpRefused is about kernels that do not filter by protocol: one says so, and
// one gives everything of a family. The Dumper asks once only.
func TestDumpRefused(t *testing.T) {
	t.Parallel()
	tcp, udp := tcp4(1), sample()["udp"]
	done := func(seq uint32) []byte { return header(msgDone, 0, seq, make([]byte, 4)) }
	for _, errno := range []unix.Errno{0, unix.EOPNOTSUPP, unix.EINVAL} {
		s, kernel := fakeKernel(t)
		d := &Dumper{s: s, filter: Filter{Proto: ProtoUDP}, ended: true, buf: make([]byte, dumpBuffer)}
		seq := uint32(1)
		if errno != 0 {
			kernel.answer(errorMessage(seq, errno))
			seq++
		}
		for range 2 {
			kernel.answer(entryMessage(seq, 0, &tcp), entryMessage(seq, 0, &udp), done(seq))
			kernel.answer(done(seq + 1))
			seq += 2
			n := 0
			err := d.Dump(t.Context(), func(e *Entry) error { n++; return nil })
			if err != nil || n != 1 || d.noProto != (errno != 0) {
				t.Errorf("kernel that answers %v: %d entries, %v, want 1; given up asking: %v", errno, n, err, d.noProto)
			}
		}
	}

	// What was refused for another reason remains so.
	s, kernel := fakeKernel(t)
	d := &Dumper{s: s, filter: Filter{Proto: ProtoUDP}, ended: true, buf: make([]byte, dumpBuffer)}
	kernel.answer(errorMessage(1, unix.EINVAL))
	kernel.answer(errorMessage(2, unix.EINVAL))
	if err := d.Dump(t.Context(), func(*Entry) error { return nil }); !errors.Is(err, unix.EINVAL) {
		t.Errorf("refused twice: %v", err)
	}
}

// TestDumpAnswers is about what a kernel cannot be made to say.
func TestDumpAnswers(t *testing.T) {
	t.Parallel()
	e := tcp4(1)
	entry := func(seq uint32, flags uint16) []byte { return entryMessage(seq, flags, &e) }
	done := func(seq uint32, flags uint16) []byte { return header(msgDone, flags, seq, make([]byte, 4)) }
	broken := header(msgNew, 0, 1, fromKernel(&e)[:32])
	cut := entry(1, 0)
	cut = cut[:len(cut)-8]
	for _, row := range []struct {
		name    string
		answers [][]byte
		n       int
		want    error
	}{
		{"whole", [][]byte{entry(1, 0), done(1, 0)}, 1, nil},
		{"entries of an earlier dump", [][]byte{entry(0, 0), done(0, 0), entry(1, 0), done(1, 0)}, 1, nil},
		{"interrupted", [][]byte{entry(1, flagDumpIntr), entry(1, 0), done(1, 0)}, 2, ErrInterrupted},
		{"interrupted at the end", [][]byte{entry(1, 0), done(1, flagDumpIntr)}, 1, ErrInterrupted},
		{"refused", [][]byte{errorMessage(1, unix.EPERM)}, 0, unix.EPERM},
		{"failed at the end", [][]byte{entry(1, 0), header(msgDone, 0, 1, errorMessage(1, unix.ENOMEM)[nlHeaderLen:])}, 1, unix.ENOMEM},
		{"an entry that cannot be read", [][]byte{entry(1, 0), broken, entry(1, 0), done(1, 0)}, 2, ErrMalformed},
		{"cut", [][]byte{entry(1, 0), cut}, 1, ErrMalformed},
	} {
		s, kernel := fakeKernel(t)
		d := &Dumper{s: s, ended: true, buf: make([]byte, dumpBuffer)}
		kernel.answer(row.answers...)
		n := 0
		if err := d.Dump(t.Context(), func(*Entry) error { n++; return nil }); !errors.Is(err, row.want) || n != row.n {
			t.Errorf("%s: %d entries, %v, want %d, %v", row.name, n, err, row.n, row.want)
		}
	}

	s, kernel := fakeKernel(t)
	d := &Dumper{s: s, ended: true, buf: make([]byte, dumpBuffer)}
	kernel.answer(entry(1, 0))
	nop := func(*Entry) error { return nil }
	const want = "conntrack: dump: the kernel did not answer to the end"
	if err := d.Dump(t.Context(), nop); err == nil || err.Error() != want {
		t.Errorf("without an end: %v", err)
	}
	kernel.answer(entry(2, 0), done(2, 0))
	if err := d.Dump(t.Context(), nop); err != nil {
		t.Errorf("after one without an end: %v", err)
	}
	d.Close()
	if err := d.Dump(t.Context(), nop); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
