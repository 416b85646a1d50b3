package conntrack

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gocarp/gocarp/internal/netns"
)

// A table is the conntrack table of a namespace, and how tests reach it.
type table struct {
	t      testing.TB
	ns     *netns.NS
	dumper *Dumper
	writer *Writer
	failed []string // what the writer has reported
}

// opened returns what a function like OpenDumper opens in a namespace, or ends the test.
func opened[T any](t testing.TB, ns *netns.NS, open func() (T, error)) (v T) {
	t.Helper()
	var err error
	ns.Do(func() { v, err = open() })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newTable(t testing.TB, ns *netns.NS) *table {
	t.Helper()
	tb := &table{t: t, ns: ns}
	tb.dumper = opened(t, ns, func() (*Dumper, error) { return OpenDumper(Filter{}) })
	tb.writer = opened(t, ns, func() (*Writer, error) {
		return OpenWriter(WriterConfig{Failed: func(op Op, e *Entry, err error) {
			tb.failed = append(tb.failed, fmt.Sprintf("%v port %d: %v", op, e.Orig.SrcPort, err))
		}})
	})
	t.Cleanup(func() {
		if err := errors.Join(tb.dumper.Close(), tb.writer.Close()); err != nil {
			t.Error(err)
		}
	})
	return tb
}

// aTable is the table of a new namespace.
func aTable(t testing.TB) *table {
	t.Helper()
	return newTable(t, netns.New(t, "fw").NS("fw"))
}

// all returns what is in the table.
func (tb *table) all() []Entry {
	tb.t.Helper()
	var all []Entry
	if err := tb.dumper.Dump(tb.t.Context(), func(e *Entry) error { all = append(all, *e); return nil }); err != nil {
		tb.t.Fatal(err)
	}
	return all
}

// find returns the only entry for which want is true.
func (tb *table) find(want func(*Entry) bool) Entry {
	tb.t.Helper()
	var found []Entry
	for _, e := range tb.all() {
		if want(&e) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		tb.t.Fatalf("%s: %d entries, want 1: %v", tb.ns.Name, len(found), tb.list())
	}
	return found[0]
}

// list is the table as text.
func (tb *table) list() string {
	var b strings.Builder
	for _, e := range tb.all() {
		fmt.Fprintf(&b, "\n  %v", &e)
	}
	return b.String()
}

// put upserts entries, which must not fail.
func (tb *table) put(entries ...Entry) {
	tb.t.Helper()
	for i := range entries {
		if err := tb.writer.Upsert(&entries[i]); err != nil {
			tb.t.Fatal(err)
		}
	}
	tb.flush()
}

func (tb *table) flush() {
	tb.t.Helper()
	if err := tb.writer.Flush(); err != nil {
		tb.t.Fatal(err)
	}
	if len(tb.failed) > 0 {
		tb.t.Fatalf("%s: not written: %q", tb.ns.Name, tb.failed)
	}
}

// clear empties the table.
func (tb *table) clear() {
	tb.t.Helper()
	b, start := openMessage(nil, msgDelete, flagRequest, 0, &Tuple{})
	if got := tb.send(closeMessage(b, start)); got != 0 {
		tb.t.Fatal(got)
	}
}

// send sends one message past the Writer, and returns the kernel's verdict.
func (tb *table) send(msg []byte) unix.Errno {
	tb.t.Helper()
	s := opened(tb.t, tb.ns, func() (*socket, error) { return openSocket(answerBuffer) })
	defer s.close()
	msg[6] |= flagAck
	if err := s.send(msg); err != nil {
		tb.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := s.receive(b)
	if err != nil {
		tb.t.Fatal(err)
	}
	m, _, err := nextMessage(b[:n])
	if err != nil || m.typ != msgError {
		tb.t.Fatalf("answer of type %d, %v", m.typ, err)
	}
	return m.errno()
}

// rules loads nft rules.
func (tb *table) rules(text string) {
	tb.t.Helper()
	tb.ns.Run("nft", text)
}
