package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrInUse says that another program listens on the socket.
var ErrInUse = errors.New("another program listens on it")

const (
	maxPath      = 100     // octets; sun_path has 108, and the name is longer while it is made
	maxRequest   = 1 << 20 // octets
	maxClients   = 64      // at a time; more are told so
	probeTimeout = time.Second
	readTimeout  = 10 * time.Second // for the request
	writeTimeout = 30 * time.Second // for an answer, if the client does not read
	acceptPause  = 100 * time.Millisecond
)

// A Handler does what args ask for and returns the exit code. It writes as a
// program does to its standard output and standard error. ctx is done when the
// client has hung up or the server ends; calls for different clients run at the
// same time. A client that does not read holds up whoever writes to it.
type Handler func(ctx context.Context, args []string, stdout, stderr *Writer) (exit int)

// A Server answers on a Unix socket.
type Server struct {
	path     string
	listener *net.UnixListener
	file     os.FileInfo // of the socket, to remove no other
	handle   Handler
	close    func() error
}

// Listen makes the socket, with mode 0600 from its first moment on. One that was
// left behind by a program that is gone is replaced; if somebody listens on it, the
// error matches [ErrInUse].
func Listen(path string, h Handler) (*Server, error) {
	s, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("control: socket %s: %w", path, err)
	}
	s.handle = h
	s.close = sync.OnceValue(s.remove)
	return s, nil
}

func listen(path string) (*Server, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("a path of %d octets: want at most %d", len(path), maxPath)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != os.ModeSocket:
		return nil, errors.New("there is something else of that name, which is no socket")
	default:
		if c, err := net.DialTimeout("unix", path, probeTimeout); err == nil {
			c.Close()
			return nil, ErrInUse
		}
	}
	// It is made where nobody else can reach it, and moved.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	hidden := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s := &Server{path: path, listener: l}
	if err = os.Chmod(hidden, 0o600); err == nil {
		s.file, err = os.Lstat(hidden)
	}
	if err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return s, nil
}

// Close stops listening and removes the socket.
func (s *Server) Close() error { return s.close() }

func (s *Server) remove() error {
	err := s.listener.Close()
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.file) {
		os.Remove(s.path) // if it cannot be removed, the next Listen replaces it
	}
	return err
}

// Serve answers until ctx is done. It closes the server and waits for the handlers.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	defer s.Close()
	var clients sync.WaitGroup
	defer clients.Wait()
	free := make(chan struct{}, maxClients)
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("control: socket %s: %w", s.path, err)
		case err != nil: // out of files, for example
			time.Sleep(acceptPause)
			continue
		}
		select {
		case free <- struct{}{}:
		default:
			refuse(conn)
			continue
		}
		clients.Go(func() {
			defer func() { <-free }()
			defer conn.Close()
			s.answer(ctx, conn)
		})
	}
}

// refuse tells a client that there are too many of them, which it must not wait to
// find out: in an emergency it is told to end a few.
func refuse(conn *net.UnixConn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(acceptPause))
	conn.Read(make([]byte, flushAt)) // the request: who is cut off while writing reads no answer
	stderr := &Writer{conn: conn, mu: new(sync.Mutex), cancel: func() {}, isErr: true}
	fmt.Fprintf(stderr, "control: %d clients are connected already: end some, as those of status -watch\n", maxClients)
	stderr.finish(1)
}

// answer serves one client.
func (s *Server) answer(ctx context.Context, conn *net.UnixConn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	stdout := &Writer{conn: conn, mu: &mu, cancel: cancel}
	stderr := &Writer{conn: conn, mu: &mu, cancel: cancel, isErr: true}

	conn.SetReadDeadline(time.Now().Add(readTimeout))
	var req request
	switch err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&req); {
	case errors.Is(err, io.EOF):
		return // it only looked whether somebody is here
	case err != nil:
		fmt.Fprintf(stderr, "control: request: %v\n", err)
		stderr.finish(2)
		return
	case req.Version != Version:
		fmt.Fprintf(stderr, "control: the request is of version %d, the running program speaks version %d\n", req.Version, Version)
		stderr.finish(2)
		return
	}

	// Nothing more comes from the client but its end.
	conn.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn)
		cancel()
	}()
	exit := s.handle(ctx, req.Args, stdout, stderr)
	stdout.Flush()
	stderr.finish(exit)
	conn.Close()
	<-gone
}

// A Writer is standard output or standard error of a client. It collects what is
// written until Flush, or until the handler returns, or there is much of it. A
// failure to write cancels the handler's context.
type Writer struct {
	conn   *net.UnixConn
	mu     *sync.Mutex // of both Writers of a client
	cancel context.CancelFunc
	isErr  bool
	buf    []byte
}

const flushAt = 32 << 10

// Write implements [io.Writer]. It never fails.
func (w *Writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if len(w.buf) >= flushAt {
		w.send(nil)
	}
	return len(b), nil
}

// Flush sends what was written.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 {
		w.send(nil)
	}
}

// finish sends what was written, and the exit code.
func (w *Writer) finish(exit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send(&exit)
}

func (w *Writer) send(exit *int) {
	a := answer{Version: Version, Exit: exit}
	if w.isErr {
		a.Err = string(w.buf)
	} else {
		a.Out = string(w.buf)
	}
	w.buf = w.buf[:0]
	b, _ := json.Marshal(a) // never fails: strings and numbers
	w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.conn.Write(append(b, '\n')); err != nil {
		w.cancel()
	}
}
