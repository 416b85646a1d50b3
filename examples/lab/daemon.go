//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gocarp/gocarp/internal/labnet"
)

// A daemon is a program that runs on a host, and what it says goes to a file.
type daemon struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// startDaemon starts cmd on a host. It writes to dir/name.log, behind what is there.
func startDaemon(h *labnet.Host, dir, name string, cmd *exec.Cmd) (*daemon, error) {
	d := &daemon{name: h.Name + " " + name, cmd: cmd, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := h.Start(cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.done)
		cmd.Wait()
	}()
	return d, nil
}

// running reports whether it has not ended.
func (d *daemon) running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// stopTimeout is more than any of the programs needs to end.
const stopTimeout = 20 * time.Second

// stop ends it as an operator does.
func (d *daemon) stop() error {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("%s does not end within %v of SIGTERM", d.name, stopTimeout)
	}
}

// kill ends it as nobody should, and waits until it is gone.
func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// said is the end of what it has said, for an error.
func (d *daemon) said() string {
	b, _ := os.ReadFile(d.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// start starts a program on a firewall.
func (n *node) start(name string, cmd *exec.Cmd) error {
	d, err := startDaemon(n.Host, n.dir, name, cmd)
	if err == nil {
		n.daemons = append(n.daemons, d)
	}
	return err
}

// stop ends the programs of a firewall, the last one first.
func (n *node) stop() error {
	var errs []error
	for _, d := range slices.Backward(n.daemons) {
		errs = append(errs, d.stop())
	}
	n.daemons = nil
	return errors.Join(errs...)
}

// crash kills the programs of a firewall, and those that they have started, all at once.
func (n *node) crash() error {
	err := n.signal(syscall.SIGKILL)
	for _, d := range n.daemons {
		<-d.done
	}
	n.daemons = nil
	return errors.Join(err, n.Kill())
}

// signal sends a signal to all processes on a firewall.
func (n *node) signal(s syscall.Signal) error {
	pids, err := n.Processes()
	for _, pid := range pids {
		if e := syscall.Kill(pid, s); e != nil && !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// ended is an error if one of the programs is not there any more.
func (n *node) ended() error {
	for _, d := range n.daemons {
		if !d.running() {
			return fmt.Errorf("%s has ended: %v\n%s", d.name, d.cmd.ProcessState, d.said())
		}
	}
	return nil
}
