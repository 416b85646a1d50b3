package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	patience = 30 * time.Second
	secret   = "0123456789abcdef"
)

// lastNet makes each test have addresses of its own on the loopback.
var lastNet atomic.Uint32

// hosts are two addresses that no other test has.
func hosts() (a, b netip.Addr) {
	n := byte(lastNet.Add(1))
	return netip.AddrFrom4([4]byte{127, 72, n, 1}), netip.AddrFrom4([4]byte{127, 72, n, 2})
}

func open(t *testing.T, listen, peer netip.Addr, secret string, h http.Handler) *Channel {
	t.Helper()
	c, err := Open(Config{Interface: "lo", Listen: listen, Peer: peer, Secret: []byte(secret), Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs c until the test ends, or the function that it returns is called.
func start(t *testing.T, c *Channel) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(stop)
	addr := netip.AddrPortFrom(c.config.Listen, c.config.Port).String()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return stop
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %v", addr, err)
		}
	}
}

func call(t *testing.T, c *Channel, method, path string, in, out any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Call(ctx, method, path, in, out)
}

// echo answers with what it was sent, and with errors.
func echo() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/echo", func(w http.ResponseWriter, r *http.Request) {
		var v any
		if err := Decode(r, &v); err != nil {
			Fail(w, http.StatusBadRequest, err)
			return
		}
		Reply(w, v)
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, _ *http.Request) {
		Fail(w, http.StatusConflict, errors.New("in maintenance"))
	})
	mux.HandleFunc("GET /v1/large", func(w http.ResponseWriter, _ *http.Request) {
		Reply(w, strings.Repeat("x", MaxBody))
	})
	return mux
}

func TestCall(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	ca, cb := open(t, a, b, secret, nil), open(t, b, a, secret, echo())
	start(t, cb)

	in := map[string]any{"role": "MASTER", "states": 12.0}
	var out map[string]any
	if err := call(t, ca, "POST", "/v1/echo", in, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		method, path string
		status       int
		msg          string
	}{
		{"POST", "/v1/drain", 409, "in maintenance"},
		{"GET", "/v1/nothing", 404, "404 page not found"},
		{"GET", "/v1/echo", 405, "Method Not Allowed"},
		{"GET", "/v2/echo", 501, `it speaks version 1 of the channel, not that of "/v2/echo": run the same release on both hosts`},
		{"GET", "/v1/large", 500, "the answer is too large"},
	} {
		err := call(t, ca, test.method, test.path, nil, nil)
		var failed *Error
		if !errors.As(err, &failed) || failed.Status != test.status || failed.Msg != test.msg {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		}
	}
	if err := call(t, cb, "GET", "/v1/status", nil, nil); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrAuth) {
		t.Errorf("a peer that does not run: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ca.Call(ctx, "GET", "/v1/status", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up: %v", err)
	}
	if err := call(t, ca, "POST", "/v1/echo", strings.Repeat("x", MaxBody), nil); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("more than fits: %v", err)
	}
}

// TestWrongSecret: both sides learn why nothing works, and no handler is called.
func TestWrongSecret(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	called := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a handler was called") })
	ca, cb := open(t, a, b, secret, called), open(t, b, a, secret+"!", called)
	start(t, ca)
	start(t, cb)
	for _, c := range []*Channel{ca, cb} {
		err := call(t, c, "GET", "/v1/status", nil, nil)
		if !errors.Is(err, ErrAuth) || !strings.HasSuffix(err.Error(), ": it has another secret") {
			t.Errorf("%v", err)
		}
	}
}

// TestIntruder: a client that accepts any server, and shows another key or none,
// reaches no handler.
func TestIntruder(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	c := open(t, b, a, secret, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a handler was called") }))
	start(t, c)
	other, err := newIdentity([]byte("another secret of 16 octets"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newIdentity([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	stolen := tls.Certificate{Certificate: ours.Certificate, PrivateKey: other.PrivateKey} // seen on the wire, without its key
	for name, certs := range map[string][]tls.Certificate{"another key": {other}, "none": nil, "a stolen certificate": {stolen}} {
		conn, err := tls.Dial("tcp", c.self(), &tls.Config{InsecureSkipVerify: true, Certificates: certs})
		if err != nil {
			continue // refused at once
		}
		fmt.Fprint(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
		conn.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(conn); err == nil || len(b) > 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		conn.Close()
	}
	old := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ours}, MaxVersion: tls.VersionTLS12}
	if conn, err := tls.Dial("tcp", c.self(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is spoken")
	}
	// The server in the middle has another key, too: the client must not talk to it.
	l, err := tls.Listen("tcp", netip.AddrPortFrom(a, DefaultPort).String(), &tls.Config{Certificates: []tls.Certificate{other}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	if err := call(t, c, "GET", "/v1/status", nil, nil); !errors.Is(err, ErrAuth) {
		t.Errorf("another server: %v", err)
	}
}

// TestReplay: the octets of a whole session, sent again, reach no handler.
func TestReplay(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	var calls atomic.Int32
	c := open(t, b, a, secret, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); Reply(w, 1) }))
	start(t, c)
	client := open(t, a, b, secret, nil)
	var sent lockedBuffer
	client.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := client.dial(ctx)
		return &recorder{conn, &sent}, err
	}
	if err := call(t, client, "POST", "/v1/drain", nil, nil); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", c.self())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, sent.String())
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the handler was called %d times", n)
	}
}

// A recorder keeps what is written.
type recorder struct {
	net.Conn
	sent *lockedBuffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

// TestGarbage: what is no TLS, or says nothing, or too much, ends, and takes nobody
// else's place.
func TestGarbage(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	c := open(t, b, a, secret, echo())
	start(t, c)
	for _, text := range []string{"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("\x16\x03\x01\xff", 1000), "\x00"} {
		conn, err := net.Dial("tcp", c.self())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, text)
		conn.(*net.TCPConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.10q: the connection stays: %v", text, err)
		}
		conn.Close()
	}
	// Whoever is slow is not alone: the peer gets in beside all that others hold.
	var idle []net.Conn
	for range maxPerSource + 5 {
		conn, err := net.Dial("tcp", c.self())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	client := open(t, a, b, secret, nil)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: a.AsSlice()}}
	client.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", c.self())
	}
	var out string
	if err := call(t, client, "POST", "/v1/echo", "hello", &out); err != nil || out != "hello" {
		t.Errorf("beside slow ones: %q, %v", out, err)
	}
	begun := time.Now()
	for i, conn := range idle {
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("it speaks first")
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d that says nothing is kept for %v", i, time.Since(begun))
		}
	}
}

