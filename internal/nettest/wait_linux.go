package nettest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gocarp/gocarp/internal/netns"
)

// patience is how long what has to happen may take.
const patience = 5 * time.Second

// Open opens something in a namespace and closes it with the test.
func Open[C io.Closer](t testing.TB, ns *netns.NS, open func() (C, error)) C {
	t.Helper()
	var c C
	var err error
	ns.Do(func() { c, err = open() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// Read hands on what read returns, which it calls in another goroutine until that
// says [net.ErrClosed].
func Read[P any](t testing.TB, read func() ([]P, error)) <-chan P {
	in, done := make(chan P), make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		defer close(in)
		for {
			list, err := read()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					panic(err)
				}
				return
			}
			for _, p := range list {
				select {
				case in <- p:
				case <-done:
					return
				}
			}
		}
	}()
	return in
}

// Next waits for a packet.
func Next[P any](t testing.TB, in <-chan P, what string) (p P) {
	t.Helper()
	select {
	case p = <-in:
	case <-time.After(patience):
		t.Fatalf("no packet: %s", what)
	}
	return p
}

// None wants no packet to come for a moment.
func None[P any](t testing.TB, in <-chan P, what string) {
	t.Helper()
	select {
	case p := <-in:
		t.Errorf("%s: got %+v", what, p)
	case <-time.After(50 * time.Millisecond):
	}
}

// Want wants a packet that is as ok says, or none if ok is nil.
func Want[P any](t testing.TB, in <-chan P, what string, ok func(P) bool) {
	t.Helper()
	if ok == nil {
		None(t, in, what)
	} else if p := Next(t, in, what); !ok(p) {
		t.Errorf("%s: got %+v", what, p)
	}
}

// Repeat sends until something arrives: on a busy machine addresses and neighbours
// take their time to be ready after a lab was built.
func Repeat[P any](t testing.TB, send func(), in <-chan P) (p P) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		send()
		select {
		case p = <-in:
			for { // those that had waited for the neighbour come together
				select {
				case <-in:
				case <-time.After(30 * time.Millisecond):
					return p
				}
			}
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("no packet arrives")
	return p
}

// Eventually polls a condition that another process or goroutine brings about.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// WantLink waits for the latest state of a link to be want.
func WantLink[L comparable](t testing.TB, links <-chan L, what string, want L) {
	t.Helper()
	timeout := time.After(patience)
	var seen []L
	for {
		select {
		case l := <-links:
			if l == want {
				return
			}
			seen = append(seen, l)
		case <-timeout:
			t.Fatalf("%s: link is %v, want %v", what, seen, want)
		}
	}
}
