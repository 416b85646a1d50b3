package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const defaultEventBuffer = 16 << 20

// An EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of events.
const (
	New     EventKind = iota + 1 // Entry is new in the table
	Update                       // Entry has changed: its status, or its TCP state
	Destroy                      // Entry is gone; of TCP only the last state is known

	// Overrun: events were lost, because Read was not called often enough. All
	// that came before it are older than a dump that is made from now on, and
	// none that comes after it is missed by it: dump the table.
	Overrun

	// Malformed: Err says why an event could not be read.
	Malformed
)

var eventNames = [...]string{New: "new", Update: "update", Destroy: "destroy", Overrun: "overrun", Malformed: "malformed"}

// String is the kind in lower case.
func (k EventKind) String() string { return name(eventNames[:], uint8(k)) }

// An Event is a change of the conntrack table.
type Event struct {
	Kind  EventKind
	Entry Entry // New, Update, Destroy
	Err   error // Malformed
}

// ListenConfig is for [Listen].
type ListenConfig struct {
	// ReadBuffer is how many octets of events the kernel keeps for us; an event
	// takes about 1 KiB of it. The default is 16 MiB, and the kernel doubles it.
	ReadBuffer int

	// Ignore are the [Writer.PortID] of the writers whose changes are not
	// reported. Two hosts that mirror each other would otherwise echo each
	// change for ever.
	Ignore []uint32
}

// A Listener hears of changes of the conntrack table of a network namespace.
type Listener struct {
	s     *socket
	in    *datagrams // of one event each
	err   error
	fill  func(fd uintptr)
	event Event
}

// Listen opens a Listener in the network namespace of the calling thread. It
// misses nothing from here on, except, with the sysctl nf_conntrack_events at its
// default of 2, connections that were opened before there was any listener on the
// machine: see [Sysctl.EnableEvents].
func Listen(cfg ListenConfig) (*Listener, error) {
	if cfg.ReadBuffer == 0 {
		cfg.ReadBuffer = defaultEventBuffer
	}
	s, err := openSocket(cfg.ReadBuffer)
	if err != nil {
		return nil, err
	}
	l := newListener(s)
	if err := l.subscribe(cfg.Ignore); err != nil {
		s.close()
		return nil, fmt.Errorf("conntrack: listen: %w", err)
	}
	return l, nil
}

func newListener(s *socket) *Listener {
	l := &Listener{s: s, in: newDatagrams()}
	l.fill = func(fd uintptr) { l.err = l.in.receive(fd) }
	return l
}

func (l *Listener) subscribe(ignore []uint32) error {
	var err error
	cerr := l.s.conn.Control(func(fd uintptr) {
		if len(ignore) > 0 {
			filter := ignoreFilter(ignore)
			prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
			if err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
				return
			}
		}
		for _, group := range []int{unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_UPDATE, unix.NFNLGRP_CONNTRACK_DESTROY} {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
				return
			}
		}
	})
	return errors.Join(cerr, err)
}

// ignoreFilter drops messages by nlmsg_pid, which names the socket that has
// caused them. That the kernel does it matters on a standby: there nearly all
// events are echoes, and reading them costs more than the writing did.
func ignoreFilter(ports []uint32) []unix.SockFilter {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12}}
	for _, p := range ports {
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], p)
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: binary.BigEndian.Uint32(b[:])},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
	}
	return append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1})
}

// SetReadDeadline makes Read, also one that is waiting, fail with
// [os.ErrDeadlineExceeded] when t has come. The zero time is none.
func (l *Listener) SetReadDeadline(t time.Time) error { return l.s.conn.SetReadDeadline(t) }

// Close closes the Listener. A Read that is waiting, or called later, fails with
// [net.ErrClosed].
func (l *Listener) Close() error { return l.s.close() }

// Read waits for events and calls fn for each that is there, a few dozen at most,
// in their order. The event is only fn's during the call. Read is for one
// goroutine; fn may call Close.
func (l *Listener) Read(fn func(*Event)) error {
	for {
		if err := l.failed(l.s.conn.Check()); err != nil {
			return err
		}
		if n, err := l.poll(fn); n > 0 || err != nil {
			return err
		}
		if err := l.wait(); err != nil {
			return err
		}
	}
}

// wait waits for events, also while another goroutine polls.
func (l *Listener) wait() error { return l.failed(l.s.conn.Wait()) }

func (l *Listener) failed(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("conntrack: read: %w", os.ErrDeadlineExceeded)
	case errors.Is(err, os.ErrClosed):
		return fmt.Errorf("conntrack: read: %w", net.ErrClosed)
	case err != nil:
		return fmt.Errorf("conntrack: read: %w", err)
	}
	return nil
}

// poll is Read without waiting. It returns how many datagrams there were, an overrun
// being one.
func (l *Listener) poll(fn func(*Event)) (n int, err error) {
	if l.s.conn.Control(l.fill) != nil {
		return 0, fmt.Errorf("conntrack: read: %w", net.ErrClosed)
	}
	if l.err == unix.EAGAIN {
		return 0, nil
	}
	for i := range l.in.n {
		l.read(l.in.at(i), fn)
	}
	switch l.err {
	case nil:
		return l.in.n, nil
	case unix.ENOBUFS:
		// The kernel drops all that comes until the queue is empty, so what is
		// left of it delays the end of the hole, and tells less than a dump will.
		if err := l.s.drain(); err != nil {
			return l.in.n, fmt.Errorf("conntrack: read: %w", err)
		}
		l.event = Event{Kind: Overrun}
		fn(&l.event)
		return max(l.in.n, 1), nil
	}
	return l.in.n, fmt.Errorf("conntrack: read: %w", l.err)
}

// read calls fn for the events in a datagram.
func (l *Listener) read(b []byte, fn func(*Event)) {
	for len(b) > 0 {
		var m message
		var err error
		if m, b, err = nextMessage(b); err != nil {
			l.event = Event{Kind: Malformed, Err: fmt.Errorf("conntrack: read: %w", err)}
			fn(&l.event)
			l.err = unix.ENOBUFS // what it was about is lost
			return
		}
		if l.event.parse(&m) {
			fn(&l.event)
		}
	}
}

// parse makes m an event, and reports false if it is none.
func (ev *Event) parse(m *message) bool {
	ev.Err = nil
	switch {
	case m.typ == msgNew && m.flags&flagCreate != 0:
		ev.Kind = New
	case m.typ == msgNew:
		ev.Kind = Update
	case m.typ == msgDelete:
		ev.Kind = Destroy
	default:
		return false
	}
	if err := ev.Entry.UnmarshalBinary(m.body); err != nil {
		*ev = Event{Kind: Malformed, Err: err}
	}
	return true
}
