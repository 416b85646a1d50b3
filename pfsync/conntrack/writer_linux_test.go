package conntrack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// wantEntry compares an entry of the table with what was put there.
func wantEntry(t testing.TB, what string, want, got Entry) {
	t.Helper()
	got.ID = 0
	if late := want.Timeout - got.Timeout; late <= 2 { // seconds go by
		got.Timeout = want.Timeout
	}
	if diff := cmp.Diff(told(want), got, entryDiff); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantStats compares the counters, but for the number of batches.
func (tb *table) wantStats(what string, want Stats) {
	tb.t.Helper()
	got := tb.writer.Stats()
	got.Batches = 0
	if got != want {
		tb.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// only is the only entry of the table.
func (tb *table) only() Entry {
	tb.t.Helper()
	return tb.find(func(*Entry) bool { return true })
}

// TestWrite puts an entry of each kind into the table, again, by an update, and
// out, twice, and reads back what is there.
func TestWrite(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	var want Stats
	for name, e := range sample() {
		tb.put(e)
		want.Created++
		tb.wantStats(name+" put", want)
		wantEntry(t, name+" put", e, tb.only())

		e.Timeout = 1000
		tb.put(e)
		want.Updated++
		wantEntry(t, name+" put again", e, tb.only())

		e.Timeout, e.Mark = 2000, 7
		tb.writer.Update(&e)
		tb.flush()
		want.Updated++
		wantEntry(t, name+" updated", e, tb.only())

		tb.writer.Delete(&e)
		tb.flush()
		tb.writer.Delete(&e)
		tb.flush()
		want.Deleted++
		want.Missing++
		tb.wantStats(name+" deleted twice", want)

		tb.writer.Update(&e)
		tb.flush()
		want.Created++
		wantEntry(t, name+" updated though gone", e, tb.only())
		tb.writer.Delete(&e)
		tb.flush()
		want.Deleted++
		if n := len(tb.all()); n != 0 {
			t.Fatalf("%s: %d entries are left", name, n)
		}
	}
	tb.wantStats("all in all", want)
}

func TestReplace(t *testing.T) {
	t.Parallel()
	elsewhere := snat4(1)
	elsewhere.Reply.DstPort = 4000
	turned := tcp4(1)
	turned.Orig, turned.Reply = turned.Reply, turned.Orig
	for name, change := range map[string][2]Entry{
		"translated now":          {tcp4(1), snat4(1)},
		"not translated any more": {snat4(1), tcp4(1)},
		"to another port":         {snat4(1), elsewhere},
		"opened by the other end": {turned, tcp4(1)},
	} {
		tb := aTable(t)
		tb.put(change[0])
		tb.put(change[1])
		wantEntry(t, name, change[1], tb.only())
		tb.wantStats(name, Stats{Created: 1, Replaced: 1})
	}
}

// TestStatusIsKept holds that what the kernel would refuse to take away is not
// asked for in the end, and the rest of an update is carried out.
func TestStatusIsKept(t *testing.T) {
	t.Parallel()
	less := tcp4(1)
	less.Status, less.TCP.State, less.Timeout = StatusConfirmed, TCPSynSent, 100
	want := less
	want.Status = tcp4(1).Status
	expected := less
	expected.Status |= StatusExpected
	for _, e := range []Entry{less, expected} {
		tb := aTable(t)
		tb.put(tcp4(1))
		tb.put(e)
		wantEntry(t, "put", want, tb.only())
		tb.clear()
		tb.put(tcp4(1))
		tb.writer.Update(&e)
		tb.flush()
		wantEntry(t, "updated", want, tb.only())
		tb.wantStats("", Stats{Created: 2, Updated: 2})
	}
}

// TestOrder does different things to one connection in a row.
func TestOrder(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	e := tcp4(1)
	w := tb.writer
	for timeout := range uint32(3) {
		e.Timeout = 1000 + timeout
		if err := errors.Join(w.Upsert(&e), w.Delete(&e), w.Upsert(&e), w.Update(&e)); err != nil {
			t.Fatal(err)
		}
	}
	// The first of these takes three rounds, and must be done before the second.
	older := e
	older.Timeout = 5000
	if err := errors.Join(w.Upsert(&older), w.Update(&e)); err != nil {
		t.Fatal(err)
	}
	tb.flush()
	wantEntry(t, "at last", e, tb.only())
	tb.wantStats("", Stats{Created: 4, Updated: 7, Deleted: 3})
	if n := len(w.keys); n != 0 {
		t.Errorf("%d connections are remembered", n)
	}
}

// TestFailures mixes what cannot be written with what can.
func TestFailures(t *testing.T) {
	t.Parallel()
	var got []string
	var errs []error
	tb := aTable(t)
	ns := tb.ns
	w := opened(t, ns, func() (*Writer, error) {
		return OpenWriter(WriterConfig{Failed: func(op Op, e *Entry, err error) {
			got = append(got, err.Error())
			errs = append(errs, err)
		}})
	})
	defer w.Close()
	clash := snat4(2)
	clash.Reply.DstPort = 2 // of snat4(1)
	good1, good3 := snat4(1), snat4(3)
	noTimeout := tcp4(4)
	noTimeout.Timeout = 0
	err := errors.Join(w.Delete(&Entry{}), w.Upsert(&good1), w.Upsert(&clash), w.Upsert(&noTimeout),
		w.Update(&noTimeout), w.Upsert(&good3), w.Flush())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"conntrack: invalid entry: Orig needs two addresses of one family, has invalid IP and invalid IP",
		"conntrack: upsert: another connection has that translation",
		"conntrack: invalid entry: timeout 0, it would be gone at once",
		"conntrack: invalid entry: timeout 0, it would be gone at once",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if !errors.Is(errors.Join(errs...), ErrClash) {
		t.Error("none matches ErrClash")
	}
	stats := w.Stats()
	stats.Batches = 0
	if want := (Stats{Created: 2, Failed: 4, Clashed: 1}); stats != want {
		t.Errorf("%+v, want %+v", stats, want)
	}
	if n := len(tb.all()); n != 2 {
		t.Errorf("%d entries, want the two good ones:%s", n, tb.list())
	}
}

// TestKernelRefuses are the errors that the Writer reckons with.
func TestKernelRefuses(t *testing.T) {
	t.Parallel()
	message := func(flags uint16, e Entry, attrs func([]byte) []byte) []byte {
		b, start := openMessage(nil, msgNew, flagRequest|flags, 1, &e.Orig)
		b = e.appendTuple(b, ctaTupleOrig, e.Orig, ZoneOrig)
		b = e.appendTuple(b, ctaTupleReply, e.Orig.Inverse(), ZoneReply)
		return closeMessage(attrs(b), start)
	}
	status := func(s Status) func([]byte) []byte {
		return func(b []byte) []byte {
			b = appendUint32(b, ctaStatus, uint32(s))
			return appendUint32(b, ctaTimeout, 100)
		}
	}
	encoded := func(form func([]byte, uint32, *Entry) ([]byte, error), e Entry) []byte {
		b, err := form(nil, 1, &e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nat := func(b []byte) []byte {
		return appendNAT(b, ctaNATSrc, ProtoTCP, netip.MustParseAddr("198.51.100.1"), 5)
	}
	clash := snat4(2)
	clash.Reply.DstPort = 2

	const create = flagCreate | flagExcl
	for _, row := range []struct {
		name string
		msg  []byte
		want unix.Errno
	}{
		{"create without CONFIRMED", message(create, tcp4(9), status(StatusSeenReply|StatusAssured)), unix.EBUSY},
		{"create with status 0", message(create, tcp4(9), status(0)), unix.EBUSY},
		{"create with EXPECTED", message(create, tcp4(9), status(StatusExpected|StatusConfirmed)), unix.EBUSY},
		{"create without timeout", message(create, tcp4(9), func(b []byte) []byte { return b }), unix.EINVAL},
		{"update without CONFIRMED", message(0, snat4(1), status(StatusSeenReply|StatusAssured)), unix.EBUSY},
		{"update without ASSURED", message(0, snat4(1), status(StatusSeenReply|StatusConfirmed)), unix.EBUSY},
		{"update without SEEN_REPLY", message(0, snat4(1), status(StatusAssured|StatusConfirmed)), unix.EBUSY},
		{"update with NAT", message(0, snat4(1), nat), unix.EOPNOTSUPP},
		{"update of NAT bits", message(0, snat4(1), status(StatusSeenReply|StatusAssured|StatusConfirmed|StatusDstNAT)), 0},
		{"create what is there", encoded(AppendCreate, snat4(1)), unix.EEXIST},
		{"create what clashes", encoded(AppendCreate, clash), unix.EEXIST},
		{"update what is not there", encoded(AppendUpdate, tcp4(9)), unix.ENOENT},
		{"delete what is not there", encoded(AppendDelete, tcp4(9)), unix.ENOENT},
		{"get what is not there", encoded(AppendGet, tcp4(9)), unix.ENOENT},
	} {
		tb := aTable(t)
		tb.put(snat4(1))
		if got := tb.send(row.msg); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
		tb.only()
	}

	tb := aTable(t)
	atOnce := message(create, tcp4(9), func(b []byte) []byte {
		return appendUint32(appendUint32(b, ctaTimeout, 0), ctaStatus, uint32(StatusConfirmed))
	})
	if got := tb.send(atOnce); got != 0 || len(tb.all()) != 0 {
		t.Errorf("create with timeout 0: %v, and there is%s", got, tb.list())
	}
}

// TestSettle goes through the answers that a kernel gives only if somebody else
// writes the same entries, or in a state that a test cannot bring about.
func TestSettle(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	for _, row := range []struct {
		name string
		task task
		next msgKind
		good bool // for good
		err  error
		want Stats
	}{
		{"full", task{msg: createMsg, errno: unix.ENOMEM}, noMsg, false, ErrFull, Stats{}},
		{"not allowed", task{msg: createMsg, errno: unix.EPERM}, noMsg, false, unix.EPERM, Stats{}},
		{"exists after all", task{msg: createMsg, errno: unix.EEXIST, forGood: true}, noMsg, true, ErrClash, Stats{Clashed: 1}},
		{"changed to a clash", task{msg: createMsg, errno: unix.EEXIST, forGood: true, replaced: true}, noMsg, true, ErrClash, Stats{Clashed: 1}},
		{"gone while looked at", task{msg: getMsg, errno: unix.ENOENT}, createMsg, true, nil, Stats{}},
		{"not to be seen", task{msg: getMsg, errno: unix.EPERM}, noMsg, false, unix.EPERM, Stats{}},
		{"not to be read", task{msg: getMsg, invalid: other}, noMsg, false, other, Stats{}},
		{"gone while replaced", task{msg: deleteMsg, op: OpUpsert, errno: unix.ENOENT, replaced: true}, createMsg, true, nil, Stats{}},
		{"offloaded", task{msg: deleteMsg, op: OpDelete, errno: unix.EBUSY}, noMsg, false, unix.EBUSY, Stats{}},
		{"offloaded, not to be replaced", task{msg: deleteMsg, op: OpUpsert, errno: unix.EBUSY}, noMsg, false, unix.EBUSY, Stats{}},
		{"not to be updated", task{msg: updateMsg, errno: unix.EOPNOTSUPP}, noMsg, false, unix.EOPNOTSUPP, Stats{}},
	} {
		var sum Stats
		err := row.task.settle(&sum)
		if !errors.Is(err, row.err) || row.task.msg != row.next || row.task.forGood != row.good || sum != row.want {
			t.Errorf("%s: %v, %+v, %+v", row.name, err, row.task, sum)
		}
	}
}

// TestEndlessRace gives up on an entry that is never as it was a moment ago.
func TestEndlessRace(t *testing.T) {
	t.Parallel()
	// The kernel of this test says "busy" to each update, and then that the entry
	// is as we think.
	s, kernel := fakeKernel(t)
	var got []error
	w := &Writer{s: s, failed: func(_ Op, _ *Entry, err error) { got = append(got, err) }, keys: make(map[key]struct{})}
	w.exchange.init(s)
	e := tcp4(1)
	for seq := uint32(0); seq < 8; seq += 2 {
		kernel.answer(errorMessage(seq, unix.EBUSY))
		kernel.answer(entryMessage(seq+1, 0, &e), errorMessage(seq+1, 0))
	}
	if err := errors.Join(w.Update(&e), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !errors.Is(got[0], errRaced) || w.Stats() != (Stats{Failed: 1, Batches: 8}) {
		t.Errorf("%v, %+v", got, w.Stats())
	}
}

// TestAnswersLost takes the room for answers away.
func TestAnswersLost(t *testing.T) {
	t.Parallel()
	tb := aTable(t)
	entries := many(maxBatch, false)
	tb.put(entries...)
	tb.setBuffer(tb.writer.s, 1)
	for i := range entries {
		entries[i].Timeout = 1000
		tb.writer.Upsert(&entries[i])
	}
	if err := tb.writer.Flush(); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("without room for answers: %v", err)
	}
	tb.wantStats("without room for answers", Stats{Created: maxBatch, Overruns: 3})
	tb.setBuffer(tb.writer.s, answerBuffer)
	tb.put(entries...)
	tb.wantStats("with room again", Stats{Created: maxBatch, Updated: maxBatch, Overruns: 3})
	for _, e := range tb.all() {
		if e.Timeout > 1000 {
			t.Fatalf("not updated: %v", &e)
		}
	}

	// Two of them want to create the same. That the answers were lost must not
	// make it a clash.
	tb.clear()
	tb.setBuffer(tb.writer.s, 1)
	x := &tb.writer.exchange
	tasks := make([]task, len(entries))
	for i := range tasks {
		tasks[i] = task{op: OpUpsert, msg: createMsg, entry: entries[i%2], forGood: true}
	}
	if err := x.run(tasks, &Stats{}); err != unix.ENOBUFS || tasks[0].forGood {
		t.Errorf("without room for answers: %v, for good: %t", err, tasks[0].forGood)
	}
}

func (tb *table) setBuffer(s *socket, size int) {
	tb.t.Helper()
	var err error
	cerr := s.conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
	if err := errors.Join(cerr, err); err != nil {
		tb.t.Fatal(err)
	}
}

func TestNotAllowed(t *testing.T) {
	t.Parallel()
	s, kernel := fakeKernel(t)
	w := &Writer{s: s, keys: make(map[key]struct{})}
	w.exchange.init(s)
	kernel.answer(errorMessage(0, unix.EPERM)) // and nothing of the second
	a, b := tcp4(1), tcp4(2)
	if err := errors.Join(w.Upsert(&a), w.Upsert(&b), w.Flush()); !errors.Is(err, unix.EPERM) {
		t.Errorf("without privileges: %v", err)
	}
	if err := errors.Join(w.Upsert(&a), w.Flush()); err == nil || err.Error() != "conntrack: write: the kernel did not answer" {
		t.Errorf("without an answer: %v", err)
	}
	w.Close()
	if err := errors.Join(w.Upsert(&a), w.Flush()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := w.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	tb := aTable(t)
	entries := many(2*maxBatch, true)
	tb.put(entries...)
	n := testing.AllocsPerRun(10, func() {
		for i := range entries {
			tb.writer.Upsert(&entries[i])
		}
		tb.writer.Flush()
	})
	if n > 5 { // the map of keys settles
		t.Errorf("%v allocations for %d entries", n, len(entries))
	}
}

// A kernelEnd is the other end of a socket to a kernel that only says what a
// test tells it to.
type kernelEnd struct {
	t  testing.TB
	fd int
}

func fakeKernel(t testing.TB) (*socket, kernelEnd) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSocket(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(); unix.Close(fds[1]) })
	return s, kernelEnd{t, fds[1]}
}

// answer puts a datagram of messages where the socket will read it.
func (k kernelEnd) answer(msgs ...[]byte) {
	k.t.Helper()
	if _, err := unix.Write(k.fd, slices.Concat(msgs...)); err != nil {
		k.t.Fatal(err)
	}
}

// header is struct nlmsghdr in front of a body.
func header(typ, flags uint16, seq uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(nlHeaderLen+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

func errorMessage(seq uint32, errno unix.Errno) []byte {
	b := binary.NativeEndian.AppendUint32(nil, -uint32(errno))
	return header(msgError, 0, seq, append(b, make([]byte, nlHeaderLen)...))
}

func entryMessage(seq uint32, flags uint16, e *Entry) []byte {
	return header(msgNew, flags, seq, fromKernel(e))
}
