//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A session is a connection that lasts: each line that goes in one end comes back,
// through the NAT, from the other.
type session struct {
	name  string // TCP, SSH, or ping
	conn  io.ReadWriteCloser
	lossy bool // lines may be lost on the way, without an end of it

	mu      sync.Mutex
	ended   error     // nil: it lives
	heard   time.Time // the last line that came back
	sent    uint64
	back    uint64
	silence []span // of at least quietFrom, since the last reset
}

// A span is a time.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

const (
	// typeInterval is the time between two lines.
	typeInterval = 10 * time.Millisecond

	// quietFrom is how long a session must be silent for it to be remembered.
	quietFrom = 50 * time.Millisecond
)

// newSession types on conn until it fails or is closed.
func newSession(name string, conn io.ReadWriteCloser) *session {
	return (&session{name: name, conn: conn}).start()
}

// newLossySession is newSession where lines may be lost.
func newLossySession(name string, conn io.ReadWriteCloser) *session {
	return (&session{name: name, conn: conn, lossy: true}).start()
}

func (s *session) start() *session {
	s.heard = time.Now()
	go s.write()
	go s.read()
	return s
}

func (s *session) write() {
	for {
		s.mu.Lock()
		s.sent++
		n, ended := s.sent, s.ended
		s.mu.Unlock()
		if ended != nil {
			return
		}
		if _, err := fmt.Fprintf(s.conn, "%d\n", n); err != nil {
			s.end(err)
			return
		}
		time.Sleep(typeInterval)
	}
}

func (s *session) read() {
	lines := bufio.NewScanner(s.conn)
	for lines.Scan() {
		now := time.Now()
		s.mu.Lock()
		s.back++
		if want := fmt.Sprint(s.back); want != lines.Text() && s.ended == nil && !s.lossy {
			s.ended = fmt.Errorf("%s: %q came back instead of %s", s.name, lines.Text(), want)
		}
		if now.Sub(s.heard) >= quietFrom {
			s.silence = append(s.silence, span{s.heard, now})
		}
		s.heard = now
		s.mu.Unlock()
	}
	err := lines.Err()
	if err == nil {
		err = io.EOF
	}
	s.end(err)
}

func (s *session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
}

// alive reports whether the session goes on: what was typed at since is back.
func (s *session) alive(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended == nil && s.heard.After(since)
}

// failed is why the session has ended; nil while it may go on.
func (s *session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// quiet are the silences since a time, the one that lasts among them.
func (s *session) quiet(since time.Time) []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []span
	for _, q := range s.silence {
		if q.to.After(since) {
			out = append(out, q)
		}
	}
	if now := time.Now(); now.Sub(s.heard) >= quietFrom {
		out = append(out, span{s.heard, now})
	}
	return out
}

func (s *session) close() {
	s.end(net.ErrClosed)
	s.conn.Close()
}
