package cli

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"
)

const (
	queueLines   = 1024
	flushTimeout = time.Second
)

// A Queue writes lines in a goroutine of its own, so that whoever logs never waits
// for a terminal that was stopped or a pipe that nobody reads. Lines for which
// there is no room are lost and counted.
type Queue struct {
	lines chan []byte
	quit  chan struct{}
	done  chan struct{}
	lost  atomic.Uint64
}

// NewQueue makes a queue in front of w. onLost is told, between two lines, how many
// were lost.
func NewQueue(w io.Writer, onLost func(n uint64)) *Queue {
	q := &Queue{lines: make(chan []byte, queueLines), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run(w, onLost)
	return q
}

// Write implements [io.Writer]. It never blocks and never fails.
func (q *Queue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.lost.Add(1)
	}
	return len(line), nil
}

// Flush waits until all lines are written, within reason, and ends the goroutine.
func (q *Queue) Flush() {
	close(q.quit)
	select {
	case <-q.done:
	case <-time.After(flushTimeout):
	}
}

func (q *Queue) run(w io.Writer, onLost func(uint64)) {
	defer close(q.done)
	write := func(line []byte) {
		w.Write(line) // there is nobody to tell of an error
		if n := q.lost.Swap(0); n > 0 {
			onLost(n)
		}
	}
	for {
		select {
		case line := <-q.lines:
			write(line)
			continue
		case <-q.quit:
		}
		for {
			select {
			case line := <-q.lines:
				write(line)
			default:
				return
			}
		}
	}
}
