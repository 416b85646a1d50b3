package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// serve runs a server for the test and returns its path.
func serve(t *testing.T, h Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return path
}

// ask has the server do something, within reason.
func ask(t *testing.T, path string, args ...string) (exit int, stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, errs strings.Builder
	exit, err = Do(ctx, path, args, &out, &errs)
	return exit, out.String(), errs.String(), err
}

func TestDo(t *testing.T) {
	path := serve(t, func(_ context.Context, args []string, stdout, stderr *Writer) int {
		fmt.Fprintf(stdout, "%q\n", args)
		fmt.Fprintln(stderr, "carp1: no such interface")
		return len(args)
	})
	for _, args := range [][]string{nil, {"ifconfig", "carp1", "pass", "a \"b\" 'c'\n<ü>"}} {
		exit, stdout, stderr, err := ask(t, path, args...)
		if err != nil || exit != len(args) || stderr != "carp1: no such interface\n" {
			t.Errorf("%q: exit %d, stderr %q, %v", args, exit, stderr, err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%q\n", args), strings.Replace(stdout, "[]", fmt.Sprintf("%q", args), 1)); diff != "" {
			t.Error(diff)
		}
	}
	if _, _, _, err := ask(t, path, "ifconfig", "carp1", "pass", "\xe9"); err == nil || !strings.Contains(err.Error(), "word 4 is not UTF-8") {
		t.Errorf("a word that is not UTF-8: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
}

// Large answers come whole, in order, in several pieces.
func TestLarge(t *testing.T) {
	var want strings.Builder
	for i := range 20000 {
		fmt.Fprintln(&want, "line", i)
	}
	path := serve(t, func(_ context.Context, _ []string, stdout, _ *Writer) int {
		for line := range strings.Lines(want.String()) {
			stdout.Write([]byte(line))
		}
		return 0
	})
	if exit, stdout, _, err := ask(t, path); exit != 0 || err != nil || stdout != want.String() {
		t.Errorf("exit %d, %d octets of %d, %v", exit, len(stdout), want.Len(), err)
	}
}

// What is flushed arrives while the command goes on, and it ends when the client
// hangs up.
func TestWatch(t *testing.T) {
	ended := make(chan struct{})
	path := serve(t, func(ctx context.Context, _ []string, stdout, _ *Writer) int {
		defer close(ended)
		for i := 0; ; i++ {
			fmt.Fprintln(stdout, "tick", i)
			stdout.Flush()
			select {
			case <-ctx.Done():
				return 0
			case <-time.After(time.Millisecond):
			}
		}
	})
	ctx, hangUp := context.WithCancel(context.Background())
	out := &waitFor{want: "tick 3\n", found: hangUp}
	if _, err := Do(ctx, path, []string{"status", "-watch"}, out, out); !errors.Is(err, context.Canceled) {
		t.Errorf("Do: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the command goes on although nobody listens")
	}
}

// waitFor calls found when it was written what is wanted.
type waitFor struct {
	text  []byte
	want  string
	found func()
}

func (w *waitFor) Write(b []byte) (int, error) {
	w.text = append(w.text, b...)
	if bytes.Contains(w.text, []byte(w.want)) {
		w.found()
	}
	return len(b), nil
}

// The end of the server ends the commands, and tells the client.
func TestServerEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	begun := make(chan struct{})
	s, err := Listen(path, func(ctx context.Context, _ []string, stdout, _ *Writer) int {
		close(begun)
		<-ctx.Done()
		fmt.Fprintln(stdout, "interrupted")
		return 1
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	wg.Go(func() {
		<-begun
		cancel()
	})
	if exit, stdout, _, err := ask(t, path, "drain"); exit != 1 || stdout != "interrupted\n" || err != nil {
		t.Errorf("exit %d, stdout %q, %v", exit, stdout, err)
	}
	wg.Wait()
	if _, _, _, err := ask(t, path, "status"); !errors.Is(err, ErrNobody) {
		t.Errorf("after the end: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	path := serve(t, nil)
	if _, err := Listen(path, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if _, err := Listen(filepath.Join(path, "x"), nil); err == nil || !strings.Contains(err.Error(), "control: socket") {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Listen("/"+strings.Repeat("x", maxPath), nil); err == nil || !strings.Contains(err.Error(), "101 octets") {
		t.Errorf("long: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, nil); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
	if _, _, _, err := ask(t, file, "x"); !errors.Is(err, ErrNobody) {
		t.Errorf("asking a file: %v", err)
	}
}

// A socket that a killed program left behind is replaced, and a server that ends
// late does not remove that of its successor.
func TestLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead.listener.Close() // the file stays, as after SIGKILL
	next, err := Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	dead.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	path := serve(t, func(context.Context, []string, *Writer, *Writer) int {
		t.Error("the handler was called")
		return 0
	})
	for in, want := range map[string]string{
		"":                                  "",
		"status\n":                          "control: request",
		`{"version":2,"args":["x"]}` + "\n": "speaks version 1",
		`{"args":["x"]}` + "\n":             "version 0",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(in))
		c.(*net.UnixConn).CloseWrite()
		var out bytes.Buffer
		out.ReadFrom(c)
		c.Close()
		if got := out.String(); !strings.Contains(got, want) || want != "" && !strings.Contains(got, `"exit":2`) || want == "" && got != "" {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestTooMany: when all places are taken the next client is told so at once, and one
// that becomes free is used.
func TestTooMany(t *testing.T) {
	path := serve(t, func(_ context.Context, _ []string, stdout, _ *Writer) int {
		fmt.Fprintln(stdout, "well")
		return 0
	})
	idle := make([]net.Conn, maxClients)
	for i := range idle {
		var err error
		if idle[i], err = net.Dial("unix", path); err != nil {
			t.Fatal(err)
		}
		defer idle[i].Close()
	}
	exit, stdout, stderr, err := ask(t, path, "status")
	if err != nil || exit != 1 || stdout != "" || !strings.Contains(stderr, "64 clients are connected already") {
		t.Errorf("exit %d, %q, %q, %v", exit, stdout, stderr, err)
	}
	idle[0].Close()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if exit, stdout, _, _ := ask(t, path, "status"); exit == 0 && stdout == "well\n" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the place that became free is not used")
		}
	}
}
