package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// Command returns a Probe that runs a program, without a shell, and fails
// unless its exit status is 0. What it prints first is part of the reason.
//
// On Unix the program is the leader of a process group of its own, and the
// whole group is killed when the probe's timeout is over, so that no child is
// left behind; elsewhere only the program itself is.
func Command(name string, arg ...string) Probe {
	return func(ctx context.Context) error {
		var out note
		cmd := exec.CommandContext(ctx, name, arg...)
		cmd.Stdout, cmd.Stderr = &out, &out
		// A child that left the group may hold the output open for ever.
		cmd.WaitDelay = 100 * time.Millisecond
		ownGroup(cmd)
		err := cmd.Run()
		switch {
		case ctx.Err() != nil:
			err = ErrTimeout
		case err == nil, errors.Is(err, exec.ErrWaitDelay): // status 0
			return nil
		}
		if line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n")); len(line) > 0 {
			return fmt.Errorf("%s: %w: %s", name, err, line)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
}

// A note keeps the beginning of what is written to it.
type note []byte

func (n *note) Write(p []byte) (int, error) {
	*n = append(*n, p[:min(len(p), maxNote-len(*n))]...)
	return len(p), nil
}
