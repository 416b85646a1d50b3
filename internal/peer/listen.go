package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxPerSource = 8  // connections of one address
	maxOthers    = 32 // connections of all that are not the peer

	headerTimeout = 5 * time.Second  // for the handshake, and again for the header
	readTimeout   = 10 * time.Second // for the header with the body
	endTimeout    = 2 * time.Second  // for calls that are being answered at the end
)

func (c *Channel) listen(ctx context.Context, index int) (net.Listener, error) {
	lc := net.ListenConfig{Control: bindTo(c.config.Interface)}
	return lc.Listen(ctx, "tcp", c.endpoint(c.config.Listen, index))
}

// serve answers on l until ctx is done or the interface is not the one of index any
// more, and waits for all that it began.
func (c *Channel) serve(ctx context.Context, l net.Listener, index int) error {
	var conns sync.WaitGroup
	server := &http.Server{
		Handler:           http.HandlerFunc(c.receive),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      CallTimeout,
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(errorLog{c.config.Logger}, "", 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed:
				conns.Done()
			}
		},
	}
	server.SetKeepAlivesEnabled(false)
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = server.Serve(tls.NewListener(&gate{Listener: l, peer: c.config.Peer.WithZone(""), from: make(map[netip.Addr]int)}, c.tls))
	}()
	err := c.guard(ctx, index, ended)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if server.Shutdown(end) != nil {
		server.Close()
	}
	<-ended
	conns.Wait()
	if errors.Is(failed, http.ErrServerClosed) {
		return err
	}
	return failed
}

// guard waits until something ends the serving: ctx, another interface, or an error of
// the server.
func (c *Channel) guard(ctx context.Context, index int, ended <-chan struct{}) error {
	for {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(patrol):
		}
		if now, err := c.index(); err != nil || now != index {
			return err
		}
	}
}

// receive hands a call to the handler.
func (c *Channel) receive(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(instanceHeader) == c.instance {
		Fail(w, http.StatusLoopDetected, ErrSelf)
		return
	}
	version, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/")
	if !ok || version != strconv.Itoa(Version) {
		Fail(w, http.StatusNotImplemented, fmt.Errorf("it speaks version %d of the channel, not that of %q: run the same release on both hosts", Version, r.URL.Path))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	c.config.Handler.ServeHTTP(w, r)
}

// An errorLog takes what the HTTP server says. Whoever reaches the port can make it say
// something, so that only a defect of ours is worth a line.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Write(b []byte) (int, error) {
	level := slog.LevelDebug
	if strings.Contains(string(b), "panic serving") {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "peer: "+strings.TrimSpace(string(b)))
	return len(b), nil
}

// A gate is a listener that lets in a few connections at a time. What others hold does
// not keep the peer out.
type gate struct {
	net.Listener
	peer netip.Addr

	mu     sync.Mutex
	from   map[netip.Addr]int
	others int
}

// Accept closes what is too much at once: nobody has to wait.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		src := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		if g.enter(src) {
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { g.leave(src) })}, nil
		}
		conn.Close()
	}
}

func (g *gate) enter(src netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[src] >= maxPerSource || src != g.peer && g.others >= maxOthers {
		return false
	}
	g.from[src]++
	if src != g.peer {
		g.others++
	}
	return true
}

func (g *gate) leave(src netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[src]--; g.from[src] == 0 {
		delete(g.from, src)
	}
	if src != g.peer {
		g.others--
	}
}

// A guest is a connection that makes room when it is closed.
type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
