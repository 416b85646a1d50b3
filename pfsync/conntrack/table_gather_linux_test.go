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
	if now.Sub(s.last) > time.Millisecond {
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

// TestTableGathers: of connections that begin one by one is not told one by one.
func TestTableGathers(t *testing.T) {
	kern := aTable(t)
	table := opened(t, kern.ns, func() (*Table, error) {
		return OpenTable(TableConfig{HostID: 1, Memory: pfsync.MemoryConfig{Limit: 1000}})
	})
	sink := new(groupSink)
	table.SetSink(sink)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- table.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	// wait waits until so many connections were told, and returns in how many groups.
	wait := func(n int) int {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			states, groups := sink.counts()
			if states == 2*n {
				return groups
			}
			if time.Now().After(end) {
				t.Fatalf("told of %d states, want %d", states, 2*n)
			}
		}
	}
	table.Adopted()
	kern.put(tcp4(1)) // found by the first dump, if not heard of
	before := wait(1)

	const n = 100
	began := time.Now()
	for i := range uint16(n) {
		kern.put(tcp4(2 + i))
		time.Sleep(3 * time.Millisecond)
	}
	groups, most := wait(1+n)-before, 2*int(time.Since(began)/Gather)
	if groups > most {
		t.Errorf("%d connections were told in %d groups, want at most %d", n, groups, most)
	}
}
