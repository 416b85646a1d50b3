package conntrack

import (
	"encoding/binary"
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// maxBatch is the most messages that are sent at once. The kernel works on
	// them for a few tenths of a millisecond, in which this thread does nothing
	// else; more would gain nothing.
	maxBatch = 256

	// answerBuffer is for all answers to a batch: the kernel gives them before
	// send returns.
	answerBuffer = 4 << 20
)

// An exchange sends the messages of tasks and collects the answers.
type exchange struct {
	s    *socket
	seq  uint32  // of the next message
	sent []*task // by sequence number
	out  []byte
	in   []byte
	got  Entry
}

func (x *exchange) init(s *socket) {
	x.s = s
	x.sent = make([]*task, 0, maxBatch)
	x.in = make([]byte, 64<<10)
}

// run sends the next message of each task that has one, and sets what came of it.
func (x *exchange) run(tasks []task, sum *Stats) error {
	for attempt := 0; ; attempt++ {
		err := x.once(tasks, sum)
		// Other goroutines, such as one with a timer that is due, may go first.
		runtime.Gosched()
		if err != unix.ENOBUFS {
			return err
		}
		// Some answers are lost. More would be, until the others have been read.
		sum.Overruns++
		if derr := x.s.drain(); derr != nil {
			return derr
		}
		if attempt == 2 {
			return err
		}
		// All messages can be sent twice, if only "exists" is then not taken for
		// somebody else's.
		for i := range tasks {
			tasks[i].forGood = false
		}
	}
}

// once sends a batch. The error is ENOBUFS if answers to it were lost.
func (x *exchange) once(tasks []task, sum *Stats) error {
	x.out, x.sent = x.out[:0], x.sent[:0]
	last := 0 // offset of the last message
	for i := range tasks {
		t := &tasks[i]
		if t.msg == noMsg {
			continue
		}
		off := len(x.out)
		t.errno = 0
		x.out, t.invalid = t.appendTo(x.out, x.seq+uint32(len(x.sent)))
		if t.invalid == nil {
			x.sent, last = append(x.sent, t), off
		}
	}
	if len(x.sent) == 0 {
		return nil
	}
	// Messages that fail are answered in any case. An acknowledgement of the last
	// one says that no more answers will come.
	flags := binary.NativeEndian.Uint16(x.out[last+6:])
	binary.NativeEndian.PutUint16(x.out[last+6:], flags|flagAck)
	first := x.seq
	x.seq += uint32(len(x.sent))
	sum.Batches++
	if err := x.s.send(x.out); err != nil {
		return err
	}
	for done := false; !done; {
		n, err := x.s.receive(x.in)
		if err == unix.EAGAIN {
			return x.silent()
		} else if err != nil {
			return err
		}
		if done, err = x.answers(x.in[:n], first); err != nil {
			return err
		}
	}
	return nil
}

// answers reads a datagram of answers to the messages from the sequence number
// first on, and reports whether the last message was answered.
func (x *exchange) answers(b []byte, first uint32) (done bool, err error) {
	for len(b) > 0 {
		var m message
		if m, b, err = nextMessage(b); err != nil {
			return false, err
		}
		i := m.seq - first
		if int64(i) >= int64(len(x.sent)) {
			continue
		}
		switch t := x.sent[i]; m.typ {
		case msgError:
			t.errno = m.errno()
			done = done || int(i) == len(x.sent)-1
		case msgNew: // the answer to a get
			if t.invalid = x.got.UnmarshalBinary(m.body); t.invalid != nil {
				continue
			}
			t.found = x.got.Status
			t.same = x.got.Orig == t.entry.Orig && x.got.Reply == t.entry.Reply
		}
	}
	return done, nil
}

// silent explains why the last message was not answered. For want of privileges
// the kernel does not look at a batch at all, and says so of the first message.
func (x *exchange) silent() error {
	if x.sent[0].errno == unix.EPERM {
		return unix.EPERM
	}
	return errors.New("the kernel did not answer")
}
