//go:build unix

package check

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		script, want string // want is in the error; empty: none
	}{
		{"exit 0", ""},
		{"echo fine; exit 0", ""},
		{"exit 3", "exit status 3"},
		{"echo 'no route' >&2; echo more; exit 1", "exit status 1: no route"},
		{"kill -9 $$", "killed"},
		{"yes | head -c 1000000; exit 1", "exit status 1: y"},
	} {
		err := Command("sh", "-c", tt.script)(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.script, err, tt.want)
		}
	}
	if err := Command("/nonexistent/program")(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such program: %v", err)
	}
}

// At its timeout the program dies with its children.
func TestCommandTimeout(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	probe := Command("sh", "-c", `sleep 60 & echo $! > "$0.new"; mv "$0.new" "$0"; wait`, pidfile)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var child int
	go func() {
		defer cancel()
		for child == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
			text, _ := os.ReadFile(pidfile)
			child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
	}()
	begin := time.Now()
	if err := probe(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("error %v, want %v", err, ErrTimeout)
	}
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
	<-ctx.Done()
	for deadline := time.Now().Add(10 * time.Second); alive(child); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("child %d is alive", child)
		}
	}
}

// alive reports whether there is a process pid that is not a zombie: an orphan
// may wait for its new parent for a while.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(string(state), "Z")
}

// A child that keeps the output open does not delay the result.
func TestCommandLeavesChild(t *testing.T) {
	begin := time.Now()
	if err := Command("sh", "-c", "sleep 20 & exit 0")(t.Context()); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}
