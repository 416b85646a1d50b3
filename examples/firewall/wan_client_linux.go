package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A wanClient keeps a DHCP client running. It is killed at the end, so that it has no
// occasion to release the lease: the other host goes on with it.
type wanClient struct {
	argv   []string
	files  wanFiles
	log    *slog.Logger
	leased func() bool // the interface has an address
}

const (
	// wanClientPause is before a client that has ended is started again, doubled each
	// time up to wanClientPauseMax; one that ran for wanClientWell was well.
	wanClientPause    = 500 * time.Millisecond
	wanClientPauseMax = 30 * time.Second
	wanClientWell     = time.Minute

	// wanClientStuck is how long a client may be without a lease before another one
	// is tried.
	wanClientStuck = 2 * time.Minute
)

// run runs the client again and again until ctx is done, and no process of it is left.
func (c *wanClient) run(ctx context.Context) {
	for pause := wanClientPause; ctx.Err() == nil; {
		started := time.Now()
		if err := c.runOnce(ctx); ctx.Err() == nil {
			if time.Since(started) > wanClientWell {
				pause = wanClientPause
			}
			c.log.Warn("firewall: wan: the client has ended, and is started again", "client", c.argv[0], "err", err, "in", pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, wanClientPauseMax)
	}
}

// runOnce runs it until it ends, ctx is done, or it is stuck.
func (c *wanClient) runOnce(ctx context.Context) error {
	// The client dies with the thread that has started it, which is ours until then:
	// nobody else may use, and end, it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = killGroupTimeout // a script may hold the pipe longer than that
	go c.copyLog(r)
	defer w.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	if err := c.files.storeClient(pid); err != nil {
		c.log.Error("firewall: wan: cannot write down which process is the client", "err", err)
	}
	defer c.files.forgetClient()
	watched, end := context.WithCancel(ctx)
	killed := make(chan error, 1)
	go func() {
		c.watch(watched)
		killed <- killGroup(pid)
	}()
	err := cmd.Wait()
	end()
	if kerr := <-killed; kerr != nil {
		c.log.Error("firewall: wan", "err", kerr)
	}
	return err
}

// watch returns when the client has to end.
func (c *wanClient) watch(ctx context.Context) {
	for last := time.Now(); time.Since(last) < wanClientStuck; {
		select {
		case <-time.After(wanClientStuck / 20):
		case <-ctx.Done():
			return
		}
		if c.leased() {
			last = time.Now()
		}
	}
	c.log.Warn("firewall: wan: the client finds no address, and is killed", "client", c.argv[0], "after", wanClientStuck)
}

// copyLog logs what the client says.
func (c *wanClient) copyLog(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		c.log.Info("firewall: wan: "+c.argv[0], "said", lines.Text())
	}
	io.Copy(io.Discard, r) // after a line that was too long
}
