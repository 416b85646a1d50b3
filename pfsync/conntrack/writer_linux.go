package conntrack

import (
	"errors"
	"fmt"
	"sync"
)

// Why an entry could not be written, beside the kernel's error numbers and
// [ErrInvalid].
var (
	// ErrClash: another connection has the tuple of the answers, because two
	// hosts have given two clients the same port. The session is lost.
	ErrClash = errors.New("another connection has that translation")

	// ErrFull: the sysctl nf_conntrack_max is reached, or there is no memory.
	ErrFull = errors.New("the table is full")

	errRaced = errors.New("somebody else keeps changing it")
)

// An Op is what a [Writer] was asked for.
type Op uint8

// The operations of a Writer.
const (
	OpUpsert Op = iota + 1
	OpUpdate
	OpDelete
)

var opNames = [...]string{OpUpsert: "upsert", OpUpdate: "update", OpDelete: "delete"}

// String is the operation in lower case.
func (o Op) String() string { return name(opNames[:], uint8(o)) }

// WriterConfig is for [OpenWriter].
type WriterConfig struct {
	// Failed, if there is one, hears of each entry that could not be written. It
	// is called by the methods of the Writer, and must not call them. The entry is
	// only its own during the call.
	Failed func(Op, *Entry, error)
}

// Stats counts what became of the entries handed to a [Writer].
type Stats struct {
	Created  uint64 // entries that were not there
	Updated  uint64 // entries that were there
	Replaced uint64 // entries that were there, with another translation: deleted and created
	Deleted  uint64
	Missing  uint64 // deletions of what was not there, which is as good
	Failed   uint64 // see WriterConfig.Failed; Clashed are among them
	Clashed  uint64 // ErrClash
	Batches  uint64 // of messages sent to the kernel
	Overruns uint64 // batches whose answers got lost; they are sent again, twice at most
}

// A Writer changes the conntrack table of a network namespace, in batches. It is
// not safe for concurrent use, but for Stats and Close.
//
// The methods return an error only if the Writer as a whole cannot go on.
type Writer struct {
	s      *socket
	failed func(Op, *Entry, error)

	// queue holds the tasks of the next batch, each for another connection, so
	// their order does not matter: keys are those connections.
	queue []task
	keys  map[key]struct{}

	exchange exchange

	mu    sync.Mutex
	stats Stats
}

// A key tells connections apart.
type key struct {
	orig Tuple
	zone uint16
	dir  ZoneDir
}

// OpenWriter opens a Writer in the network namespace of the calling thread.
func OpenWriter(cfg WriterConfig) (*Writer, error) {
	s, err := openSocket(answerBuffer)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		s:      s,
		failed: cfg.Failed,
		queue:  make([]task, 0, maxBatch),
		keys:   make(map[key]struct{}, maxBatch),
	}
	w.exchange.init(s)
	return w, nil
}

// PortID is what the kernel calls this Writer in the events that it causes. See
// [ListenConfig].
func (w *Writer) PortID() uint32 { return w.s.port }

// Stats returns the counters. What is queued is not in them yet.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Close closes the Writer. What is queued is lost; a method that is running, or
// called later, fails with an error that matches [net.ErrClosed].
func (w *Writer) Close() error { return w.s.close() }

// Upsert makes the table have e, whatever it has now: an entry that is there is
// updated, or, if its translation is another one, replaced. It queues a copy of
// e, and sends the queue if that is full, or has that connection already.
func (w *Writer) Upsert(e *Entry) error { return w.add(OpUpsert, createMsg, e) }

// Update is Upsert for an entry that is believed to be there with the same
// translation, which it does not look at; of the two it is the faster one then.
func (w *Writer) Update(e *Entry) error { return w.add(OpUpdate, updateMsg, e) }

// Delete makes the table not have the connection with e.Orig. It queues like Upsert.
func (w *Writer) Delete(e *Entry) error { return w.add(OpDelete, deleteMsg, e) }

func (w *Writer) add(op Op, msg msgKind, e *Entry) error {
	k := key{e.Orig, e.Zone, e.ZoneDir}
	if _, twice := w.keys[k]; twice || len(w.queue) == maxBatch {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	w.keys[k] = struct{}{}
	w.queue = append(w.queue, task{op: op, msg: msg, entry: *e})
	return nil
}

// Flush carries out what is queued. When it returns, each entry is in the table,
// or not, as it was asked for, or was reported as failed. If it returns an error,
// what was queued is given up.
func (w *Writer) Flush() error {
	defer func() {
		w.queue = w.queue[:0]
		clear(w.keys)
	}()
	// Each round sends the next message of every task that needs one more.
	// Mostly one round is all, and three if the kernel has another opinion of
	// what is there; more of them only if somebody else writes the same entries.
	const maxRounds = 8
	for round, open := 0, len(w.queue); open > 0; round++ {
		var sum Stats
		err := w.exchange.run(w.queue, &sum)
		if err == nil {
			open = w.settle(round == maxRounds-1, &sum)
		}
		w.mu.Lock()
		w.stats.add(&sum)
		w.mu.Unlock()
		if err != nil {
			return fmt.Errorf("conntrack: write: %w", err)
		}
	}
	return nil
}

// settle looks at the answers of a round, and returns how many tasks need another.
func (w *Writer) settle(final bool, sum *Stats) (open int) {
	for i := range w.queue {
		t := &w.queue[i]
		if t.msg == noMsg {
			continue
		}
		err := t.settle(sum)
		if final && t.msg != noMsg {
			t.msg, err = noMsg, t.fail(errRaced)
		}
		switch {
		case t.msg != noMsg:
			open++
		case err != nil:
			sum.Failed++
			if w.failed != nil {
				w.failed(t.op, &t.entry, err)
			}
		}
	}
	return open
}

func (s *Stats) add(o *Stats) {
	s.Created += o.Created
	s.Updated += o.Updated
	s.Replaced += o.Replaced
	s.Deleted += o.Deleted
	s.Missing += o.Missing
	s.Failed += o.Failed
	s.Clashed += o.Clashed
	s.Batches += o.Batches
	s.Overruns += o.Overruns
}
