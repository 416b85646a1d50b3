//go:build unix

package hook

import (
	"os/exec"
	"syscall"
)

// ownGroup gives cmd a process group of its own, which dies with it when it is
// killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
