package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
)

const (
	scriptTimeout = 30 * time.Second // after which a command is killed
	finishTimeout = 10 * time.Second // which all that are left at the end have
	outputLimit   = 4096             // octets of a command's output that are logged
)

// scripts runs a command for each change, one after the other, so that a slow one
// delays those behind it but no advert.
type scripts struct {
	changes  chan carp.Change
	up, down string
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	done     chan struct{}
}

func startScripts(changes chan carp.Change, up, down string, log *slog.Logger) *scripts {
	s := &scripts{changes: changes, up: up, down: down, log: log, done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// finish waits for the commands of all changes, for so long as finishTimeout says.
func (s *scripts) finish() {
	close(s.changes)
	defer s.cancel()
	select {
	case <-s.done:
	case <-time.After(finishTimeout):
		s.log.Error("commands are killed or left out, to end in time", "after", finishTimeout)
		s.cancel()
		<-s.done
	}
}

func (s *scripts) run() {
	defer close(s.done)
	for c := range s.changes {
		cmd := s.down
		if c.To == carp.Master {
			cmd = s.up
		}
		if cmd != "" && s.ctx.Err() == nil {
			s.command(cmd, c)
		}
	}
}

func (s *scripts) command(name string, c carp.Change) {
	ctx, cancel := context.WithTimeout(s.ctx, scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, c.Subject(), c.To.String())
	cmd.WaitDelay = time.Second // a child of its may hold on to the output
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("CARP_VHID=%d", c.VHID), "CARP_IF="+c.Interface,
		"CARP_STATE="+c.To.String(), "CARP_PREV="+c.From.String(),
		"CARP_REASON="+c.Reason.String(), fmt.Sprintf("CARP_SEQ=%d", c.Seq))
	err := cmd.Run()
	if text := strings.TrimSpace(string(out)); text != "" {
		s.log.Info("command", "cmd", name, "state", c.To, "output", text)
	}
	if err != nil {
		s.log.Error("command failed", "cmd", name, "state", c.To, "err", err)
	}
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), outputLimit-len(*h))]...)
	return len(p), nil
}
