package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/internal/cli"
)

// If the daemon is killed, the kernel goes on using the interface: it answers ARP with
// the shared hardware address while the other host, which has heard nothing for some
// seconds, brings its own up. So there is another process, the guard, that does nothing
// but wait for the end of the daemon, and then puts the interface down. It does the same
// at its start, in case both were killed before, and there is one at a time.

// wanGuardName is the command that the daemon runs itself with, for a guard.
const wanGuardName = "wan-guard"

// wanGuardKeep makes it leave the interface alone at first: it follows one that died.
const wanGuardKeep = "keep"

// wanGuardTimeout is how long a guard may take to begin, and to end: there may be
// another one that is at work.
const wanGuardTimeout = 10 * time.Second

// wanGuard is the guard. It ends when stdin does.
func wanGuard(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "firewall: %s: %v\n", wanGuardName, err)
		return cli.Failure
	}
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && args[1] != wanGuardKeep {
		return fail(errors.New("want an interface: the daemon runs this"))
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // meant for the daemon, which ends in its own time
	files, err := newWANFiles(args[0])
	if err != nil {
		return fail(err)
	}
	unlock, err := lockFile(files.lock())
	if err != nil {
		return fail(err)
	}
	defer unlock()
	if len(args) == 1 {
		if err := sweepWAN(files, args[0]); err != nil {
			return fail(err)
		}
	}
	fmt.Fprintln(stdout, "ready")
	io.Copy(io.Discard, stdin)
	// What a client has begun may end after it: look again.
	for range 3 {
		err = sweepWAN(files, args[0])
		if err == nil {
			break
		}
		time.Sleep(wanRetry)
	}
	if err != nil {
		return fail(err)
	}
	return cli.OK
}

// lockFile makes us the only one who has path locked. Somebody else may take
// wanGuardTimeout to let it go.
func lockFile(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(wanGuardTimeout); ; time.Sleep(5 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("is there another firewall with this interface? %s: %w", path, err)
		}
	}
}

// A wanGuardian keeps a guard.
type wanGuardian struct {
	ifname string
	log    *slog.Logger
	ctx    context.Context // of the keeping
	cancel context.CancelFunc
	done   chan error
}

// startWANGuard starts a guard, and another one if it is killed.
func startWANGuard(ifname string, log *slog.Logger) (*wanGuardian, error) {
	g := &wanGuardian{ifname: ifname, log: log, done: make(chan error, 1)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	cmd, stdin, err := g.start(g.ifname)
	if err != nil {
		return nil, err
	}
	go g.keep(cmd, stdin)
	return g, nil
}

// start starts one, and waits until it is ready.
func (g *wanGuardian) start(args ...string) (*exec.Cmd, io.WriteCloser, error) {
	cmd := exec.Command("/proc/self/exe", append([]string{wanGuardName}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a key on the terminal is not for it
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start a guard: %w", err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		stdin.Close()
		return nil, nil, fmt.Errorf("the guard of %s does not begin: %w", g.ifname, errors.Join(err, cmd.Wait()))
	}
	return cmd, stdin, nil
}

// keep waits for the end of the guard, and starts another one unless that is wanted.
func (g *wanGuardian) keep(cmd *exec.Cmd, stdin io.WriteCloser) {
	for {
		stop := context.AfterFunc(g.ctx, func() { stdin.Close() })
		err := cmd.Wait()
		stop()
		if g.ctx.Err() != nil {
			g.done <- err
			return
		}
		g.log.Error("firewall: wan: the guard has ended, another one takes its place", "interface", g.ifname, "err", err)
		for cmd = nil; cmd == nil; {
			if cmd, stdin, err = g.start(g.ifname, wanGuardKeep); err != nil {
				g.log.Error("firewall: wan: no guard", "interface", g.ifname, "err", err)
				cmd = nil
			}
			select {
			case <-time.After(wanRetry):
			case <-g.ctx.Done():
				if cmd == nil {
					g.done <- err
					return
				}
			}
		}
	}
}

// end has the guard do its work a last time, and waits for it.
func (g *wanGuardian) end() error {
	g.cancel()
	select {
	case err := <-g.done:
		return err
	case <-time.After(wanGuardTimeout):
		return fmt.Errorf("the guard of %s does not end", g.ifname)
	}
}
