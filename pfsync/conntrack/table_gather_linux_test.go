package conntrack

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gocarp/gocarp/pfsync"
)

// A groupSink counts what it is told, and the groups in which that comes.
type groupSink struct {
	mu             sync.Mutex
	states, groups int
	last           time.Time
}

func (s *groupSink) Inserted(pfsync.StateID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last) > Gather/4 {
		s.groups++
	}
	s.last = now
	s.states++
}

func (*groupSink) Updated(pfsync.StateID, uint8) {}
func (*groupSink) Deleted(pfsync.StateID)        {}
func (*groupSink) Expired(pfsync.StateID)        {}
func (*groupSink) Flush(context.Context) error   { return nil }

func (s *groupSink) counts() (states, groups int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states, s.groups
}

// aGatherer is a table that runs and has told of one connection.
func aGatherer(t *testing.T) (kern *table, mirror *Table, sink *groupSink) {
	t.Helper()
	kern = aTable(t)
	mirror = opened(t, kern.ns, func() (*Table, error) {
		return OpenTable(TableConfig{HostID: 1, Memory: pfsync.MemoryConfig{Limit: 1000}})
	})
	sink = new(groupSink)
	mirror.SetSink(sink)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mirror.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	mirror.Adopted()
	kern.put(tcp4(1)) // found by the first dump, if not heard of
	sink.wait(t, 1)
	return kern, mirror, sink
}

// wait waits until so many connections were told, and returns in how many groups.
func (s *groupSink) wait(t *testing.T, n int) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		states, groups := s.counts()
		if states == 2*n {
			return groups
		}
		if time.Now().After(end) {
			t.Fatalf("told of %d states, want %d", states, 2*n)
		}
	}
}

// TestTableGathers: of connections that begin one by one is not told one by one.
func TestTableGathers(t *testing.T) {
	kern, _, sink := aGatherer(t)
	_, before := sink.counts()
	const n = 100
	began := time.Now()
	for i := range uint16(n) {
		kern.put(tcp4(2 + i))
		time.Sleep(3 * time.Millisecond)
	}
	groups, most := sink.wait(t, 1+n)-before, 2*int(time.Since(began)/Gather)
	if groups > most {
		t.Errorf("%d connections were told in %d groups, want at most %d", n, groups, most)
	}
}

// TestTableCatchUp: what the kernel knew before is told when CatchUp returns, in a pause
// and while the table waits for events.
func TestTableCatchUp(t *testing.T) {
	kern, mirror, sink := aGatherer(t)
	for i := range uint16(200) {
		if i%20 == 0 {
			time.Sleep(2 * Gather)
		}
		kern.put(tcp4(2 + i))
		if err := mirror.CatchUp(); err != nil {
			t.Fatal(err)
		}
		if states, _ := sink.counts(); states != 2*int(2+i) {
			t.Fatalf("connection %d: told of %d states, want %d", i, states, 2*(2+i))
		}
	}
}
