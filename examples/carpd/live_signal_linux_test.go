package main

import "golang.org/x/sys/unix"

// The signals that carpd and ucarp know, and those that freeze a process.
const (
	sigStatus   = unix.SIGUSR1
	sigStepDown = unix.SIGUSR2
	sigStop     = unix.SIGTERM
	sigFreeze   = unix.SIGSTOP
	sigThaw     = unix.SIGCONT
)

func (d *daemon) signal(s unix.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatalf("%s: %v: %v", d.Host, s, err)
	}
}
