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

// scriptTimeout is how long a command may take before it is killed.
const scriptTimeout = 30 * time.Second

// runScripts runs a command for each change, one after the other, so that a slow
// one delays those behind it but no advert. It returns when changes is closed and
// all have run.
func runScripts(changes <-chan carp.Change, up, down string, log *slog.Logger) {
	for c := range changes {
		cmd := down
		if c.To == carp.Master {
			cmd = up
		}
		if cmd != "" {
			runScript(cmd, c, log)
		}
	}
}

func runScript(name string, c carp.Change, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, c.Subject(), c.To.String())
	cmd.WaitDelay = time.Second // a child of its may hold on to the output
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("CARP_VHID=%d", c.VHID), "CARP_IF="+c.Interface,
		"CARP_STATE="+c.To.String(), "CARP_PREV="+c.From.String(),
		"CARP_REASON="+c.Reason.String(), fmt.Sprintf("CARP_SEQ=%d", c.Seq))
	out, err := cmd.CombinedOutput()
	if s := strings.TrimSpace(string(out)); s != "" {
		log.Info("command", "cmd", name, "state", c.To, "output", s)
	}
	if err != nil {
		log.Error("command failed", "cmd", name, "state", c.To, "err", err)
	}
}
