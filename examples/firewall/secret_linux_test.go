package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/control"
)

// TestSecret: a passphrase that is typed reaches the daemon, and is not in the list of
// processes.
func TestSecret(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	asked := make(chan []string)
	s, err := control.Listen(socket, func(ctx context.Context, args []string, _, _ *control.Writer) int {
		asked <- args
		<-ctx.Done()
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	defer func() { cancel(); <-done }()

	args := []string{"ifconfig", "carp1", "vhid", "1", "pass", "dontTell", "10.0.0.1"}
	cmd := exec.Command(program, append([]string{"-s", socket}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if got := <-asked; !slices.Equal(got, args) {
		t.Errorf("the daemon was asked %q", got)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil || !strings.Contains(string(line), "carp1") || strings.Contains(string(line), "dontTell") {
		t.Errorf("the list of processes has %q, %v", line, err)
	}
}
