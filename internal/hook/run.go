package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/gocarp/gocarp/carp"
)

// ErrTimeout is the failure of a script that took too long.
var ErrTimeout = errors.New("killed: it took too long")

const (
	outputLimit = 4096 // octets of a script's output that are logged

	// outputWait is how long a child that outlives its script may hold on to the
	// output.
	outputWait = time.Second
)

// run calls a script and waits for its end.
func (q *Queue) run(s Script, c carp.Change) error {
	ctx, cancel := context.WithTimeout(q.ctx, q.cfg.Timeout)
	defer cancel()
	env := []string{
		fmt.Sprintf("CARP_VHID=%d", c.VHID), "CARP_IF=" + c.Interface,
		"CARP_STATE=" + c.To.String(), "CARP_PREV=" + c.From.String(),
		"CARP_REASON=" + c.Reason.String(), fmt.Sprintf("CARP_SEQ=%d", c.Seq),
	}
	text, err := Exec(ctx, env, s.Path, c.Subject(), c.To.String())
	if text != "" {
		q.log.Info("hook: output", "script", s.Name, "subject", c.Subject(), "state", c.To.String(), "output", text)
	}
	switch {
	case err == nil:
		return nil
	case q.ctx.Err() != nil:
		return errors.New("killed: the program ends")
	case ctx.Err() != nil:
		return fmt.Errorf("%w: more than %v", ErrTimeout, q.cfg.Timeout)
	}
	return err
}

// Exec runs a program with its arguments, and env beside our environment but for what
// speaks to the service manager, and returns the beginning of its output. When ctx is
// done it is killed, with all that it has started.
func Exec(ctx context.Context, env []string, name string, args ...string) (output string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = outputWait
	ownGroup(cmd)
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(environ(), env...)
	if err = cmd.Run(); errors.Is(err, exec.ErrWaitDelay) { // it exited with 0
		err = nil
	}
	return strings.TrimSpace(string(out)), err
}

// environ is our environment without what lets us speak to the service manager.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_")
	})
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), outputLimit-len(*h))]...)
	return len(p), nil
}
