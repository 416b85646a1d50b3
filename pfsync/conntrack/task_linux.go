package conntrack

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A msgKind is a kind of message to the kernel.
type msgKind uint8

const (
	noMsg msgKind = iota // the task is done
	createMsg
	updateMsg
	deleteMsg
	getMsg
)

// A task is the way of one entry into the table, or out of it:
//
//	Upsert: create -EEXIST-> get -same translation-----> update
//	                             -another one-> delete -> create, for good
//	                             -ENOENT----------------> create, for good
//	Update: update -ENOENT-> create, as above
//	               -EBUSY--> get, as above
//	Delete: delete
//
// "For good": if that fails with EEXIST as well, it is the tuple of the answers
// that is taken.
type task struct {
	op    Op
	msg   msgKind // the message to send next
	entry Entry

	forGood  bool
	replaced bool // an entry with another translation was deleted

	// What came of the message.
	invalid error // it could not be made, or its answer not be read
	errno   unix.Errno
	found   Status // of the entry that getMsg has found
	same    bool   // and whether that has the same direction and translation
}

// appendTo appends the task's next message.
func (t *task) appendTo(b []byte, seq uint32) ([]byte, error) {
	switch t.msg {
	case createMsg:
		return AppendCreate(b, seq, &t.entry)
	case updateMsg:
		return AppendUpdate(b, seq, &t.entry)
	case deleteMsg:
		return AppendDelete(b, seq, &t.entry)
	}
	return AppendGet(b, seq, &t.entry)
}

// settle looks at what came of a message, and sets the next one. The error is
// the task's end.
func (t *task) settle(sum *Stats) error {
	if t.invalid != nil {
		t.msg = noMsg
		return t.invalid
	}
	msg, errno := t.msg, t.errno
	t.msg = noMsg
	switch msg {
	case createMsg:
		switch {
		case errno == 0 && t.replaced:
			sum.Replaced++
			return nil
		case errno == 0:
			sum.Created++
			return nil
		case errno == unix.EEXIST && t.forGood:
			sum.Clashed++
			return t.fail(ErrClash)
		case errno == unix.EEXIST:
			t.msg = getMsg
			return nil
		case errno == unix.ENOMEM:
			return t.fail(ErrFull)
		}
	case updateMsg:
		switch errno {
		case 0:
			sum.Updated++
			return nil
		case unix.ENOENT:
			t.msg = createMsg
			return nil
		case unix.EBUSY: // it would lose SeenReply or Assured, or change Expected
			t.msg = getMsg
			return nil
		}
	case getMsg:
		switch {
		case errno == unix.ENOENT:
			t.msg, t.forGood = createMsg, true
			return nil
		case errno == 0 && t.same:
			t.msg = updateMsg
			t.entry.Status = t.entry.Status&^StatusExpected | t.found&(StatusSeenReply|StatusAssured|StatusExpected)
			return nil
		case errno == 0:
			t.msg, t.replaced = deleteMsg, true
			return nil
		}
	case deleteMsg:
		gone := errno == 0 || errno == unix.ENOENT
		switch {
		case gone && t.op != OpDelete:
			t.msg, t.forGood = createMsg, true
			return nil
		case gone && errno == 0:
			sum.Deleted++
			return nil
		case gone:
			sum.Missing++
			return nil
		}
	}
	return t.fail(errno)
}

func (t *task) fail(err error) error { return fmt.Errorf("conntrack: %v: %w", t.op, err) }