// TestSlowBody: somebody who knows the secret, too, must come to an end; and a body
// has a limit. Neither needs the other side's good will.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	c := open(t, b, a, secret, echo())
	start(t, c)
	for name, header := range map[string]string{
		"header": "POST /v1/echo HTTP/1.1\r\nHost: x\r\n",
		"body":   "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n\"",
		"huge":   fmt.Sprintf("POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n\"", MaxBody+10) + strings.Repeat("x", MaxBody),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := tls.Dial("tcp", c.self(), c.tls)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, header)
			conn.SetReadDeadline(time.Now().Add(patience))
			answer, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), " 200 ") {
				t.Errorf("%q, %v", answer, err)
			}
			if name == "huge" && !strings.Contains(string(answer), "request body too large") {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
}

// TestSelf: an address that leads back is no peer.
func TestSelf(t *testing.T) {
	t.Parallel()
	a, _ := hosts()
	c := open(t, a, a, secret, echo())
	start(t, c)
	if err := call(t, c, "POST", "/v1/echo", 1, nil); !errors.Is(err, ErrSelf) {
		t.Error(err)
	}
}

// TestRestart: the end leaves nothing, also while a call is being answered by a handler
// that takes its time, and the channel can run again.
func TestRestart(t *testing.T) {
	before := runtime.NumGoroutine()
	a, b := hosts()
	begun := make(chan struct{}, 1)
	var answering atomic.Int32
	ca := open(t, a, b, secret, nil)
	cb := open(t, b, a, secret, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answering.Add(1)
		defer answering.Add(-1)
		begun <- struct{}{}
		<-r.Context().Done()
		time.Sleep(endTimeout + endTimeout/4)
		Fail(w, http.StatusServiceUnavailable, errors.New("the end"))
	}))
	for range 2 {
		stop := start(t, cb)
		failed := make(chan error, 1)
		go func() { failed <- call(t, ca, "GET", "/v1/status", nil, nil) }()
		<-begun
		stop()
		if answering.Load() != 0 {
			t.Error("a handler is left")
		}
		if err := <-failed; err == nil {
			t.Error("a call that was cut off succeeded")
		}
	}
	if err := call(t, ca, "GET", "/v1/status", nil, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after the end: %v", err)
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestOpen(t *testing.T) {
	good := Config{Interface: "lo", Peer: netip.MustParseAddr("127.0.0.1"), Secret: []byte(secret)}
	for want, change := range map[string]func(*Config){
		"peer: the secret is too short: want 16 octets or more": func(c *Config) { c.Secret = c.Secret[1:] },
		`peer: "0.0.0.0" is no address of a host`:               func(c *Config) { c.Peer = netip.IPv4Unspecified() },
		`peer: "invalid IP" is no address of a host`:            func(c *Config) { c.Peer = netip.Addr{} },
	} {
		c := good
		change(&c)
		if _, err := Open(c); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := good
	c.Peer = netip.MustParseAddr("fe80::1")
	if _, err := Open(c); err != nil {
		t.Errorf("link-local: %v", err)
	}
	c.Peer = netip.MustParseAddr("fe80::1%em0")
	if _, err := Open(c); err == nil || err.Error() != "peer: fe80::1%em0 is not on interface lo" {
		t.Errorf("another zone: %v", err)
	}
}

// TestTrouble: an interface that is not there is said once, however long it lasts.
func TestTrouble(t *testing.T) {
	t.Parallel()
	a, b := hosts()
	var log lockedBuffer
	c, err := Open(Config{Interface: "peer-none", Listen: a, Peer: b, Secret: []byte(secret), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patrol+patrol/2)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "cannot listen") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// self is where the channel listens.
func (c *Channel) self() string { return netip.AddrPortFrom(c.config.Listen, c.config.Port).String() }
